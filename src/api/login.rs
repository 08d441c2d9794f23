//! Authentication: the token, by header, or a login, by cookie; and the ways to a login.

use std::time::{Duration, Instant};

use serde_json::json;

use super::error::ApiError;
use super::input::Body;
use super::{Api, Call, Handled};
use crate::http::guard::{Identity, Refusal};
use crate::http::{Head, Response};

/// Lets a request through that may pass; answers the others. An address that guesses tokens is made to wait; a login and a
/// token of random bytes are let in all the same, since nobody can guess them.
pub(super) fn admit(api: &Api, head: &Head) -> Result<(), Response> {
    let count = |secret: &str, is_right: bool| {
        api.throttle.count(api.guard.client(head), secret, is_right, Instant::now()).map_err(too_many_tries)
    };
    match api.guard.authenticate(head) {
        Ok(Identity::Token { random: true } | Identity::Local) => {}
        Ok(Identity::Token { random: false }) => count("", true)?,
        Ok(Identity::Login(login)) => {
            if let Some(stream) = head.peer().stream() {
                api.guard.logins().bind(&login, stream);
            }
        }
        Err(refusal) => {
            if let Refusal::TokenWrong { secret } = &refusal {
                count(secret, false)?;
            }
            return Err(api.guard.answer(head, &refusal));
        }
    }
    head.peer().set_authenticated();
    Ok(())
}

/// Redirects a browser that opens a page to the login instead of a 401; the login leads back. The address is relative,
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

/// `POST /api/login`: the token, or the code of a login link, for a cookie.
pub(super) fn login(call: &Call<'_>) -> Handled {
    let mut body = Body::parse(&call.request.body)?;
    let code = body.optional_text("code");
    let token = if code.is_some() { body.optional_text("token") } else { Some(body.text("token")) };
    body.finish()?;
    let (guard, head) = (&call.api.guard, call.head());
    let Some(own) = guard.token() else {
        return Ok(match guard.authenticate(head) {
            Ok(_) => Response::json(200, &json!({"status": "ok", "message": "this server needs no token"})),
            Err(refusal) => guard.answer(head, &refusal),
        }
        .into());
    };
    if let Err(response) = check_login(call, code.as_deref(), token.as_deref().map(|it| (it, own.matches(it)))) {
        return response;
    }
    let cookie = guard.begin_login(head)?;
    head.peer().set_authenticated();
    Ok(Response::json(200, &json!({"status": "ok"})).with_header("Set-Cookie", &cookie).into())
}

/// Returns whether a code, or else a token, is right. A right code passes whatever the throttle says: it cannot be
/// guessed.
fn check_login(call: &Call<'_>, code: Option<&str>, token: Option<(&str, bool)>) -> Result<(), Handled> {
    if code.is_some_and(|code| call.api.guard.logins().redeem(code)) {
        return Ok(());
    }
    let (secret, is_right, reported) = match (code, token) {
        (Some(code), _) => {
            (code, false, "the login link was used already or is too old; rs-worker login-link prints a new one")
        }
        (None, Some((token, is_right))) => (token, is_right, "the token is wrong"),
        (None, None) => ("", false, "the token is wrong"),
    };
    let is_random = call.api.guard.token().is_some_and(|token| token.is_random());
    if is_right && is_random {
        return Ok(());
    }
    let counted = call.api.throttle.count(call.api.guard.client(call.head()), secret, is_right, Instant::now());
    match counted {
        Err(wait) => Err(Ok(too_many_tries(wait).into())),
        Ok(()) if is_right => Ok(()),
        Ok(()) => Err(Err(ApiError::Detail(401, reported.to_owned()))),
    }
}

/// `POST /api/login/code`: a code for a login link, good once.
pub(super) fn code(call: &Call<'_>) -> Handled {
    if call.api.guard.token().is_none() {
        return Err(ApiError::Detail(409, "this server has no token, so there is nothing to log in to".to_owned()));
    }
    let code = call.api.guard.logins().new_code()?;
    Ok(Response::json(201, &json!({"code": code.text, "expires_at": code.expires})).into())
}

/// `POST /api/logout`: ends the login of the browser that asks.
pub(super) fn logout(call: &Call<'_>) -> Handled {
    let (guard, head) = (&call.api.guard, call.head());
    let mut failed = None;
    for login in guard.logins_of(head) {
        failed = guard.logins().end(&login, head.peer().stream()).err().or(failed);
    }
    let answer = match failed {
        None => Response::json(200, &json!({"status": "ok"})),
        Some(error) => Response::error(503, format!("logged out, but only until the server starts again: {error}")),
    };
    Ok(answer.with_header("Set-Cookie", &guard.clear_cookie(head)).into())
}
