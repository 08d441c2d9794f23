//! Web Push: the key, the subscriptions of browsers, and a test.

use serde_json::{Value, json};

use super::error::ApiError;
use super::input::Body;
use super::{Call, Handled};
use crate::clock::Micros;
use crate::http::Response;
use crate::push::{NewSubscription, PushError, SUBSCRIPTIONS_MAX, Subscription};

/// Longest name of a browser that is kept, in characters.
const AGENT_MAX: usize = 200;
/// Longest text of a push service that is shown, in characters.
const SAID_MAX: usize = 500;

/// `GET /api/push`
pub(super) fn show(call: &Call<'_>) -> Handled {
    let push = &call.api.push;
    let (key, reason) = match push.public_key() {
        Ok(key) => (Some(key), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let own = call.api.guard.logins_of(call.head());
    let subscriptions: Vec<Value> = push.subscriptions().iter().map(|one| shown(one, &own)).collect();
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

fn shown(one: &Subscription, own: &[String]) -> Value {
    json!({
        "id": one.id,
        "service": one.service(),
        "user_agent": one.agent,
        "created_at": Micros(one.created),
        "renewed_at": Micros(one.renewed),
        "current": one.login.as_ref().is_some_and(|login| own.contains(login)),
    })
}

/// `POST /api/push/subscriptions`: the subscription as the browser has it.
pub(super) fn subscribe(call: &Call<'_>) -> Handled {
    let mut body = Body::parse(&call.request.body)?;
    let endpoint = body.text("endpoint");
    let keys = body.value("keys");
    let Some(Value::Object(keys)) = keys else {
        body.mistake("keys", "Input should be an object with p256dh and auth", "value_error");
        return Err(body.finish().err().unwrap_or_else(|| ApiError::bad_request("keys is missing")));
    };
    let mut keys = Body::of(keys);
    let (p256dh, auth) = (keys.text("p256dh"), keys.text("auth"));
    body.take_mistakes("keys", keys);
    body.finish()?;
    let own = call.api.guard.logins_of(call.head());
    let agent = call.head().header("user-agent").unwrap_or_default().chars().take(AGENT_MAX).collect();
    let new = NewSubscription { endpoint, p256dh, auth, agent, login: own.first().cloned() };
    let subscription = call.api.push.subscribe(new)?;
    Ok(Response::json(200, &shown(&subscription, &own)).into())
}

/// `DELETE /api/push/subscriptions/{id}`
pub(super) fn remove(call: &Call<'_>) -> Handled {
    call.api.push.remove(call.params.first().copied().unwrap_or_default())?;
    Ok(Response::json(200, &json!({"status": "removed"})).into())
}

/// `POST /api/push/test`: sends a notification to the browser `id` and waits for its push service.
pub(super) fn test(call: &Call<'_>) -> Handled {
    let mut body = Body::parse(&call.request.body)?;
    let id = body.text("id");
    body.finish()?;
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
            PushError::Full | PushError::Busy => Self::Detail(409, error.to_string()),
            PushError::Unknown => Self::Detail(404, error.to_string()),
            PushError::Unavailable(_) => Self::Detail(503, error.to_string()),
        }
    }
}
