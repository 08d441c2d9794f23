//! Repositories over HTTP on loopback, by git's own `http-backend`, with a user and a password.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// `ada:right`, as HTTP has it.
const AUTHORIZATION: &str = "Basic YWRhOnJpZ2h0";

/// The server; ended when this is dropped.
pub(crate) struct GitHttp {
    /// Its address.
    pub(crate) addr: SocketAddr,
    /// The `Authorization` of each request that had one.
    pub(crate) keys: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GitHttp {
    /// Serves the repositories in a folder to the user `ada` with the password `right`.
    pub(crate) fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (keys, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (folder, noted, over) = (folder.to_owned(), Arc::clone(&keys), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let _ = serve(stream.unwrap(), &folder, &noted);
            }
        });
        Self { addr, keys, ended, thread: Some(thread) }
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(stream: TcpStream, folder: &PathBuf, keys: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut heads: Vec<(String, String)> = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        heads.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let head = |name: &str| heads.iter().find(|head| head.0 == name).map(|head| head.1.clone()).unwrap_or_default();
    let mut body = Vec::new();
    if head("transfer-encoding") == "chunked" {
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
            reader.by_ref().take(length).read_to_end(&mut body)?;
            line.clear();
            reader.read_line(&mut line)?;
            if length == 0 {
                break;
            }
        }
    } else {
        let length = head("content-length").parse().unwrap_or(0);
        reader.by_ref().take(length).read_to_end(&mut body)?;
    }
    let key = head("authorization");
    if !key.is_empty() {
        keys.lock().unwrap().push(key.clone());
    }
    let mut stream = stream;
    if key != AUTHORIZATION {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n\
                       Connection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes());
    }
    let (path, query) = words[1].split_once('?').unwrap_or((&words[1], ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REMOTE_USER", "ada")
        .env("REQUEST_METHOD", &words[0])
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", head("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", head("content-encoding"))
        .env("GIT_PROTOCOL", head("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&body));
    let answer = child.wait_with_output()?.stdout;
    let _ = writer.join();
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(0);
    let own = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = own.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let length = answer.len() - end - 4;
    let answered = format!("HTTP/1.1 {status}\r\n{own}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(answered.as_bytes())?;
    stream.write_all(&answer[end + 4..])
}
