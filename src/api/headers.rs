//! Headers that all answers have.

use crate::http::Response;

/// The headers that an answer gets unless it has them: it is of the type that it says, and nobody keeps a copy of what
/// agents do.
const USUAL_HEADERS: [(&str, &str); 2] = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")];

/// Adds the usual headers to a response that lacks them.
pub(super) fn with_usual_headers(response: Response) -> Response {
    USUAL_HEADERS.into_iter().fold(response, |response, (name, value)| match response.header(name) {
        Some(_) => response,
        None => response.with_header(name, value),
    })
}
