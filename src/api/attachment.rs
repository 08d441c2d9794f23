//! Attachments of messages, validated before they are accepted: a CLI stores them in its session, so one that its model
//! can't read would fail every later turn.

use std::fmt;

use data_encoding::BASE64;
use serde_json::Value;

/// Bytes at the beginning of a file that determine its type.
const SIGNATURES: [(&str, &[u8]); 5] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
    ("application/pdf", b"%PDF-"),
    ("image/bmp", b"BM"),
];
/// WebP is a RIFF container: the name of its content follows the length.
const RIFF: &[u8] = b"RIFF";
const WEBP: &[u8] = b"WEBP";
/// A PDF may have other bytes before its signature (ISO 32000-1, Annex H.3.4.1, "Implementation Note 13").
const PDF_LEAD_BYTES_MAX: usize = 1024;

/// The error of an attachment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not an object with two strings, `media_type` and `data`.
    Shape,
    /// The media type is not `type/subtype`.
    MediaType(String),
    /// `data` is not base64 (RFC 4648, section 4).
    Base64 {
        /// Offset of the first invalid character.
        at: usize,
    },
    /// `data` has no bytes.
    Empty,
    /// The content does not have the given type.
    Mismatch {
        /// The given type.
        given: String,
        /// The detected type of the content, if it is a known one.
        found: Option<&'static str>,
    },
    /// The content begins like a file of the given type, but is incomplete.
    Incomplete(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("should be an object with media_type and data (base64)"),
            Self::MediaType(given) => write!(f, "media_type should be like image/png, not {given:?}"),
            Self::Base64 { at } => write!(f, "data is not base64 (character {at})"),
            Self::Empty => f.write_str("data is empty"),
            Self::Mismatch { given, found: Some(found) } => write!(f, "data is {found}, not {given}"),
            Self::Incomplete(given) => write!(f, "data is not a whole {given}: its end or its size is missing"),
            Self::Mismatch { given, found: None } => write!(f, "data is not {given}"),
        }
    }
}

/// Validates one attachment: its structure, its encoding, and its content if the media type is a known one.
///
/// # Errors
/// The error of the attachment.
pub(super) fn check(attachment: &Value) -> Result<(), Fault> {
    let text = |name| attachment.get(name).and_then(Value::as_str).filter(|text| !text.contains('\0'));
    let (Some(media_type), Some(data)) = (text("media_type"), text("data")) else { return Err(Fault::Shape) };
    if !is_media_type(media_type) {
        return Err(Fault::MediaType(media_type.chars().take(100).collect()));
    }
    let bytes = BASE64.decode(data.as_bytes()).map_err(|error| Fault::Base64 { at: error.position })?;
    if bytes.is_empty() {
        return Err(Fault::Empty);
    }
    let found = sniff(&bytes);
    let fits = match media_type.split(';').next().unwrap_or_default().trim() {
        "image/jpg" => found == Some("image/jpeg"),
        given if known(given) => found == Some(given),
        given if given.starts_with("text/") => std::str::from_utf8(&bytes).is_ok(),
        _ => true,
    };
    if !fits {
        return Err(Fault::Mismatch { given: media_type.to_owned(), found });
    }
    if found.is_some_and(|found| !is_whole(found, &bytes)) {
        return Err(Fault::Incomplete(media_type.chars().take(100).collect()));
    }
    Ok(())
}

/// Checks what every complete file of a type has beyond its signature: the size of an image and the end of the file. A
/// truncated file has none.
fn is_whole(media_type: &str, bytes: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
    let is_sized = |at: std::ops::Range<usize>| bytes.get(at).is_some_and(|size| size.iter().any(|byte| *byte != 0));
    match media_type {
        "image/png" => bytes.get(12..16) == Some(b"IHDR") && is_sized(16..20) && is_sized(20..24) && has(b"IEND"),
        "image/gif" => matches!(bytes.get(4..6), Some(b"7a" | b"9a")) && is_sized(6..8) && is_sized(8..10),
        // The image's data follow the start of a scan.
        "image/jpeg" => has(b"\xff\xda"),
        "image/webp" => {
            let reported = bytes.get(4..8).and_then(|size| <[u8; 4]>::try_from(size).ok()).map(u32::from_le_bytes);
            reported.is_some_and(|reported| reported > 12 && bytes.len() as u64 >= u64::from(reported) + 8)
        }
        "application/pdf" => has(b"startxref"),
        _ => true,
    }
}

fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn known(media_type: &str) -> bool {
    media_type == "image/webp" || SIGNATURES.iter().any(|(known, _)| *known == media_type)
}

/// Returns the media type of the content, by its first bytes.
fn sniff(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(RIFF) && bytes.get(8..12) == Some(WEBP) {
        return Some("image/webp");
    }
    let by_signature = SIGNATURES.iter().find(|(_, signature)| bytes.starts_with(signature)).map(|(name, _)| *name);
    let lead = bytes.get(..PDF_LEAD_BYTES_MAX.min(bytes.len())).unwrap_or_default();
    by_signature.or_else(|| memchr::memmem::find(lead, b"%PDF-").map(|_| "application/pdf"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01IEND";

    fn fault(media_type: &str, data: &str) -> Option<Fault> {
        check(&json!({"media_type": media_type, "data": data})).err()
    }

    #[test]
    fn content_must_be_of_its_media_type() {
        let png = BASE64.encode(PNG);
        let webp = BASE64.encode(b"RIFF\x10\0\0\0WEBPVP8 1234abcd");
        let late_pdf = BASE64.encode(b"\n\n%PDF-1.7 startxref 0 %%EOF");
        for (media_type, data) in [
            ("image/png", png.as_str()),
            ("image/webp", &webp),
            ("application/pdf", &late_pdf),
            ("image/jpg", &BASE64.encode(b"\xff\xd8\xff\xe0\xff\xda\0")),
            ("image/gif", &BASE64.encode(b"GIF89a\x01\0\x01\0")),
            ("text/plain; charset=utf-8", &BASE64.encode("ä".as_bytes())),
            ("application/octet-stream", "AA=="),
        ] {
            assert_eq!(fault(media_type, data), None, "{media_type}");
        }
        let mismatch = |given: &str, found| Some(Fault::Mismatch { given: given.to_owned(), found });
        assert_eq!(fault("image/png", "PGh0bWw+"), mismatch("image/png", None));
        assert_eq!(fault("image/jpeg", &png), mismatch("image/jpeg", Some("image/png")));
        assert_eq!(fault("application/pdf", &png), mismatch("application/pdf", Some("image/png")));
        assert_eq!(fault("text/plain", "/w=="), mismatch("text/plain", None));
    }

    #[test]
    fn files_that_were_cut_are_faults() {
        let whole: [(&str, &[u8]); 5] = [
            ("image/png", PNG),
            ("image/gif", b"GIF89a\x01\0\x01\0"),
            ("image/jpeg", b"\xff\xd8\xff\xe0\xff\xda"),
            ("image/webp", b"RIFF\x10\0\0\0WEBPVP8 1234abcd"),
            ("application/pdf", b"%PDF-1.7 startxref"),
        ];
        for (media_type, bytes) in whole {
            assert_eq!(fault(media_type, &BASE64.encode(bytes)), None, "{media_type}");
            for length in 1..bytes.len() {
                assert!(
                    fault(media_type, &BASE64.encode(&bytes[..length])).is_some(),
                    "{media_type} of {length} bytes"
                );
            }
        }
        let no_width = [&PNG[..16], &[0; 4], &PNG[20..]].concat();
        assert!(matches!(fault("image/png", &BASE64.encode(&no_width)), Some(Fault::Incomplete(_))));
    }

    #[test]
    fn attachments_without_data_are_faults() {
        assert_eq!(fault("image/png", ""), Some(Fault::Empty));
        assert_eq!(fault("image/png", "@@@"), Some(Fault::Base64 { at: 0 }));
        assert!(matches!(fault("image/png", "iVBORw0KGgo"), Some(Fault::Base64 { .. })), "no padding");
        assert_eq!(fault("png", "AA=="), Some(Fault::MediaType("png".to_owned())));
        assert_eq!(check(&json!({"media_type": "image/png"})), Err(Fault::Shape));
        assert_eq!(check(&json!({"media_type": "image/png\0", "data": "AA=="})), Err(Fault::Shape));
        assert_eq!(check(&json!(null)), Err(Fault::Shape));
    }
}
