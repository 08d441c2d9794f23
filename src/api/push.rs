//! Web Push: the key, the subscriptions of browsers, and a test.

use serde_json::{Value, json};

use super::error::ApiError;
use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::http::Response;
use crate::push::{NewSubscription, PushError, PushSubscription, SUBSCRIPTIONS_MAX};

/// Longest name of a browser that is stored, in characters.
const AGENT_MAX: usize = 200;
/// Longest text of a push service that is shown, in characters.
const SAID_MAX: usize = 500;

/// `GET /api/push`
pub(super) fn show(call: &ApiCall<'_>) -> RouteResult {
    let push = &call.api.push;
    let (key, reason) = match push.public_key() {
        Ok(key) => (Some(key), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let own = call.api.guard.logins_of(call.head());
    let listed = push.subscriptions();
    let subscriptions: Vec<Value> =
        listed.iter().filter(|one| may_manage(call, one)).map(|one| shown(one, &own)).collect();
    Ok(Response::json(
        200,
        &json!({
            "public_key": key,
            "reason": reason,
            "subscriptions": subscriptions,
            "subscriptions_max": SUBSCRIPTIONS_MAX,
        }),
    )
    .into())
}

/// Returns whether a client may see, test and remove a subscription: with less than everything, those of its own token.
fn may_manage(call: &ApiCall<'_>, one: &PushSubscription) -> bool {
    call.manages_server() || call.token().is_some_and(|token| one.token.as_deref() == Some(&token.id))
}

/// Refuses a subscription of another one's as one that is not there.
fn require_own(call: &ApiCall<'_>, id: &str) -> Result<(), ApiError> {
    let is_own = call.api.push.subscriptions().iter().any(|one| one.id == id && may_manage(call, one));
    if is_own { Ok(()) } else { Err(PushError::Unknown.into()) }
}

fn shown(one: &PushSubscription, own: &[String]) -> Value {
    json!({
        "id": one.id,
        "service": one.service(),
        "user_agent": one.agent,
        "created_at": Micros(one.created),
        "renewed_at": Micros(one.renewed),
        "current": one.login.as_ref().is_some_and(|login| own.contains(login)),
    })
}

/// `POST /api/push/subscriptions`: the subscription in the browser's format.
pub(super) fn subscribe(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let endpoint = body.text("endpoint");
    let keys = body.value("keys");
    let Some(Value::Object(keys)) = keys else {
        body.mistake("keys", "Input should be an object with p256dh and auth", "value_error");
        return Err(body.finish().err().unwrap_or_else(|| ApiError::bad_request("keys is missing")));
    };
    let mut keys = JsonBody::of(keys);
    let (p256dh, auth) = (keys.text("p256dh"), keys.text("auth"));
    body.take_mistakes("keys", keys);
    body.finish()?;
    let own = call.api.guard.logins_of(call.head());
    let agent = call.head().header("user-agent").unwrap_or_default().chars().take(AGENT_MAX).collect();
    let token = call.token().map(|token| token.id.clone());
    let new = NewSubscription { endpoint, p256dh, auth, agent, login: own.first().cloned(), token };
    let subscription = call.api.push.subscribe(new)?;
    Ok(Response::json(200, &shown(&subscription, &own)).into())
}

/// `DELETE /api/push/subscriptions/{id}`
pub(super) fn remove(call: &ApiCall<'_>) -> RouteResult {
    let id = call.params.first().copied().unwrap_or_default();
    require_own(call, id)?;
    call.api.push.remove(id)?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}

/// `POST /api/push/test`: sends a notification to the browser `id` and waits for its push service.
pub(super) fn test(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let id = body.text("id");
    body.finish()?;
    require_own(call, &id)?;
    let tested = call.api.push.test(&id)?;
    let said: String = tested.said.chars().take(SAID_MAX).collect();
    Ok(Response::json(
        200,
        &json!({
            "accepted": tested.accepted,
            "status": tested.status,
            "answer": said,
            "milliseconds": u64::try_from(tested.time.as_millis()).unwrap_or(u64::MAX),
        }),
    )
    .into())
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        match &error {
            PushError::Mistake(mistake) => Self::mistake("body", mistake.field, error.to_string(), "value_error"),
            PushError::Full | PushError::Taken | PushError::Busy => Self::Detail(409, error.to_string()),
            PushError::Unknown => Self::Detail(404, error.to_string()),
            PushError::Unavailable(_) => Self::Detail(503, error.to_string()),
        }
    }
}
