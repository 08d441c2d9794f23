//! One route: who may use it, and how long a body it takes.

use std::io::Read;

use super::{Call, Handled};
use crate::http::Method;

/// The access that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody, by whatever name: a probe. Its answer tells the same to all.
    Probe,
    /// Anybody who may talk to this server at all.
    Anybody,
    /// Clients with the token, where one is needed.
    Known,
    /// The same, and a browser without it is sent to the login.
    KnownReader,
}

/// The largest body of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodySize {
    None,
    Small,
    /// Text and images: `MAX_BODY_BYTES`.
    Message,
}

/// The function of a route.
pub(super) enum Handler {
    /// Gets a body that was read, of at most so many bytes.
    Whole(BodySize, fn(&Call<'_>) -> Handled),
    /// Reads the body as it comes: at most `IMPORT_MAX_BYTES`.
    Streamed(fn(&Call<'_>, &mut dyn Read) -> Handled),
}

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    /// Parts in braces stand for anything; a last part `{*}` for the whole rest.
    pub(super) pattern: &'static str,
    pub(super) access: Access,
    pub(super) handler: Handler,
}

impl Access {
    /// Returns whether no token is asked for.
    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Probe | Self::Anybody)
    }
}

impl Route {
    pub(super) const fn method(&self) -> Method {
        self.method
    }

    /// Returns whether a request of it may have a body.
    pub(super) fn takes_body(&self) -> bool {
        !matches!(self.handler, Handler::Whole(BodySize::None, _))
    }

    pub(super) const fn pattern(&self) -> &'static str {
        self.pattern
    }
}
