//! Attachments of messages, as the API takes them.

use serde_json::Value;

use super::field;
use crate::adapter::Refusal;

/// Media types of images that the model APIs take.
pub(in crate::adapter) const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// One image or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adapter) struct Attachment<'v> {
    pub(in crate::adapter) media_type: &'v str,
    /// Its content in base64.
    pub(in crate::adapter) data: &'v str,
    pub(in crate::adapter) name: Option<&'v str>,
}

impl<'v> Attachment<'v> {
    /// Reads one.
    ///
    /// # Errors
    /// Fails when it lacks its type or its content.
    pub(in crate::adapter) fn read(value: &'v Value) -> Result<Self, Refusal> {
        let (Some(media_type), Some(data)) = (field::text(value, "media_type"), field::text(value, "data")) else {
            return Err(Refusal::Invalid("an attachment needs media_type and data (base64)".to_owned()));
        };
        Ok(Self { media_type, data, name: field::text(value, "name") })
    }
}
