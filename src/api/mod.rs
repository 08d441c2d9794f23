//! The REST API: what the paths mean. One file a resource; the table in `routes` says which there are.
//!
//! Handlers run on the connections' threads. They read workers through their views and archives, and change them through
//! the registry's and the workers' commands, which return when the journal says that it is done.

mod answer;
mod attachment;
mod blob;
mod call;
mod clis;
mod creation;
mod decision;
mod error;
mod events;
mod export;
mod files;
mod gate;
mod headers;
mod health;
mod import;
mod input;
mod login;
mod logins;
mod mcp;
mod messages;
mod metrics;
mod openapi;
mod options;
mod page;
mod permissions;
mod push;
mod readiness;
mod ready;
mod recall;
mod route;
mod routes;
mod search;
mod searches;
mod sessions;
mod settings;
mod socket;
mod traffic;
mod usage;
mod whole;
mod workers;

use std::io::Read;

use crate::http::{Answered, BodyLimit, Head, Reply, Request, Response, Service};
use crate::percent;
pub(crate) use call::{Api, Clis};
pub(in crate::api) use call::{Call, Handled};
pub(crate) use error::mistakes_in_words;
pub(crate) use gate::Gate;
use headers::with_usual_headers;
pub(crate) use readiness::Readiness;
use route::{Access, BodySize, Handler};
use routes::Found;
pub(crate) use searches::Searches;
pub(crate) use settings::{ApiSettings, SocketLimits};
use traffic::Traffic;

/// Creates empty counts for all routes.
pub(crate) fn traffic() -> Traffic {
    Traffic::new(routes::all().iter().map(|route| (route.method().as_str(), route.pattern())).collect())
}

impl Service for Api {
    fn body_limit(&self, head: &Head) -> Result<BodyLimit, Response> {
        self.admit(head)
    }

    fn finish(&self, head: &Head, response: Response) -> Response {
        self.guard.shared(head, with_usual_headers(response))
    }

    fn answered(&self, answer: Answered) {
        self.traffic.count(answer);
    }

    fn call(&self, request: &Request) -> Reply {
        self.handle(request, &mut request.body.as_slice())
    }

    fn receive(&self, request: &Request, body: &mut dyn Read) -> Reply {
        self.handle(request, body)
    }
}

impl Api {
    fn handle(&self, request: &Request, body: &mut dyn Read) -> Reply {
        let Found::Route(route, place, params) = self.find(&request.head) else {
            return Response::error(404, "Not Found").into();
        };
        let call = Call { api: self, request, params };
        let handled = match route.handler {
            Handler::Whole(_, handler) => handler(&call),
            Handler::Streamed(handler) => handler(&call, body),
        };
        match handled.unwrap_or_else(|error| error.response().into()) {
            Reply::Response(response) => Reply::Response(response.with_tag(place)),
            Reply::Stream(response, body) => Reply::Stream(response.with_tag(place), body),
            Reply::Upgrade(response, body) => Reply::Upgrade(response.with_tag(place), body),
        }
    }

    /// The route of a request, whose path stands below `BASE_PATH`.
    fn find<'h>(&self, head: &'h Head) -> Found<'h> {
        match head.path().strip_prefix(self.settings.base_path.as_str()) {
            Some(path) if path.starts_with('/') => routes::find(head.method(), path),
            _ => Found::Nothing,
        }
    }

    /// The answer where no route is. What is asked of the base path itself is the page, whose relative addresses need the
    /// slash at its end; the redirection is relative too, since a proxy may have a prefix of its own.
    fn not_found(&self, head: &Head) -> Response {
        let (base, path) = (&self.settings.base_path, head.path());
        if let Some(response) = self.without_slash(head) {
            response
        } else if base.is_empty() {
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

    /// The way to a route that is asked for with a slash behind it, as the reference redirects. The address is relative,
    /// since a proxy may have a prefix of its own.
    fn without_slash(&self, head: &Head) -> Option<Response> {
        let path = head.path().strip_prefix(self.settings.base_path.as_str())?.strip_suffix('/')?;
        let (_, last) = path.rsplit_once('/')?;
        if matches!(routes::find(head.method(), path), Found::Nothing) {
            return None;
        }
        let query = head.raw_query().map_or_else(String::new, |query| format!("?{query}"));
        Some(Response::new(307).with_header("Location", &format!("../{}{query}", percent::encode(last))))
    }

    /// Returns the largest body that the request may have, or a refusal.
    fn admit(&self, head: &Head) -> Result<BodyLimit, Response> {
        let found = self.find(head);
        let is_probe = matches!(&found, Found::Route(route, ..) if route.access == Access::Probe);
        let checked = if is_probe { self.guard.check_probe(head) } else { self.guard.check(head) };
        checked.map_err(|refusal| self.guard.answer(head, &refusal))?;
        let (route, place) = match found {
            Found::Route(route, place, _) => (route, place),
            Found::WrongMethod(allowed) => {
                if let Some(response) = self.guard.preflight(head, &allowed) {
                    return Err(response);
                }
                return Err(Response::error(405, "Method Not Allowed").with_header("Allow", &allowed));
            }
            Found::Nothing => return Err(self.not_found(head)),
        };
        let admitted = match route.access {
            Access::Anybody | Access::Probe => Ok(()),
            Access::Known => login::admit(self, head),
            Access::KnownReader => login::admit(self, head).map_err(|refused| login::instead(head, refused)),
        };
        admitted.map_err(|response| response.with_tag(place))?;
        Ok(match route.handler {
            Handler::Streamed(_) => BodyLimit::Streamed(self.settings.import_bytes_max),
            Handler::Whole(size, _) => BodyLimit::Whole(match size {
                BodySize::None => 0,
                BodySize::Small => routes::SMALL_BODY_BYTES_MAX,
                BodySize::Message => self.settings.body_bytes_max,
            }),
        })
    }
}
