//! The floor for requests: a thread a connection, which answers every request with the same bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::own_program;

/// A running responder process.
pub(crate) struct Responder {
    child: Child,
    /// The place where it listens.
    pub(crate) address: SocketAddr,
}

impl Responder {
    /// A responder whose answers have a body of this length.
    pub(crate) fn start(length: usize) -> Self {
        let mut child = Command::new(own_program())
            .args(["responder", &length.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The responder's own process.
pub(crate) fn run(length: &str) {
    let length: usize = length.parse().unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    for stream in listener.incoming() {
        let (stream, answer) = (stream.unwrap(), answer.clone());
        std::thread::spawn(move || answer_all(stream, answer.as_bytes()));
    }
}

fn answer_all(mut stream: TcpStream, answer: &[u8]) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if buffer[..count].ends_with(b"\r\n\r\n") && stream.write_all(answer).is_err() {
            return;
        }
    }
}
