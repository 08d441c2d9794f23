//! Who may use the API: the token, by header or by cookie.

use std::time::{Duration, Instant};

use serde_json::json;

use super::error::ApiError;
use super::input::Body;
use super::{Api, Call, Handled};
use crate::http::guard::{Identity, Refusal};
use crate::http::{Head, Response};

/// Lets a request through that may pass; answers the others. An address that guesses is made to wait.
pub(super) fn admit(api: &Api, head: &Head) -> Result<(), Response> {
    let (address, now) = (api.guard.client(head), Instant::now());
    let refusal = match api.guard.authenticate(head) {
        Ok(Identity::Token | Identity::Cookie) => {
            // The right secret is let in only by who is not being slowed down, or slowing down would mean nothing.
            api.throttle.check(address, now).map_err(too_many_tries)?;
            api.throttle.succeeded(address);
            return Ok(());
        }
        Ok(Identity::Local) => return Ok(()),
        Err(refusal) => refusal,
    };
    if let Refusal::TokenWrong { secret, .. } = &refusal {
        api.throttle.check(address, now).map_err(too_many_tries)?;
        api.throttle.failed(address, secret, now);
    }
    Err(api.guard.answer(&refusal))
}

/// What a browser that reads pages gets instead of a 401: the way to the login, which leads back. The address is relative,
/// since a proxy may have a prefix of its own.
pub(super) fn instead(head: &Head, refused: Response) -> Response {
    let reads_pages = head.header("accept").is_some_and(|accept| accept.contains("text/html"));
    if refused.status() != 401 || !reads_pages {
        return refused;
    }
    let name = head.path().rsplit('/').next().unwrap_or_default();
    Response::new(303).with_header("Location", &format!("./#/{name}"))
}

fn too_many_tries(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    Response::error(429, format!("too many wrong tokens from this address: try again in {seconds} s"))
        .with_header("Retry-After", &seconds.to_string())
}

/// `POST /api/login`: the token once, a cookie for the browser.
pub(super) fn login(call: &Call<'_>) -> Handled {
    let mut body = Body::parse(&call.request.body)?;
    let token = body.text("token");
    body.finish()?;
    let address = call.api.guard.client(call.head());
    if let Err(wait) = call.api.throttle.check(address, Instant::now()) {
        return Ok(too_many_tries(wait).into());
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
pub(super) fn logout(call: &Call<'_>) -> Handled {
    let cookie = call.api.guard.clear_cookie();
    Ok(Response::json(200, &json!({"status": "ok"})).with_header("Set-Cookie", &cookie).into())
}
