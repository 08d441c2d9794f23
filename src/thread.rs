//! Named threads that are joined. A leaf module.
//!
//! Every thread of the server is started here, so that each has a name (visible in `top -H` and in panics), a small
//! stack, and a handle that must be joined. A thread that is not joined is marked at the call with [`Thread::detach`].

use std::io;
use std::thread::{Builder, JoinHandle};

/// Stack of a thread of ours, in bytes. The deepest of them parse JSON, whose nesting serde_json limits to 128.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// Stack for [`with_deep_stack`], in bytes. Only what is touched takes memory.
const DEEP_STACK_BYTES: usize = 16 * 1024 * 1024;

/// Runs a short `body` that may call itself deeply on a thread of its own, and waits for it. `None` when the system has no
/// more threads to give, or it panicked.
pub(crate) fn with_deep_stack<T: Send>(name: &str, body: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let thread = Builder::new().name(name.to_owned()).stack_size(DEEP_STACK_BYTES);
        thread.spawn_scoped(scope, body).ok()?.join().ok()
    })
}

/// A running thread with a name. Dropping it joins it.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts `body` on a thread called `name` (the kernel shows its first 15 bytes).
    ///
    /// # Errors
    /// Fails when the system has no more threads to give; the caller answers its client with that.
    pub(crate) fn spawn(name: impl Into<String>, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let handle = Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(body)?;
        Ok(Self { handle: Some(handle) })
    }

    /// Lets the thread run on alone. Call sites say why that is right.
    pub(crate) fn detach(mut self) {
        drop(self.handle.take());
    }

    /// Returns whether the thread's body has returned.
    pub(crate) fn is_finished(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take()
            && handle.thread().id() != std::thread::current().id()
            && handle.join().is_err()
        {
            log::error!("a thread panicked; see its message above");
        }
    }
}
