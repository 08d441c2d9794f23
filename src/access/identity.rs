//! The credential behind a request.

use std::sync::Arc;

use super::reach::{EVERYTHING, Reach};
use super::scope::Scope;
use super::token::Token;

/// The credential of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The server's own token.
    Token {
        /// True if the token was made from random bytes, so that nobody can guess it.
        random: bool,
    },
    /// The cookie of a login, which has this name in lists.
    Login(String),
    /// A token that an operator made.
    Scoped(Arc<Token>),
    /// The cookie of a login that such a token began.
    ScopedLogin {
        /// The login's name in lists.
        login: String,
        /// The token that it came from.
        token: Arc<Token>,
    },
    /// A connection from this machine, without a credential.
    Local,
}

impl Identity {
    /// The token with scopes behind it.
    pub(crate) fn token(&self) -> Option<&Arc<Token>> {
        match self {
            Self::Scoped(token) | Self::ScopedLogin { token, .. } => Some(token),
            Self::Token { .. } | Self::Login(_) | Self::Local => None,
        }
    }

    /// The worker whose agent it is of, by the token of its run.
    pub(crate) fn agent_of(&self) -> Option<&str> {
        self.token()?.reach.below.as_deref()
    }

    /// The login behind it.
    pub(crate) fn login(&self) -> Option<&str> {
        match self {
            Self::Login(login) | Self::ScopedLogin { login, .. } => Some(login),
            Self::Token { .. } | Self::Scoped(_) | Self::Local => None,
        }
    }

    /// The degree of access.
    pub(crate) fn scope(&self) -> Scope {
        self.token().map_or(Scope::Admin, |token| token.scope)
    }

    /// The workers that it may see.
    pub(crate) fn reach(&self) -> &Reach {
        self.token().map_or(&EVERYTHING, |token| &token.reach)
    }

    /// The kind of credential, for the audit.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Token { .. } => "auth_token",
            Self::Login(_) => "login",
            Self::Scoped(_) => "token",
            Self::ScopedLogin { .. } => "token_login",
            Self::Local => "local",
        }
    }
}
