//! The reason that a message was not taken.

use std::fmt;
use std::io;

use crate::outbound;

/// The reason that a message was not taken.
#[derive(Debug)]
pub(super) enum DeliveryFailure {
    /// The address is one that is not allowed.
    Private(String),
    /// The network, or the receiver's protocol.
    Io(io::Error),
    /// The receiver has said no.
    Status(u16),
}

impl DeliveryFailure {
    /// Returns whether another try may go better.
    pub(super) const fn is_passing(&self) -> bool {
        match self {
            Self::Private(_) => false,
            Self::Io(_) => true,
            Self::Status(status) => *status >= 500 || matches!(*status, 408 | 425 | 429),
        }
    }
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(reason) => write!(f, "{reason} (see WEBHOOK_ALLOW_PRIVATE)"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Status(status @ 300..=399) => {
                write!(
                    f,
                    "the receiver answers {status}: redirections are not followed, set WEBHOOK_URL to where it leads"
                )
            }
            Self::Status(status) => write!(f, "the receiver answers {status}"),
        }
    }
}

impl From<outbound::RequestFailure> for DeliveryFailure {
    fn from(failure: outbound::RequestFailure) -> Self {
        match failure {
            outbound::RequestFailure::Private(reason) => Self::Private(reason),
            outbound::RequestFailure::Io(error) => Self::Io(error),
        }
    }
}
