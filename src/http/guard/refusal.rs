//! Reasons for refusing a request, and the answers that say so.

use std::fmt;

use super::host::{plain_host, split_host};
use crate::http::page::page;
use crate::http::response::Response;

/// Advice after a refusal of a local user.
const LET_IN: &str =
    "to let others in, set AUTH_TOKEN or LOCAL_ACCESS=token and give them the token (see LOCAL_ACCESS)";

/// A refusal of a request. Its text is the response's `detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardRefusal {
    /// A Host that is not on the list: 403.
    Host(String),
    /// Another site's page: 403.
    Origin(String),
    /// A browser that says that another site sent this: 403.
    CrossSite,
    /// A body that is not JSON: 415.
    ContentType,
    /// No token, where one is needed: 401.
    TokenMissing,
    /// A body that is compressed: 415.
    ContentCoding(String),
    /// A wrong token: 401. The secret is for [`Throttle::count`](crate::http::throttle::Throttle::count).
    TokenWrong {
        /// The attempted token.
        secret: String,
    },
    /// The cookie of a login that has ended: 401.
    LoginEnded,
    /// Came through a proxy, or from another machine, and no token is set that could let it in: 401.
    NotLocal,
    /// Came from this machine, from a user who may not come without a token: 401.
    OtherUser {
        /// The id of that user.
        user: u32,
        /// The server's own user.
        own: u32,
    },
    /// Came from this machine, and the user behind it is not known: 401.
    UnknownUser(String),
}

impl GuardRefusal {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Host(_) | Self::Origin(_) | Self::CrossSite => 403,
            Self::ContentType | Self::ContentCoding(_) => 415,
            Self::TokenMissing
            | Self::TokenWrong { .. }
            | Self::LoginEnded
            | Self::NotLocal
            | Self::OtherUser { .. }
            | Self::UnknownUser(_) => 401,
        }
    }

    /// The answer: `{"detail": ...}`; a 401 says that a bearer token is wanted.
    /// [`GuardRules::answer`](super::GuardRules::answer) also takes a cookie of no use away.
    pub fn response(&self) -> Response {
        let response = Response::error(self.status(), self.to_string());
        match self {
            // RFC 9110 (15.5.16): what would be taken.
            Self::ContentCoding(_) => response.with_header("Accept-Encoding", "identity"),
            _ if self.status() == 401 => response.with_header("WWW-Authenticate", "Bearer"),
            _ => response,
        }
    }
}

impl fmt::Display for GuardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "host not allowed: {host} (see ALLOWED_HOSTS)"),
            Self::Origin(origin) => write!(f, "origin not allowed: {origin} (see ALLOWED_ORIGINS)"),
            Self::CrossSite => f.write_str("requests from other sites are not allowed (see ALLOWED_ORIGINS)"),
            Self::ContentType => f.write_str("the body must be JSON, with Content-Type: application/json"),
            Self::ContentCoding(coding) => {
                write!(
                    f,
                    "the body is compressed (Content-Encoding: {coding}); gzip and other codings are not accepted: send it \
                     uncompressed"
                )
            }
            Self::TokenMissing => f.write_str("a token is needed: send it as Authorization: Bearer, or log in"),
            Self::TokenWrong { .. } => f.write_str("the token is wrong"),
            Self::LoginEnded => f.write_str("this login has ended: log in again"),
            Self::NotLocal => f.write_str(
                "only programs of this machine get in without a token, and not through a proxy (see AUTH_TOKEN)",
            ),
            Self::OtherUser { user, own } => write!(
                f,
                "this server takes requests without a token from its own user (uid {own}) and from root alone, and this one \
                 is from uid {user}; {LET_IN}"
            ),
            Self::UnknownUser(why) => write!(
                f,
                "this server takes requests without a token from its own user and from root alone, and the user behind this \
                 one is not known: {why}; {LET_IN}"
            ),
        }
    }
}

impl std::error::Error for GuardRefusal {}

/// The page for a person who opens the server by a name that it does not serve.
pub(super) fn host_page(host: &str) -> Response {
    let name = split_host(host).map_or(host.into(), |(name, _)| plain_host(name));
    let paragraphs = [
        format!("This is an rs-worker server, and {name} is not one of the names that it serves."),
        format!(
            "If the server is yours: put ALLOWED_HOSTS={name} into its .env file (more names follow after commas)."
        ),
        "Restart it, and open this page again.".to_owned(),
        "Only listed names are served, because a web page of somebody else can let a name of its own lead here (DNS \
         rebinding)."
            .to_owned(),
    ];
    page(403, "Host not allowed", &paragraphs)
}
