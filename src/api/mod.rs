//! The REST API: what the paths mean. One file a resource; the table in `routes` says which there are.
//!
//! Handlers run on the connections' threads. They read workers through their views and archives, and change them through
//! the registry's and the workers' commands, which return when the journal says that it is done.

mod clis;
mod error;
mod events;
mod export;
mod files;
mod gate;
mod health;
mod import;
mod input;
mod login;
mod markdown;
mod messages;
mod metrics;
mod openapi;
mod page;
mod permissions;
mod ready;
mod routes;
mod search;
mod sessions;
mod socket;
mod traffic;
mod workers;

use std::path::PathBuf;
use std::sync::Arc;

use crate::adapter::probe::Probes;
use crate::adapter::registry::Registry as Adapters;
use crate::assets::Assets;
use crate::http::guard::GuardRules;
use crate::http::throttle::Throttle;
use crate::http::{Answered, Head, Reply, Request, Response, Service};
use crate::sessions::Catalog;
use crate::worker::Registry;
use error::ApiError;
pub use error::mistakes_in_words;
pub use gate::Gate;
pub use ready::Readiness;
use routes::{Access, Found};
pub use search::Searches;
pub use socket::SocketLimits;
pub use traffic::Traffic;

/// What the API is made of.
pub struct Api {
    /// The workers.
    pub registry: Arc<Registry>,
    /// The CLIs.
    pub adapters: Arc<Adapters>,
    /// What is known of their programs.
    pub probes: Arc<Probes>,
    /// Who may ask.
    pub guard: GuardRules,
    /// Slows down who guesses tokens.
    pub throttle: Throttle,
    /// The page's files.
    pub assets: Assets,
    /// Where the CLIs keep their sessions.
    pub sessions: Arc<Catalog>,
    /// Folders that projects must lie in, resolved; empty is anywhere.
    pub project_roots: Vec<PathBuf>,
    /// The path below which all routes stand; empty is the root.
    pub base_path: String,
    /// The adapter of a worker that names none.
    pub default_cli: String,
    /// Longest body that carries a message, in bytes.
    pub body_bytes_max: usize,
    /// Bounds of WebSockets.
    pub socket_limits: SocketLimits,
    /// Most connections.
    pub connections_max: usize,
    /// Most messages that wait for the webhook; 0 where there is none.
    pub webhook_queue_max: usize,
    /// Whether it can take work.
    pub readiness: Readiness,
    /// The searches that run.
    pub searches: Searches,
    /// How often each route was asked.
    pub traffic: Traffic,
}

/// One request and the parts of its path that stand for something.
struct Call<'c> {
    api: &'c Api,
    request: &'c Request,
    params: Vec<&'c str>,
}

type Handled = Result<Reply, ApiError>;

impl Service for Api {
    fn body_limit(&self, head: &Head) -> Result<usize, Response> {
        self.admit(head).map_err(with_usual_headers)
    }

    fn answered(&self, answer: Answered) {
        self.traffic.count(answer);
    }

    fn call(&self, request: Request) -> Reply {
        let Found::Route(route, place, params) = self.find(&request.head) else {
            return with_usual_headers(Response::error(404, "Not Found")).into();
        };
        let call = Call { api: self, request: &request, params };
        match (route.handler)(&call).unwrap_or_else(|error| error.response().into()) {
            Reply::Response(response) => Reply::Response(with_usual_headers(response).with_tag(place)),
            Reply::Stream(response, body) => Reply::Stream(with_usual_headers(response).with_tag(place), body),
            Reply::Upgrade(response, body) => Reply::Upgrade(response.with_tag(place), body),
        }
    }
}

impl Api {
    /// The route of a request, whose path stands below `BASE_PATH`.
    fn find<'h>(&self, head: &'h Head) -> Found<'h> {
        match head.path().strip_prefix(self.base_path.as_str()) {
            Some(path) if path.starts_with('/') => routes::find(head.method(), path),
            _ => Found::Nothing,
        }
    }

    /// The answer where no route is. What is asked of the base path itself is the page, whose relative addresses need the
    /// slash at its end; the redirection is relative too, since a proxy may have a prefix of its own.
    fn not_found(&self, path: &str) -> Response {
        let base = &self.base_path;
        if base.is_empty() {
            Response::error(404, "Not Found")
        } else if path == base {
            let last = base.rsplit('/').next().unwrap_or_default();
            Response::new(308).with_header("Location", &format!("{last}/"))
        } else if path.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/')) {
            Response::error(404, "Not Found")
        } else {
            Response::error(404, format!("nothing is served here: all paths begin with {base}/ (see BASE_PATH)"))
        }
    }

    /// How long the request's body may be, or why the request is refused.
    fn admit(&self, head: &Head) -> Result<usize, Response> {
        self.guard.check(head).map_err(|refusal| refusal.response())?;
        let (route, place) = match self.find(head) {
            Found::Route(route, place, _) => (route, place),
            Found::WrongMethod(allowed) => {
                return Err(Response::error(405, "Method Not Allowed").with_header("Allow", &allowed));
            }
            Found::Nothing => return Err(self.not_found(head.path())),
        };
        let admitted = match route.access {
            Access::Anybody => Ok(()),
            Access::Known => login::admit(self, head),
            Access::KnownReader => login::admit(self, head).map_err(|refused| login::instead(head, refused)),
        };
        admitted.map_err(|response| response.with_tag(place))?;
        Ok(match route.body {
            routes::BodySize::None => 0,
            routes::BodySize::Small => routes::SMALL_BODY_BYTES_MAX,
            routes::BodySize::Message => self.body_bytes_max,
        })
    }
}

/// The headers that an answer gets unless it has them: it is of the type that it says, and nobody keeps a copy of what
/// agents do.
const USUAL_HEADERS: [(&str, &str); 2] = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")];

fn with_usual_headers(response: Response) -> Response {
    USUAL_HEADERS.into_iter().fold(response, |response, (name, value)| match response.header(name) {
        Some(_) => response,
        None => response.with_header(name, value),
    })
}

impl Call<'_> {
    fn worker(&self) -> Result<Arc<crate::worker::Worker>, ApiError> {
        Ok(self.api.registry.get(self.params.first().copied().unwrap_or_default())?)
    }

    fn head(&self) -> &Head {
        &self.request.head
    }
}
