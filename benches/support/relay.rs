//! The floor for streams: programs that copy a pipe to a TCP socket and do nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::own_program;

/// Bytes copied at once.
const BUFFER: usize = 256 * 1024;

/// A running relay process: each connection to it gets the output of a printer of its own.
pub(crate) struct Relay {
    child: Child,
    address: SocketAddr,
}

impl Relay {
    /// A relay whose printers run with `args`.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(own_program()).arg("relay").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    /// A connection: its printer begins when a byte is written to it, which is its last argument, the phase.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The relay's own process.
pub(crate) fn run(args: &[&str]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        std::thread::spawn(move || copy(stream, &args));
    }
}

fn copy(mut stream: TcpStream, args: &[String]) {
    stream.set_nodelay(true).unwrap();
    let mut phase = [0];
    if !matches!(stream.read(&mut phase), Ok(1)) {
        return;
    }
    let mut printer = Command::new(own_program())
        .arg("printer")
        .args(args)
        .arg(phase[0].to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = printer.stdout.take().unwrap();
    let mut buffer = vec![0; BUFFER];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(pipe);
    let _ = printer.wait();
}
