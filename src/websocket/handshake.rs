//! The opening handshake: an HTTP request that asks for a WebSocket, and its answer.

use crate::http::{Head, Method, Response};

/// The only version of the protocol that there is.
const VERSION: &str = "13";
/// Length of a `Sec-WebSocket-Key`: 16 bytes in Base64.
const KEY_BYTES: usize = 24;

/// Returns whether a request asks for a WebSocket, rightly or not.
pub fn is_wanted(head: &Head) -> bool {
    head.header_has("upgrade", "websocket")
}

/// The 101 answer to a request for a WebSocket, for [`Reply::Upgrade`](crate::http::Reply::Upgrade). Extensions and
/// subprotocols are not offered.
///
/// # Errors
/// The answer to an unsuitable request: 426 if it is not for a WebSocket or for another version, 400 if its headers are
/// broken.
pub fn accept(head: &Head) -> Result<Response, Response> {
    if head.method() != Method::Get {
        return Err(Response::error(405, "a WebSocket is opened with GET").with_header("Allow", "GET"));
    }
    if !is_wanted(head) {
        return Err(upgrade_required("this address is a WebSocket: connect with ws://"));
    }
    if !head.header_has("connection", "upgrade") {
        return Err(Response::error(400, "the header Connection: upgrade is missing"));
    }
    if head.header("sec-websocket-version") != Some(VERSION) {
        return Err(upgrade_required("the only WebSocket version is 13"));
    }
    match head.header("sec-websocket-key") {
        Some(key) if is_key(key) => {
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            Ok(Response::new(101).with_upgrade("websocket").with_header("Sec-WebSocket-Accept", &accept))
        }
        _ => Err(Response::error(400, "Sec-WebSocket-Key is not 16 bytes in Base64")),
    }
}

fn upgrade_required(detail: &str) -> Response {
    Response::error(426, detail).with_upgrade("websocket").with_header("Sec-WebSocket-Version", VERSION)
}

fn is_key(key: &str) -> bool {
    key.len() == KEY_BYTES
        && key.strip_suffix("==").is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn answer(request: &str, fields: &str) -> Result<Response, Response> {
        let text = format!("{request} HTTP/1.1\r\n{fields}\r\n");
        accept(&Head::parse(text.as_bytes(), ([127, 0, 0, 1], 1).into()).unwrap().unwrap().0)
    }

    #[test]
    fn the_example_of_rfc_6455_is_accepted() {
        let response = answer("GET /ws", GOOD).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn broken_handshakes_are_reported_why() {
        let refused = |request, fields: &str| answer(request, fields).unwrap_err();
        assert_eq!(refused("POST /ws", GOOD).status(), 405);
        let plain = refused("GET /ws", "Host: a\r\n");
        assert_eq!((plain.status(), plain.header("sec-websocket-version")), (426, Some("13")));
        for (from, to, status) in [
            ("websocket", "h2c", 426),
            ("Upgrade\r\n", "close\r\n", 400),
            ("Version: 13", "Version: 8", 426),
            ("Sec-WebSocket-Version: 13\r\n", "", 426),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short==", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=x", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXB*ZSBub25jZQ==", 400),
        ] {
            assert_eq!(refused("GET /ws", &GOOD.replacen(from, to, 1)).status(), status, "{from} -> {to}");
        }
    }
}
