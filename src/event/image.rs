//! Images in what CLIs say: taken out of the values around them, so that no event repeats their data.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::picture;

/// Most images of one event.
const IMAGES_MAX: usize = 32;
/// Longest text that may be data and is left where it is, in bytes.
const SHORT: usize = 400;
/// Fields in which CLIs, MCP and the model APIs have data.
const DATA_FIELDS: [&str; 3] = ["data", "base64", "blob"];
/// The beginning of an address that is an image itself, and what ends its head.
const ADDRESS: &str = "data:image/";
const ADDRESS_HEAD_END: &str = ";base64,";

/// An image of an event. Clients get its data by an address of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Its type, by its content.
    pub media_type: &'static str,
    /// Bytes of its data.
    pub bytes: usize,
    /// Its width in pixels, where its head says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Its height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Its data in base64, which the wire does not repeat.
    #[serde(skip)]
    pub data: String,
}

impl Image {
    /// The image that `data` is in base64; gives it back where it is not one.
    fn read(data: String) -> Result<Self, String> {
        let Some((media_type, size)) = picture::read_base64(&data) else { return Err(data) };
        let bytes = data.trim_end_matches('=').len() / 4 * 3 + [0, 0, 1, 2][data.trim_end_matches('=').len() % 4];
        Ok(Self { media_type, bytes, width: size.map(|size| size.0), height: size.map(|size| size.1), data })
    }
}

/// Takes all images out of a value and leaves notes in their places. Other long data becomes a note as well.
pub(crate) fn take(value: &mut Value) -> Vec<Image> {
    let mut images = Vec::new();
    visit(value, &mut images);
    images
}

/// Takes the images out of a value that are not among `images` yet: CLIs repeat what the model sees for programs.
pub(crate) fn take_more(value: &mut Value, images: &mut Vec<Image>) {
    let more = take(value).into_iter().filter(|image| !images.iter().any(|known| known.data == image.data));
    let more: Vec<Image> = more.collect();
    images.extend(more.into_iter().take(IMAGES_MAX.saturating_sub(images.len())));
}

/// Returns whether a value has an image.
pub(crate) fn is_in(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(is_in),
        Value::Object(fields) => fields.iter().any(|(name, inner)| match inner {
            Value::String(text) => match embedded(text) {
                Some(at) => picture::read_base64(&text[at..]).is_some(),
                None => DATA_FIELDS.contains(&name.as_str()) && picture::read_base64(text).is_some(),
            },
            inner => is_in(inner),
        }),
        _ => false,
    }
}

fn visit(value: &mut Value, images: &mut Vec<Image>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| visit(item, images)),
        Value::Object(fields) => visit_fields(fields, images),
        _ => {}
    }
}

fn visit_fields(fields: &mut Map<String, Value>, images: &mut Vec<Image>) {
    for (name, inner) in fields.iter_mut() {
        let Value::String(text) = inner else {
            visit(inner, images);
            continue;
        };
        if let Some(at) = embedded(text) {
            let data = text.split_off(at);
            text.push_str(&put(data, images).unwrap_or_else(|data| data));
        } else if DATA_FIELDS.contains(&name.as_str()) {
            let data = std::mem::take(text);
            *text = put(data, images).unwrap_or_else(|data| if is_data(&data) { note(data.len()) } else { data });
        }
    }
}

/// The place at which the data of an address begin that is an image itself.
fn embedded(text: &str) -> Option<usize> {
    let head = text.starts_with(ADDRESS).then(|| text.as_bytes().get(..100).unwrap_or(text.as_bytes()))?;
    memchr::memmem::find(head, ADDRESS_HEAD_END.as_bytes()).map(|at| at + ADDRESS_HEAD_END.len())
}

/// Keeps an image and returns the note in its place; gives back what is not one.
fn put(data: String, images: &mut Vec<Image>) -> Result<String, String> {
    let image = Image::read(data)?;
    let note = note(image.data.len());
    if images.len() < IMAGES_MAX {
        images.push(image);
    }
    Ok(note)
}

/// Returns whether a text is long and looks like base64.
fn is_data(text: &str) -> bool {
    let is_code = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    text.len() > SHORT && text.as_bytes()[..SHORT].iter().all(is_code)
}

fn note(length: usize) -> String {
    format!("[{length} bytes of base64]")
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use serde_json::json;

    use super::*;

    fn png(fill: u8) -> String {
        BASE64.encode(&[&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x03"[..], &[fill; 60]].concat())
    }

    #[test]
    fn images_are_taken_out_in_every_form_that_clis_have() {
        let data = png(0);
        let address = format!("data:image/png;base64,{data}");
        for value in [
            json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]),
            json!({"content": [{"type": "text", "text": "a"}, {"type": "image", "mimeType": "image/png", "data": data}]}),
            json!({"type": "image", "file": {"base64": data, "type": "image/png"}}),
            json!([{"type": "input_image", "image_url": address}]),
            json!([{"type": "image_url", "image_url": {"url": address}}]),
            json!({"functionResponse": {"parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]}}),
            json!({"resource": {"uri": "file:///a.png", "mimeType": "image/png", "blob": data}}),
        ] {
            let mut left = value.clone();
            assert!(is_in(&value), "{value}");
            let images = take(&mut left);
            assert_eq!(images.len(), 1, "{value}");
            assert_eq!((images[0].media_type, images[0].bytes), ("image/png", 84));
            assert_eq!((images[0].width, images[0].height, &images[0].data), (Some(2), Some(3), &data));
            assert!(!left.to_string().contains(&data) && left.to_string().contains("bytes of base64"), "{left}");
            assert!(!is_in(&left), "{left}");
        }
    }

    #[test]
    fn non_images_stay_and_long_data_becomes_a_note() {
        let text = json!({"data": "plain words ".repeat(100), "url": "data:text/html;base64,AAAA", "a": png(0)});
        let mut left = text.clone();
        assert_eq!(take(&mut left), []);
        assert_eq!(left, text);
        let mut pdf = json!({"source": {"media_type": "application/pdf", "data": BASE64.encode(&[b'%'; 900])}});
        assert_eq!(take(&mut pdf), []);
        assert_eq!(pdf["source"]["data"], "[1200 bytes of base64]");
    }

    #[test]
    fn an_image_is_kept_once_and_many_are_bounded() {
        let mut images = Vec::new();
        take_more(&mut json!({"data": png(1)}), &mut images);
        take_more(&mut json!([{"base64": png(1)}, {"base64": png(2)}]), &mut images);
        assert_eq!(images.len(), 2);
        let many: Vec<Value> = (0..100).map(|number| json!({"data": png(number)})).collect();
        let mut many = Value::Array(many);
        assert_eq!(take(&mut many).len(), IMAGES_MAX);
        assert!(many[99]["data"].as_str().unwrap().ends_with("of base64]"));
    }
}
