//! One route: the scope that it requires, and how long a body it takes.

use std::io::Read;

use super::socket::SocketCommand;
use super::{ApiCall, RouteResult};
use crate::access::Scope;
use crate::http::Method;

/// The access that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteAccess {
    /// Anyone, under any host name: a probe. Its response is the same for all.
    Probe,
    /// Any client that passes the access rules, without authentication.
    Anybody,
    /// Clients with a credential of this scope, narrowed like this.
    Known(Scope, Narrowing),
    /// The same, and a browser without one is sent to the login.
    KnownReader(Scope, Narrowing),
}

/// The effect of a token's narrowing to workers and projects on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Narrowing {
    /// None: the answer holds nothing of any worker.
    Free,
    /// The first part in braces is a worker; one out of reach is answered as one that is not there.
    Worker,
    /// The handler leaves out what is out of reach.
    Filtered,
    /// The route is about the whole server, and refused to narrowed tokens.
    Whole,
}

impl Narrowing {
    /// Its name in the OpenAPI document.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Worker => "worker",
            Self::Filtered => "filtered",
            Self::Whole => "whole",
        }
    }
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
    /// Receives a body that was read already, of at most so many bytes.
    Whole(BodySize, fn(&ApiCall<'_>) -> RouteResult),
    /// Reads the body as a stream: at most `IMPORT_MAX_BYTES`.
    Streamed(fn(&ApiCall<'_>, &mut dyn Read) -> RouteResult),
}

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    /// Parts in braces match anything; a last part `{*}` for the whole rest.
    pub(super) pattern: &'static str,
    pub(super) access: RouteAccess,
    pub(super) handler: Handler,
    /// The commands that its WebSocket takes.
    pub(super) commands: &'static [SocketCommand],
    /// True if the audit has its requests.
    pub(super) audited: bool,
}

impl RouteAccess {
    /// Returns whether it needs no token.
    pub(super) const fn is_open(self) -> bool {
        self.required().is_none()
    }

    /// Returns the scope that is asked for, and the effect of a narrowing.
    pub(super) const fn required(self) -> Option<(Scope, Narrowing)> {
        match self {
            Self::Probe | Self::Anybody => None,
            Self::Known(scope, narrowing) | Self::KnownReader(scope, narrowing) => Some((scope, narrowing)),
        }
    }
}

impl Route {
    pub(super) const fn method(&self) -> Method {
        self.method
    }

    /// Returns whether its requests may have a body.
    pub(super) fn takes_body(&self) -> bool {
        !matches!(self.handler, Handler::Whole(BodySize::None, _))
    }

    pub(super) const fn pattern(&self) -> &'static str {
        self.pattern
    }
}
