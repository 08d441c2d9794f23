//! A proxy between shims and servers that can read and change their messages.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Intercepts the shim that listens at `socket` and the servers that connect to it from now on. Each line, of either
/// side and without its newline, passes through `change`. Returns the lines of the servers.
pub(crate) fn between(socket: &Path, change: fn(&mut Vec<u8>)) -> Receiver<String> {
    let moved = socket.with_extension("moved");
    fs::rename(socket, &moved).unwrap();
    let folder = File::open(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(address(&folder, socket)).unwrap();
    let (lines, heard) = mpsc::channel();
    // The thread ends with the test's process: nothing else keeps the socket.
    thread::spawn(move || {
        let servers = listener.incoming().map_while(Result::ok);
        servers.map_while(|server| relay(server, &address(&folder, &moved), change, &lines).ok()).for_each(drop);
    });
    heard
}

/// Returns an address of a socket in an open folder. It is short however long the folder's path is: a socket's address
/// holds 107 bytes.
fn address(folder: &File, socket: &Path) -> PathBuf {
    let folder = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    folder.join(socket.file_name().unwrap())
}

fn relay(server: UnixStream, shim: &Path, change: fn(&mut Vec<u8>), heard: &Sender<String>) -> io::Result<()> {
    let shim = UnixStream::connect(shim)?;
    let (from_shim, to_server) = (shim.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || pass(from_shim, to_server, change, None));
    let heard = heard.clone();
    thread::spawn(move || pass(server, shim, change, Some(&heard)));
    Ok(())
}

/// Forwards lines until one side ends, and ends the other.
fn pass(from: UnixStream, mut to: UnixStream, change: fn(&mut Vec<u8>), heard: Option<&Sender<String>>) {
    for mut line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        if let Some(heard) = heard {
            // The test may not receive any more.
            let _ = heard.send(String::from_utf8_lossy(&line).into_owned());
        }
        change(&mut line);
        line.push(b'\n');
        if to.write_all(&line).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
