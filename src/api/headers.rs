//! Headers of all responses.

use crate::http::Response;

/// The default headers of a response: its content type is not sniffed, and it is not cached, because it shows what
/// agents do.
const USUAL_HEADERS: [(&str, &str); 2] = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")];

/// Adds the default headers that a response lacks.
pub(super) fn with_usual_headers(response: Response) -> Response {
    USUAL_HEADERS.into_iter().fold(response, |response, (name, value)| match response.header(name) {
        Some(_) => response,
        None => response.with_header(name, value),
    })
}
