//! Answers to pages of other origins that the settings allow (CORS).

use super::GuardRules;
use crate::http::head::Head;
use crate::http::method::Method;
use crate::http::response::Response;

/// Headers that such a page may send.
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Last-Event-ID, MCP-Protocol-Version";
/// Headers of an answer that it may read, beside those that every page may.
const RESPONSE_HEADERS: &str = "Allow, Content-Disposition, ETag, Location, Retry-After, WWW-Authenticate";
/// Seconds for which a browser may remember what it was allowed.
const REMEMBERED_SECONDS: &str = "600";

impl GuardRules {
    /// The answer to a browser that asks what a page of a listed origin may send to a path with these methods; `None` when
    /// the request is something else.
    pub fn preflight(&self, head: &Head, methods: &str) -> Option<Response> {
        let asks = head.method() == Method::Options && head.header("access-control-request-method").is_some();
        if !asks || self.listed_origin(head).is_none() {
            return None;
        }
        let response = Response::new(204)
            .with_header("Access-Control-Allow-Methods", methods)
            .with_header("Access-Control-Allow-Headers", REQUEST_HEADERS)
            .with_header("Access-Control-Max-Age", REMEMBERED_SECONDS);
        Some(match head.header("access-control-request-private-network") {
            // A page of the Internet that asks a machine of the own network.
            Some("true") => response.with_header("Access-Control-Allow-Private-Network", "true"),
            _ => response,
        })
    }

    /// An answer that the page which asked may read, if its origin is listed. Without listed origins it is as it was.
    pub fn shared(&self, head: &Head, response: Response) -> Response {
        if self.origins.is_empty() {
            return response;
        }
        // Also where no origin is named: a cache must not give that answer to a page of a listed one.
        let response = response.with_header("Vary", "Origin");
        match self.listed_origin(head) {
            Some(origin) => response
                .with_header("Access-Control-Allow-Origin", origin)
                .with_header("Access-Control-Allow-Credentials", "true")
                .with_header("Access-Control-Expose-Headers", RESPONSE_HEADERS),
            None => response,
        }
    }

    fn listed_origin<'h>(&self, head: &'h Head) -> Option<&'h str> {
        head.header("origin").filter(|origin| self.lists_origin(origin))
    }
}
