//! Messages to `https://`, sent by the system's curl: a TLS library and its list of authorities would be larger than all
//! of this program's other dependencies together, and who has a webhook on the Internet has curl.
//!
//! The address and the headers may hold secrets, so they are in a file in memory, and not on a command line that others
//! can read. Options: <https://curl.se/docs/manpage.html>.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::post::{Failure, left};
use super::target::Target;
use crate::subprocess::{self, Bounds};

/// The program.
const CURL: &str = "curl";
/// The variables that it inherits: its path and the trusted authorities. Proxies are left out, since they would bypass
/// the check of addresses.
const ENV: [&str; 4] = ["PATH", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"];
/// The time that it may take to tell its version.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// Time beyond its own limit after which it is killed.
const MARGIN: Duration = Duration::from_secs(1);
/// Most bytes of what it says that are kept.
const SAID_MAX: usize = 1024;

/// Returns whether messages can be sent.
///
/// # Errors
/// What to do when they cannot.
pub(super) fn check() -> Result<(), String> {
    let bounds = Bounds { time: LOOK_TIMEOUT, bytes: SAID_MAX };
    match subprocess::ask(curl().arg("--version"), bounds, &AtomicBool::new(false)) {
        Ok(answer) if answer.code == Some(0) => Ok(()),
        _ => Err("WEBHOOK_URL: https:// needs the program curl, which was not found or does not work: install it \
                  (apt-get install curl)"
            .to_owned()),
    }
}

/// Sends a message to the first of these addresses that takes a connection, and reads the answer's status.
pub(super) fn post(
    target: &Target,
    addresses: &[SocketAddr],
    headers: &[(&str, &str)],
    body: &[u8],
    deadline: Instant,
) -> Result<(), Failure> {
    let body = in_memory(body)?;
    let time = left(deadline)?;
    let config = in_memory(config(target, addresses, headers, time).as_bytes())?;
    let mut command = curl();
    // The body is its stdin, and its stderr, on which it is silent, the settings. It could not open a file of this process:
    // memory and files of the server are closed to its own user.
    command.args(["--config", "/proc/self/fd/2"]);
    let bounds = Bounds { time: time + MARGIN, bytes: SAID_MAX };
    let (body, config) = (Stdio::from(body), Stdio::from(config));
    let answer = subprocess::ask_with(&mut command, body, config, bounds, &AtomicBool::new(false))?;
    let said = String::from_utf8_lossy(&answer.output);
    let (status, error) = said.trim().split_once(' ').unwrap_or((said.trim(), ""));
    match (answer.code, status.parse()) {
        (Some(0), Ok(200..=299)) => Ok(()),
        (Some(0), Ok(status)) => Err(Failure::Status(status)),
        _ if error.is_empty() => Err(io::Error::other(format!("curl failed (exit code {:?})", answer.code)).into()),
        _ => Err(io::Error::other(format!("curl: {error}")).into()),
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
fn config(target: &Target, addresses: &[SocketAddr], headers: &[(&str, &str)], time: Duration) -> String {
    let mut lines = vec![
        format!("url = {}", quoted(&format!("https://{}{}", target.authority, target.path))),
        "proto = \"=https\"".to_owned(),
        "tlsv1.2".to_owned(),
        "silent".to_owned(),
        "globoff".to_owned(),
        format!("max-time = {:.3}", time.as_secs_f64()),
        format!("user-agent = \"rs-worker/{}\"", env!("CARGO_PKG_VERSION")),
        "header = \"Content-Type: application/json\"".to_owned(),
        // It would wait for leave to send a long body.
        "header = \"Expect:\"".to_owned(),
        "data-binary = \"@-\"".to_owned(),
        "output = \"/dev/null\"".to_owned(),
        "write-out = \"%{http_code} %{errormsg}\"".to_owned(),
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
    let mut file = File::from(memfd_create("webhook", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_to_the_addresses_that_were_looked_at_and_nothing_breaks_out_of_its_line() {
        let target = Target::parse("https://hooks.example:8443/a?b=\"c\\").unwrap();
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
        let target = Target::parse("https://[2001:db8::1]/").unwrap();
        assert!(!config(&target, &addresses, &[], Duration::ZERO).contains("resolve"));
    }
}
