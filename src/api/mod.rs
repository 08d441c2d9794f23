//! The REST API: the handlers of the routes. One file per resource; the table in `routes` lists them.
//!
//! Handlers run on the connections' threads. They read workers through their views and archives, and change them
//! through commands of the registry and the workers, which return when the change is in the journal.

mod acp;
mod answer;
mod attachment;
mod audit;
mod audited;
mod blob;
mod budgets;
mod call;
mod clis;
mod creation;
mod decision;
mod error;
mod events;
mod export;
mod files;
mod gate;
mod groups;
mod handover;
mod headers;
mod health;
mod import;
mod input;
mod land;
mod limits;
mod login;
mod logins;
mod mcp;
mod messages;
mod metrics;
mod openapi;
mod options;
mod page;
mod permissions;
mod presets;
mod projects;
mod push;
mod range;
mod readiness;
mod ready;
mod recall;
mod remote;
mod restore;
mod review;
mod route;
mod routes;
mod rules;
mod scheduled;
mod schedules;
mod search;
mod searches;
mod selection;
mod sessions;
mod settings;
mod socket;
mod terminals;
mod tokens;
mod tools;
mod traffic;
mod tree;
mod turns;
mod usage;
mod waits;
mod whole;
mod workers;

use std::io::Read;

use crate::access::{Identity, Scope};
use crate::http::{BodyLimit, Head, Method, Reply, Request, Response, ServedResponse, Service};
use crate::percent;
pub(crate) use call::{Api, Clis};
pub(in crate::api) use call::{ApiCall, RouteResult};
pub(crate) use error::mistakes_in_words;
use error::{ApiError, beyond_scope};
pub(crate) use gate::Gate;
use headers::with_usual_headers;
pub(crate) use readiness::Readiness;
use route::{BodySize, Handler, Narrowing, Route, RouteAccess};
use routes::RouteMatch;
pub(crate) use scheduled::Sending;
pub(crate) use searches::Searches;
pub(crate) use settings::{ApiSettings, SocketLimits};
pub(crate) use tools::MCP_PATH;
use traffic::Traffic;
pub(crate) use waits::Waits;

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

    fn answered(&self, answer: ServedResponse) {
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
        let RouteMatch::Route(route, place, params) = self.find(&request.head) else {
            return Response::error(404, "Not Found").into();
        };
        let call = ApiCall { api: self, request, params };
        let name = (route.method(), route.pattern());
        if let Err(refused) = call.require_unexpired() {
            audited::refuse(self, &request.head, name, &call.params, &refused);
            return refused.into();
        }
        match Self::answer(&call, route, body) {
            Reply::Response(response) => Reply::Response(response.with_tag(place)),
            Reply::Stream(response, body) => Reply::Stream(response.with_tag(place), body),
            Reply::Upgrade(response, body) => Reply::Upgrade(response.with_tag(place), body),
        }
    }

    /// Answers a request that was admitted, and writes it to the audit.
    fn answer(call: &ApiCall<'_>, route: &Route, body: &mut dyn Read) -> Reply {
        let name = (route.method(), route.pattern());
        let is_known = call.head().identity().is_some();
        let begun = (route.audited && is_known).then(|| audited::begin(call, name));
        let handled = match route.handler {
            Handler::Whole(_, handler) => handler(call),
            Handler::Streamed(handler) => handler(call, body),
        };
        let reply = handled.unwrap_or_else(|error| error.response().into());
        match begun {
            Some(begun) => audited::end(call, (begun, name), &reply),
            None if route.audited => audited::end_of_stranger(call, name, &reply),
            None => {}
        }
        reply
    }

    /// Answers a request that another one causes within the server, as if its client had sent it: with the same scope, the
    /// same narrowing, and its own lines of the audit.
    fn within(
        &self,
        outer: &ApiCall<'_>,
        (method, path): (Method, &str),
        query: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Response {
        let head = outer.head().within(method, path.to_owned(), query);
        let not_found = || Response::error(404, "Not Found");
        let RouteMatch::Route(route, _, params) = routes::find(method, path) else { return not_found() };
        let (Some((scope, narrowing)), Some(identity)) = (route.access.required(), head.identity()) else {
            return not_found();
        };
        if let Err(refused) = self.require(identity, scope, narrowing, &params) {
            if route.audited {
                audited::refuse(self, &head, (route.method(), route.pattern()), &params, &refused);
            }
            return refused;
        }
        let request = Request { head, body, client: outer.request.client.clone() };
        let call = ApiCall { api: self, request: &request, params };
        match Self::answer(&call, route, &mut request.body.as_slice()) {
            Reply::Response(response) => response,
            Reply::Stream(..) | Reply::Upgrade(..) => not_found(),
        }
    }

    /// Finds the route of a request, whose path is below `BASE_PATH`.
    fn find<'h>(&self, head: &'h Head) -> RouteMatch<'h> {
        match head.path().strip_prefix(self.settings.base_path.as_str()) {
            Some(path) if path.starts_with('/') => routes::find(head.method(), path),
            _ => RouteMatch::Nothing,
        }
    }

    /// Answers a path without a route. A request for the base path itself is redirected to the page, whose relative
    /// addresses need the slash at the end; the redirect is relative too, because a proxy may add a prefix.
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

    /// Redirects a route that is requested with a trailing slash, as the reference does. The address is relative,
    /// because a proxy may add a prefix.
    fn without_slash(&self, head: &Head) -> Option<Response> {
        let path = head.path().strip_prefix(self.settings.base_path.as_str())?.strip_suffix('/')?;
        let (_, last) = path.rsplit_once('/')?;
        if matches!(routes::find(head.method(), path), RouteMatch::Nothing) {
            return None;
        }
        let query = head.raw_query().map_or_else(String::new, |query| format!("?{query}"));
        Some(Response::new(307).with_header("Location", &format!("../{}{query}", percent::encode(last))))
    }

    /// Returns the largest body that the request may have, or a refusal.
    fn admit(&self, head: &Head) -> Result<BodyLimit, Response> {
        let found = self.find(head);
        let admitted = self.admit_to(head, &found);
        if let (Err(refused), RouteMatch::Route(route, _, params)) = (&admitted, &found)
            && route.audited
        {
            audited::refuse(self, head, (route.method(), route.pattern()), params, refused);
        }
        admitted
    }

    fn admit_to(&self, head: &Head, found: &RouteMatch<'_>) -> Result<BodyLimit, Response> {
        let is_probe = matches!(found, RouteMatch::Route(route, ..) if route.access == RouteAccess::Probe);
        let checked = if is_probe { self.guard.check_probe(head) } else { self.guard.check(head) };
        checked.map_err(|refusal| self.guard.answer(head, &refusal))?;
        let (route, place, params) = match found {
            RouteMatch::Route(route, place, params) => (route, *place, params),
            RouteMatch::WrongMethod(allowed) => {
                if let Some(response) = self.guard.preflight(head, allowed) {
                    return Err(response);
                }
                return Err(Response::error(405, "Method Not Allowed").with_header("Allow", allowed));
            }
            RouteMatch::Nothing => return Err(self.not_found(head)),
        };
        let admitted = match route.access {
            RouteAccess::Anybody | RouteAccess::Probe => Ok(()),
            RouteAccess::Known(scope, narrowing) => {
                login::admit(self, head).and_then(|identity| self.require(identity, scope, narrowing, params))
            }
            RouteAccess::KnownReader(scope, narrowing) => login::admit(self, head)
                .and_then(|identity| self.require(identity, scope, narrowing, params))
                .map_err(|refused| login::instead(head, refused)),
        };
        let admitted = admitted.and_then(|()| require_own_route(head, route));
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

    /// Refuses a request beyond the scope or the reach of its credential.
    fn require(
        &self,
        identity: &Identity,
        scope: Scope,
        narrowing: Narrowing,
        params: &[&str],
    ) -> Result<(), Response> {
        if identity.scope() < scope {
            return Err(beyond_scope(identity.scope(), scope).response());
        }
        let reach = identity.reach();
        if reach.is_everything() {
            return Ok(());
        }
        match narrowing {
            Narrowing::Free | Narrowing::Filtered => Ok(()),
            Narrowing::Worker => {
                let id = params.first().copied().unwrap_or_default();
                self.registry.visible(id, reach).map(drop).map_err(|error| ApiError::from(error).response())
            }
            Narrowing::Whole => {
                let text = "this token is narrowed to some workers or projects, and this is about the whole server";
                Err(ApiError::Detail(403, text.to_owned()).response())
            }
        }
    }
}

/// Refuses the agent of a worker all routes but the one that is for agents.
fn require_own_route(head: &Head, route: &Route) -> Result<(), Response> {
    let is_agent = head.identity().is_some_and(|identity| identity.agent_of().is_some());
    if !is_agent || route.pattern() == MCP_PATH {
        return Ok(());
    }
    let text = format!("this token is of a worker's agent, and is for {MCP_PATH} alone");
    Err(ApiError::Detail(403, text).response())
}
