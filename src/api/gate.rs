//! The API while the server starts: liveness and readiness are answered at once; everything else waits until all
//! workers are loaded, as it would in the listener's backlog.

use std::io::Read;
use std::sync::{Arc, OnceLock};

use super::headers::with_usual_headers;
use super::{Api, health, ready};
use crate::http::guard::GuardRules;
use crate::http::{BodyLimit, Head, Method, Reply, Request, Response, ServedResponse, Service};

/// Wraps the API, and forwards requests to it from [`Gate::open`] on.
pub(crate) struct Gate {
    guard: GuardRules,
    base_path: String,
    api: OnceLock<Arc<Api>>,
}

impl Gate {
    /// Creates a closed gate.
    pub(crate) const fn new(guard: GuardRules, base_path: String) -> Self {
        Self { guard, base_path, api: OnceLock::new() }
    }

    /// Forwards all requests to `api`, waiting ones first. Called once.
    pub(crate) fn open(&self, api: Arc<Api>) {
        // A second call would be a bug; the first API stays in use.
        let _ = self.api.set(api);
    }

    /// Answers requests that do not wait. Both routes need no authentication, before and after the start.
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
    fn body_limit(&self, head: &Head) -> Result<BodyLimit, Response> {
        if self.api.get().is_none() && self.early(head).is_some() {
            let checked = self.guard.check_probe(head).map(|()| BodyLimit::Whole(0));
            return checked.map_err(|refusal| self.guard.answer(head, &refusal));
        }
        self.api.wait().body_limit(head)
    }

    fn finish(&self, head: &Head, response: Response) -> Response {
        self.guard.shared(head, with_usual_headers(response))
    }

    fn call(&self, request: &Request) -> Reply {
        match (self.api.get(), self.early(&request.head)) {
            (None, Some(answer)) => answer.into(),
            _ => self.api.wait().call(request),
        }
    }

    fn receive(&self, request: &Request, body: &mut dyn Read) -> Reply {
        self.api.wait().receive(request, body)
    }

    fn answered(&self, answer: ServedResponse) {
        if let Some(api) = self.api.get() {
            api.answered(answer);
        }
    }
}
