//! Writes requests that change something to the audit.

use nix::unistd::Uid;
use serde_json::Value;

use super::{Api, ApiCall};
use crate::access::Identity;
use crate::audit::Actor;
use crate::http::{Head, Method, Reply, Response};

/// The routes that make a worker, whose id their answers have.
const MAKE_WORKERS: [&str; 4] = ["/api/workers", "/api/import", "/api/workers/{id}/fork", "/api/workers/{id}/handover"];
/// The beginning of patterns whose first part in braces is a worker.
const OF_WORKERS: [&str; 2] = ["/api/workers/{id}", "/ws/{id}"];

/// Method and pattern of a route.
pub(super) type RouteName = (Method, &'static str);

/// The client of a request.
pub(super) fn actor(api: &Api, head: &Head) -> Actor {
    let is_local = head.identity() == Some(&Identity::Local);
    let user = if is_local { head.peer().owner().ok().map(Uid::as_raw) } else { None };
    Actor::new(head.identity(), api.guard.client(head), user)
}

/// Writes that a request begins; gives the id for its outcome.
pub(super) fn begin(call: &ApiCall<'_>, route: RouteName) -> u64 {
    let actor = actor(call.api, call.head());
    call.api.audit.begin(&actor, &action(route), worker(route, &call.params))
}

/// Writes the outcome of a request without a credential, such as a login. Nothing is written of it before: anybody may
/// send it, any number of times. One that is refused, or changes nothing, counts as a refusal.
pub(super) fn end_of_stranger(call: &ApiCall<'_>, route: RouteName, reply: &Reply) {
    let (Reply::Response(response) | Reply::Stream(response, _) | Reply::Upgrade(response, _)) = reply;
    if response.status() < 400 && call.head().identity().is_some() {
        let begun = begin(call, route);
        end(call, (begun, route), reply);
    } else {
        refuse(call.api, call.head(), route, &call.params, response);
    }
}

/// Writes the outcome of a request.
pub(super) fn end(call: &ApiCall<'_>, (begun, route): (u64, RouteName), reply: &Reply) {
    let (Reply::Response(response) | Reply::Stream(response, _) | Reply::Upgrade(response, _)) = reply;
    // A login is known now, and a worker that was made.
    let known = call.head().identity().map(|_| actor(call.api, call.head()));
    let made = MAKE_WORKERS.contains(&route.1) && response.status() == 201;
    let id =
        || serde_json::from_slice::<Value>(response.content().bytes()).ok()?.get("id")?.as_str().map(str::to_owned);
    let worker = if made { id() } else { None };
    call.api.audit.end(begun, response.status(), known.as_ref(), worker.as_deref());
}

/// Writes a request that was refused by its head.
pub(super) fn refuse(api: &Api, head: &Head, route: RouteName, params: &[&str], refused: &Response) {
    api.audit.refuse(&actor(api, head), &action(route), worker(route, params), refused.status());
}

/// The name of an action: the route's pattern, since a path may hold a secret.
fn action(route: RouteName) -> String {
    format!("{} {}", route.0.as_str(), route.1)
}

fn worker<'p>(route: RouteName, params: &[&'p str]) -> Option<&'p str> {
    let is_of_worker = OF_WORKERS.iter().any(|pattern| route.1.starts_with(pattern));
    // Any other text could be a secret that was put in the wrong place.
    params.first().copied().filter(|id| is_of_worker && uuid::Uuid::parse_str(id).is_ok())
}
