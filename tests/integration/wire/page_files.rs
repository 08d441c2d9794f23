//! The page's files over a socket: their size, their encodings and how long browsers may cache them.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;

use crate::support::server::TestServer;

/// Largest sum of all responses of the first view with brotli, their heads included, in bytes.
const LIST_BYTES_MAX: usize = 60 * 1024;
/// The same for the modules that are loaded when a worker is first opened.
const WORKER_BYTES_MAX: usize = 50 * 1024;
/// The same for the styles that are loaded with them.
const WORKER_STYLE_BYTES_MAX: usize = 12 * 1024;

/// Returns every byte of the response to a GET with these header lines.
fn raw(server: &TestServer, path: &str, fields: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n", server.addr());
    stream.write_all(head.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{path}: {}", String::from_utf8_lossy(&bytes));
    bytes
}

/// The addresses below `static/` in the lines of a document that `wanted` accepts.
fn addresses(document: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = document.lines().filter(|line| wanted(line));
    let names = lines.flat_map(|line| line.split('"')).filter(|part| part.starts_with("static/"));
    names.map(|name| format!("/{name}")).collect()
}

#[test]
fn list_weighs_at_most_60_kib_on_the_wire() {
    const BROTLI: &str = "Accept-Encoding: gzip, deflate, br\r\n";
    let server = TestServer::builder().start();
    let document = server.get("/").expect(200).text();
    let sum = |paths: &[String]| paths.iter().map(|path| raw(&server, path, BROTLI).len()).sum::<usize>();
    let first = addresses(&document, |line| !line.contains("rel=\"later\"") && !line.contains("rel=\"last\""));
    let later = addresses(&document, |line| line.contains("rel=\"later\""));
    let (later, styles): (Vec<_>, Vec<_>) = later.into_iter().partition(|path| path.ends_with(".js"));
    let last = addresses(&document, |line| line.contains("rel=\"last\""));
    assert!(first.len() >= 3 && !later.is_empty() && !styles.is_empty() && !last.is_empty(), "{document}");
    let (list, worker) = (sum(&first) + raw(&server, "/", BROTLI).len(), sum(&later));
    let style = sum(&styles);
    let count = first.len() + 1;
    println!("measured: {list} bytes in {count} responses for the list, {worker} and {style} of styles for a worker");
    assert!(list <= LIST_BYTES_MAX, "{list} bytes for the list");
    assert!(worker <= WORKER_BYTES_MAX, "{worker} bytes for an open worker");
    assert!(style <= WORKER_STYLE_BYTES_MAX, "{style} bytes of styles for an open worker");
}

#[test]
fn versioned_files_are_kept_and_the_document_is_validated() {
    let server = TestServer::builder().env("BASE_PATH", "/agents").start();
    let page = server.get("/agents/").expect(200);
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let tag = page.header("etag").unwrap().to_owned();
    let again = server.client.with("if-none-match", &tag).get("/agents/").expect(304);
    assert_eq!((again.header("etag"), again.header("vary")), (Some(tag.as_str()), Some("Accept-Encoding")));
    let paths = addresses(&page.text(), |_| true);
    for path in paths {
        let file = server.get(&format!("/agents{path}")).expect(200);
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        assert_eq!((file.header("vary"), file.header("content-encoding")), (Some("Accept-Encoding"), None), "{path}");
    }
}

fn unpacked(bytes: &[u8], coding: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        Some("br") => brotli::BrotliDecompress(&mut &*bytes, &mut out).unwrap(),
        Some(_) => drop(GzDecoder::new(bytes).read_to_end(&mut out).unwrap()),
        None => out.extend_from_slice(bytes),
    }
    out
}

#[test]
fn file_is_the_same_in_every_coding() {
    let server = TestServer::builder().start();
    let plain = server.get("/static/js/joined/list.js").expect(200);
    for (accepted, coding) in [("gzip", Some("gzip")), ("br;q=0, gzip;q=0.5", Some("gzip")), ("deflate", None)] {
        let file = server.client.with("accept-encoding", accepted).get("/static/js/joined/list.js").expect(200);
        assert_eq!(file.header("content-encoding"), coding, "{accepted}");
        assert_eq!(unpacked(&file.body, coding), plain.body, "{accepted}");
    }
    let brotli = server.client.with("accept-encoding", "gzip, br").get("/static/js/joined/list.js").expect(200);
    assert_eq!(brotli.header("content-encoding"), Some("br"));
    assert_eq!(unpacked(&brotli.body, Some("br")), plain.body);
}
