//! The connections that a credential has opened, which end with it.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Weak};

/// The open connections of one credential.
#[derive(Default)]
pub(crate) struct Connections(Vec<Weak<TcpStream>>);

impl Connections {
    /// Adds a connection, once.
    pub(crate) fn add(&mut self, connection: &Arc<TcpStream>) {
        if self.0.iter().any(|held| held.as_ptr() == Arc::as_ptr(connection)) {
            return;
        }
        self.0.retain(|held| held.strong_count() > 0);
        self.0.push(Arc::downgrade(connection));
    }

    /// Closes all of them, but for the one that `asking` is.
    pub(crate) fn close(&self, asking: Option<&Arc<TcpStream>>) {
        for connection in self.0.iter().filter_map(Weak::upgrade) {
            if !asking.is_some_and(|asking| Arc::ptr_eq(asking, &connection)) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}
