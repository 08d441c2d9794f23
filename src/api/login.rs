//! Who may use the API: the token, by header or by cookie.

use std::time::Instant;

use serde_json::json;

use super::error::ApiError;
use super::input::Body;
use super::{Api, Call, Handled};
use crate::http::guard::{Refusal, clear_cookie};
use crate::http::{Head, Response};

/// Lets a request through that may pass; answers the others.
pub(super) fn admit(api: &Api, head: &Head) -> Result<(), Response> {
    let address = head.peer.ip();
    match api.guard.authenticate(head) {
        Ok(_) => Ok(()),
        Err(refusal) => {
            if let Some(secret) = refusal.wrong_secret() {
                api.throttle.check(address, Instant::now()).map_err(|wait| Refusal::TooManyTries(wait).response())?;
                api.throttle.failed(address, secret, Instant::now());
            }
            Err(refusal.response())
        }
    }
}

/// `POST /api/login`: the token once, a cookie for the browser.
pub(super) fn login(call: &Call<'_>) -> Handled {
    let mut body = Body::parse(&call.request.body)?;
    let token = body.text("token");
    body.finish()?;
    let address = call.head().peer.ip();
    if let Err(wait) = call.api.throttle.check(address, Instant::now()) {
        return Ok(Refusal::TooManyTries(wait).response().into());
    }
    let Some(cookie) = call.api.guard.login_cookie(call.head()) else {
        return Ok(Response::json(200, &json!({"status": "ok", "message": "this server needs no token"})).into());
    };
    if !call.api.guard.is_token(&token) {
        call.api.throttle.failed(address, &token, Instant::now());
        return Err(ApiError::Detail(401, "the token is wrong".to_owned()));
    }
    call.api.throttle.succeeded(address);
    Ok(Response::json(200, &json!({"status": "ok"})).with_header("Set-Cookie", &cookie).into())
}

/// `POST /api/logout`: forgets the cookie.
pub(super) fn logout(_call: &Call<'_>) -> Handled {
    Ok(Response::json(200, &json!({"status": "ok"})).with_header("Set-Cookie", &clear_cookie()).into())
}
