//! Pictures, recognised by their first bytes: the type that a browser may show, and the size. A leaf module: nothing is decoded.

use data_encoding::{BASE64, BASE64_NOPAD};

/// Bytes from the beginning of a picture within which its type is.
const TYPE_BYTES: usize = 48;
/// Bytes from the beginning of a JPEG within which its size is looked for: a thumbnail and a colour profile come before.
const SIZE_BYTES_MAX: usize = 64 * 1024;
/// Bytes from the beginning of a text within which the root of an SVG begins.
const SVG_LEAD_BYTES_MAX: usize = 4 * 1024;

/// The signatures of types that every browser shows.
const SIGNATURES: [(&str, &[u8]); 4] = [
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF87a"),
    ("image/gif", b"GIF89a"),
];

/// Returns the media type of a raster image, by its first bytes.
pub(crate) fn media_type(head: &[u8]) -> Option<&'static str> {
    let inner = |offset: usize, name: &[u8]| head.get(offset..offset + name.len()) == Some(name);
    if inner(0, b"RIFF") && inner(8, b"WEBP") {
        return Some("image/webp");
    }
    if inner(4, b"ftypavif") {
        return Some("image/avif");
    }
    SIGNATURES.iter().find(|(_, signature)| head.starts_with(signature)).map(|(name, _)| *name)
}

/// Returns whether a text is an SVG: its first element is `svg`.
pub(crate) fn is_svg(head: &[u8]) -> bool {
    let head = head.get(..SVG_LEAD_BYTES_MAX).unwrap_or(head);
    let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    loop {
        rest = rest.trim_ascii_start();
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            [b'<', b'!', ..] => b">",
            _ => break,
        };
        let Some(at) = memchr::memmem::find(rest, end) else { return false };
        rest = &rest[at + end.len()..];
    }
    rest.strip_prefix(b"<svg").is_some_and(|after| after.first().is_some_and(|byte| b" \t\r\n>/".contains(byte)))
}

/// Returns the width and height of a picture in pixels, where its head says them.
pub(crate) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let (width, height) = match media_type(bytes)? {
        "image/png" => (big(bytes.get(16..20)?), big(bytes.get(20..24)?)),
        "image/gif" => (little(bytes.get(6..8)?), little(bytes.get(8..10)?)),
        "image/webp" => webp_size(bytes)?,
        "image/jpeg" => jpeg_size(bytes)?,
        _ => return None,
    };
    (width > 0 && height > 0).then_some((width, height))
}

fn big(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn webp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8X" => Some((little(bytes.get(24..27)?) + 1, little(bytes.get(27..30)?) + 1)),
        b"VP8L" => {
            let packed = little(bytes.get(21..25)?);
            Some(((packed & 0x3fff) + 1, (packed >> 14 & 0x3fff) + 1))
        }
        b"VP8 " => Some((little(bytes.get(26..28)?) & 0x3fff, little(bytes.get(28..30)?) & 0x3fff)),
        _ => None,
    }
}

/// Goes from segment to segment up to the one that begins the frame.
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let (marker, kind) = (*bytes.get(at)?, *bytes.get(at + 1)?);
        if marker != 0xff {
            return None;
        }
        match kind {
            // Fill bytes.
            0xff => at += 1,
            // C4, C8 and CC define tables; the others from C0 to CF begin a frame.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((big(bytes.get(at + 7..at + 9)?), big(bytes.get(at + 5..at + 7)?)));
            }
            _ => at += 2 + big(bytes.get(at + 2..at + 4)?) as usize,
        }
    }
}

/// The type and size of a picture in base64; `None` where it is not one.
pub(crate) fn read_base64(data: &str) -> Option<(&'static str, Option<(u32, u32)>)> {
    let media_type = media_type(&head_of(data, TYPE_BYTES)?)?;
    let needed = if media_type == "image/jpeg" { SIZE_BYTES_MAX } else { TYPE_BYTES };
    Some((media_type, size(&head_of(data, needed)?)))
}

/// The first `length` bytes, a multiple of three, of what is encoded.
fn head_of(data: &str, length: usize) -> Option<Vec<u8>> {
    let length = length / 3 * 4;
    data.as_bytes().get(..length).map_or_else(|| decode(data), |head| BASE64.decode(head).ok())
}

/// Decodes base64, with or without padding.
pub(crate) fn decode(data: &str) -> Option<Vec<u8>> {
    BASE64_NOPAD.decode(data.trim_end_matches('=').as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02";

    fn jpeg(lead: usize) -> Vec<u8> {
        let [high, low] = (lead as u16 + 2).to_be_bytes();
        let frame = b"\xff\xc0\0\x11\x08\x01\xe0\x02\x80\x03";
        [&b"\xff\xd8\xff\xe1"[..], &[high, low], &vec![0; lead], b"\xff\xff\xdb\0\x03\0", frame].concat()
    }

    #[test]
    fn types_and_sizes_are_those_of_the_content() {
        let webp = |chunk: &[u8]| [&b"RIFF\0\0\0\0WEBP"[..], chunk].concat();
        for (bytes, expected, pixels) in [
            (PNG.to_vec(), "image/png", Some((640, 480))),
            (b"GIF89a\x80\x02\xe0\x01".to_vec(), "image/gif", Some((640, 480))),
            (jpeg(9), "image/jpeg", Some((640, 480))),
            (webp(b"VP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0"), "image/webp", Some((640, 480))),
            (webp(b"VP8L\x05\0\0\0\x2f\x7f\xc2\x77\0"), "image/webp", Some((640, 480))),
            (webp(b"VP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01"), "image/webp", Some((640, 480))),
            (b"\0\0\0\x20ftypavif".to_vec(), "image/avif", None),
            (b"GIF89a\0\0\0\0".to_vec(), "image/gif", None),
        ] {
            assert_eq!((media_type(&bytes), size(&bytes)), (Some(expected), pixels), "{bytes:?}");
            for end in 0..bytes.len() {
                size(&bytes[..end]);
            }
        }
        for other in [&b"<html>"[..], b"", b"%PDF-1.7", b"BM0000", b"RIFF\0\0\0\0WAVE"] {
            assert_eq!(media_type(other), None);
        }
    }

    #[test]
    fn an_svg_is_a_text_whose_first_element_is_svg() {
        for text in ["<svg/>", "\u{feff}<?xml version='1.0'?>\n<!-- a -->\n<!DOCTYPE svg>\n<svg xmlns='x'>", " <svg\n"]
        {
            assert!(is_svg(text.as_bytes()), "{text}");
        }
        for text in ["<html><svg>", "<svgx>", "<!-- <svg>", "svg", "<svg", "", "<?xml"] {
            assert!(!is_svg(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn base64_is_read_by_its_beginning() {
        let long = BASE64.encode(&[PNG, &[7; 100_000]].concat());
        assert_eq!(read_base64(&long), Some(("image/png", Some((640, 480)))));
        assert_eq!(read_base64(&BASE64.encode(&jpeg(40_000))), Some(("image/jpeg", Some((640, 480)))));
        assert_eq!(read_base64(BASE64.encode(&jpeg(9)).trim_end_matches('=')).unwrap().0, "image/jpeg");
        for other in ["", "aGVsbG8=", "not base64 at all", "é"] {
            assert_eq!(read_base64(other), None);
        }
    }
}
