//! Percent-encoding of parts of an address. A leaf module. (The module [`http`](crate::http) decodes, and refuses
//! invalid encodings.)

use std::fmt::Write as _;

/// `text` with all bytes encoded that are not unreserved (RFC 3986, 2.3): good as one segment of a path, as a value in a
/// query, or as a fragment.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_bytes_stay_as_they_are() {
        assert_eq!(encode("aZ09-._~"), "aZ09-._~");
        assert_eq!(encode("a/b?c=d e%\u{e9}"), "a%2Fb%3Fc%3Dd%20e%25%C3%A9");
    }
}
