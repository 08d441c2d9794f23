//! Requests to `https://`, sent by the system's curl, which the system keeps up to date with its authorities.
//!
//! The address and the headers may hold secrets, so they are in a file in memory, and not on a command line that others
//! can read. Options: <https://curl.se/docs/manpage.html>.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::plain::remaining_time;
use super::request::{OutboundResponse, Post, RequestFailure, text};
use super::target::OutboundTarget;
use crate::subprocess::{self, Bounds};

/// The program.
const CURL: &str = "curl";
/// The variables that it inherits: its path and the trusted authorities. Proxies are left out, since they would bypass
/// the check of addresses.
const ENV: [&str; 4] = ["PATH", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// Time that it may take to print its version.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Time beyond its own limit after which it is killed.
const MARGIN: Duration = Duration::from_secs(1);
/// Most bytes of its output that are kept: the heads of the answers, and the beginning of the body.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Returns whether requests can be sent.
///
/// # Errors
/// The reason and the remedy, if they cannot.
pub(crate) fn check() -> Result<(), String> {
    let bounds = Bounds { time: LOOK_TIMEOUT, bytes: ANSWER_BYTES_MAX };
    match subprocess::ask(curl().arg("--version"), bounds, &AtomicBool::new(false)) {
        Ok(answer) if answer.code == Some(0) => Ok(()),
        _ => Err(
            "https:// needs the program curl, which was not found or does not work: install it (apt-get install curl)"
                .to_owned(),
        ),
    }
}

/// Sends a request to the first of these addresses that takes a connection, and reads the answer.
pub(super) fn send(post: &Post<'_>, addresses: &[SocketAddr]) -> Result<OutboundResponse, RequestFailure> {
    let body = in_memory(post.body)?;
    let time = remaining_time(post.deadline)?;
    let config = in_memory(config(post.target, addresses, post.headers, time).as_bytes())?;
    let mut command = curl();
    // The body is its stdin, and its stderr, on which it is silent, the settings. It could not open a file of this process:
    // memory and files of the server are closed to its own user.
    command.args(["--config", "/proc/self/fd/2"]);
    let bounds = Bounds { time: time + MARGIN, bytes: ANSWER_BYTES_MAX };
    let (body, config) = (Stdio::from(body), Stdio::from(config));
    let said = subprocess::ask_with(&mut command, body, config, bounds, &AtomicBool::new(false))?;
    match (said.code, answer(&said.output)) {
        (Some(0), Some(answer)) => Ok(answer),
        _ => Err(failure(said.code, &said.output).into()),
    }
}

/// Reads what curl prints: the heads of all responses as they came, then the last one's body.
fn answer(output: &[u8]) -> Option<OutboundResponse> {
    let mut rest = output;
    loop {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if matches!(status, 100..=199) {
            continue;
        }
        let retry_after = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
            .map(|(_, value)| value.trim().to_owned());
        return Some(OutboundResponse { status, retry_after, text: text(rest) });
    }
}

/// The error that curl reports in the last line of its output.
fn failure(code: Option<i32>, output: &[u8]) -> io::Error {
    let said = text(output.rsplit(|&byte| byte == b'\n').next().unwrap_or_default());
    if said.is_empty() {
        io::Error::other(format!("curl failed (exit code {code:?})"))
    } else {
        io::Error::other(format!("curl: {said}"))
    }
}

fn curl() -> Command {
    let mut command = Command::new(CURL);
    // First of all, that it reads no settings of the user's.
    command.arg("--disable").env_clear().current_dir("/");
    command.envs(ENV.iter().filter_map(|&name| Some((name, std::env::var_os(name)?))));
    command
}

/// The options, as curl's own file of settings has them.
fn config(target: &OutboundTarget, addresses: &[SocketAddr], headers: &[(&str, &str)], time: Duration) -> String {
    let mut lines = vec![
        format!("url = {}", quoted(&format!("https://{}{}", target.authority, target.path))),
        "proto = \"=https\"".to_owned(),
        "tlsv1.2".to_owned(),
        "silent".to_owned(),
        "globoff".to_owned(),
        format!("max-time = {:.3}", time.as_secs_f64()),
        format!("user-agent = \"rs-worker/{}\"", env!("CARGO_PKG_VERSION")),
        // It would wait for leave to send a long body.
        "header = \"Expect:\"".to_owned(),
        "data-binary = \"@-\"".to_owned(),
        // The heads of the answers before the body, on stdout.
        "include".to_owned(),
        "write-out = \"%{errormsg}\"".to_owned(),
    ];
    lines.extend(headers.iter().map(|(name, value)| format!("header = {}", quoted(&format!("{name}: {value}")))));
    // The addresses that were looked at, and no others: the name may lead elsewhere by now.
    if target.literal_address().is_none() {
        let shown = addresses.iter().map(|address| match address {
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
        });
        let all: Vec<String> = shown.collect();
        lines.push(format!("resolve = {}", quoted(&format!("{}:{}:{}", target.host, target.port, all.join(",")))));
    }
    lines.join("\n") + "\n"
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A file that is nowhere on a disk, at its beginning.
fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("outbound", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_goes_to_checked_addresses_and_cannot_inject_lines() {
        let target = OutboundTarget::parse("https://hooks.example:8443/a?b=\"c\\").unwrap();
        let addresses = ["192.0.2.1:8443", "[2001:db8::1]:8443"].map(|text| text.parse().unwrap());
        let text = config(&target, &addresses, &[("webhook-id", "m")], Duration::from_millis(1500));
        for line in [
            r#"url = "https://hooks.example:8443/a?b=\"c\\""#,
            r#"resolve = "hooks.example:8443:192.0.2.1,[2001:db8::1]""#,
            r#"header = "webhook-id: m""#,
            r#"data-binary = "@-""#,
            "max-time = 1.500",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        let target = OutboundTarget::parse("https://[2001:db8::1]/").unwrap();
        assert!(!config(&target, &addresses, &[], Duration::ZERO).contains("resolve"));
    }

    #[test]
    fn answers_are_read_after_interim_ones_in_both_http_versions() {
        let read = |text: &str| answer(text.as_bytes());
        let plain =
            read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Too Many\r\nretry-AFTER: 7\r\n\r\nlater\x07 please")
                .unwrap();
        assert_eq!(
            (plain.status, plain.retry_after.as_deref(), plain.text.as_str()),
            (429, Some("7"), "later  please")
        );
        assert_eq!(read("HTTP/2 201 \r\nlocation: /m\r\n\r\n").unwrap().status, 201);
        for malformed in ["", "HTTP/1.1 200 OK\r\n", "x\r\n\r\n", "HTTP/1.1 abc\r\n\r\n"] {
            assert_eq!(read(malformed), None, "{malformed:?}");
        }
        assert_eq!(failure(Some(6), b"Could not resolve host").to_string(), "curl: Could not resolve host");
        assert_eq!(failure(None, b"").to_string(), "curl failed (exit code None)");
    }
}
