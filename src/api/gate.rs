//! The API while the server starts: life and readiness are answered at once, everything else waits until all workers are
//! loaded, as it would in the listener's queue.

use std::sync::{Arc, OnceLock};

use super::{Api, health, ready, with_usual_headers};
use crate::http::guard::GuardRules;
use crate::http::{Answered, Head, Method, Reply, Request, Response, Service};

/// Stands before the API, and lets requests through from [`Gate::open`] on.
pub struct Gate {
    guard: GuardRules,
    base_path: String,
    api: OnceLock<Arc<Api>>,
}

impl Gate {
    /// A gate that is closed.
    pub const fn new(guard: GuardRules, base_path: String) -> Self {
        Self { guard, base_path, api: OnceLock::new() }
    }

    /// Lets all requests through to `api`, those that wait first. Done once.
    pub fn open(&self, api: Arc<Api>) {
        // A second one would be a mistake of the program, and the first goes on.
        let _ = self.api.set(api);
    }

    /// The answer to what is not kept waiting. Anybody may ask these two, as is so after the start.
    fn early(&self, head: &Head) -> Option<Response> {
        if !matches!(head.method(), Method::Get | Method::Head) {
            return None;
        }
        match head.path().strip_prefix(self.base_path.as_str())? {
            "/health" => Some(health::alive()),
            "/api/ready" | "/api/v1/ready" => Some(ready::not_ready("starting: the workers are being loaded")),
            _ => None,
        }
    }
}

impl Service for Gate {
    fn body_limit(&self, head: &Head) -> Result<usize, Response> {
        if self.api.get().is_none() && self.early(head).is_some() {
            return self.guard.check(head).map(|()| 0).map_err(|refusal| with_usual_headers(refusal.response()));
        }
        self.api.wait().body_limit(head)
    }

    fn call(&self, request: Request) -> Reply {
        match (self.api.get(), self.early(&request.head)) {
            (None, Some(answer)) => with_usual_headers(answer).into(),
            _ => self.api.wait().call(request),
        }
    }

    fn answered(&self, answer: Answered) {
        if let Some(api) = self.api.get() {
            api.answered(answer);
        }
    }
}
