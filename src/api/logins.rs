//! The browsers that are logged in.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::http::Response;
use crate::logins::Login;

/// `GET /api/logins`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let own = call.api.guard.logins_of(call.head());
    let mut logins = call.api.guard.logins().list(Micros::now());
    // A token with a scope is shown its own devices.
    if let Some(token) = call.token().filter(|_| !call.manages_server()) {
        logins.retain(|login| login.token.as_deref() == Some(&token.id));
    }
    let names: HashMap<String, String> =
        call.api.guard.tokens().list().iter().map(|(token, _)| (token.id.clone(), token.name.clone())).collect();
    let logins: Vec<Value> = logins.iter().map(|login| shown(login, own.contains(&login.id), &names)).collect();
    Ok(Response::json(200, &json!({ "logins": logins })).into())
}

fn shown(login: &Login, is_current: bool, tokens: &HashMap<String, String>) -> Value {
    json!({
        "id": login.id,
        "created_at": Micros(login.created),
        "last_used": Micros(login.used),
        "expires_at": Micros(login.expires()),
        "address": login.address,
        "user_agent": login.agent,
        "current": is_current,
        "token": login.token.as_ref().and_then(|token| tokens.get(token)),
    })
}

/// `DELETE /api/logins/{id}`
pub(super) fn end(call: &ApiCall<'_>) -> RouteResult {
    let id = call.params.first().copied().unwrap_or_default();
    match call.api.guard.logins().end(id, call.head().peer().stream()) {
        Ok(true) => Ok(Response::json(200, &json!({"status": "ended"})).into()),
        Ok(false) => Err(ApiError::Detail(404, format!("Login not found: {id}"))),
        Err(error) => Err(unsaved(&error)),
    }
}

/// `DELETE /api/logins`: ends all logins but that of the requesting browser.
pub(super) fn end_others(call: &ApiCall<'_>) -> RouteResult {
    let logins = call.api.guard.logins();
    let own = call.api.guard.logins_of(call.head());
    let mut ended = 0;
    for login in logins.list(Micros::now()).into_iter().filter(|login| !own.contains(&login.id)) {
        ended += usize::from(logins.end(&login.id, call.head().peer().stream()).map_err(|error| unsaved(&error))?);
    }
    Ok(Response::json(200, &json!({"status": "ended", "count": ended})).into())
}

fn unsaved(error: &std::io::Error) -> ApiError {
    ApiError::Detail(503, format!("the login has ended, but only until the server starts again: {error}"))
}
