//! The error of a server that does not start.

/// The reason that the server does not start. Its text says what to do.
pub(crate) type StartError = Box<dyn std::error::Error>;
