//! Authentication: the token, by header, or a login, by cookie; and the ways to log in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::error::ApiError;
use super::input::JsonBody;
use super::{Api, ApiCall, RouteResult};
use crate::access::Identity;
use crate::clock::Micros;
use crate::http::guard::GuardRefusal;
use crate::http::{Head, Response};
use crate::logins::is_pairing;

/// Lets a request through that may pass, and says who it is from; answers the others. An address that guesses tokens is
/// made to wait; a login and a token of random bytes are let in all the same, since nobody can guess them.
pub(super) fn admit<'h>(api: &Api, head: &'h Head) -> Result<&'h Identity, Response> {
    let count = |secret: &str, is_right: bool| {
        api.throttle.count(api.guard.client(head), secret, is_right, Instant::now()).map_err(too_many_tries)
    };
    let identity = match api.guard.authenticate(head) {
        Ok(identity) => identity,
        Err(refusal) => {
            if let GuardRefusal::TokenWrong { secret } = &refusal {
                count(secret, false)?;
            }
            return Err(api.guard.answer(head, &refusal));
        }
    };
    if identity == (Identity::Token { random: false }) {
        count("", true)?;
    }
    if let (Some(login), Some(stream)) = (identity.login(), head.peer().stream()) {
        api.guard.logins().bind(login, stream);
    }
    head.peer().set_authenticated();
    head.identify(identity);
    head.identity().ok_or_else(|| Response::error(500, "the request has no identity"))
}

/// Redirects a browser that opens a page to the login instead of a 401; the login leads back. The address is relative,
/// because a proxy may add a prefix.
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

/// `POST /api/login`: exchanges the token, or the code of a login link, for a cookie.
pub(super) fn login(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let code = body.optional_text("code");
    let token = if code.is_some() { body.optional_text("token") } else { Some(body.text("token")) };
    body.finish()?;
    let pairs = code.as_deref().is_some_and(is_pairing);
    let (guard, head) = (&call.api.guard, call.head());
    let begun = match (code, token) {
        (Some(code), _) => by_code(call, &code)?,
        (None, token) => by_token(call, &token.unwrap_or_default())?,
    };
    let (cookie, identity) = match begun {
        Ok(begun) => begun,
        Err(refusal) if guard.token().is_some() => return refusal,
        // Nobody can guess anything at a server that has no token of its own, and its users need none.
        Err(refusal) => {
            return match guard.authenticate(head) {
                Ok(Identity::Local) if !pairs => {
                    Ok(Response::json(200, &json!({"status": "ok", "message": "this server needs no token"})).into())
                }
                Err(refused) if !pairs => Ok(guard.answer(head, &refused).into()),
                _ => refusal,
            };
        }
    };
    head.peer().set_authenticated();
    head.identify(identity);
    Ok(Response::json(200, &json!({"status": "ok"})).with_header("Set-Cookie", &cookie).into())
}

/// A cookie and its identity, or the answer to a client that gets none.
type LoginResult = Result<(String, Identity), RouteResult>;

/// Exchanges a code, which is used up if that succeeds. A right code passes whatever the throttle says: it cannot be
/// guessed.
fn by_code(call: &ApiCall<'_>, code: &str) -> Result<LoginResult, ApiError> {
    let (guard, head) = (&call.api.guard, call.head());
    let begun = guard.logins().redeem(code, |token| {
        let token = match token {
            Some(id) => match guard.tokens().get(id, Micros::now()) {
                Some(token) => Some(token),
                // It has ended since.
                None => return Ok(None),
            },
            None => None,
        };
        guard.begin_login(head, token.as_deref()).map(Some)
    })?;
    if let Some(begun) = begun {
        return Ok(Ok(begun));
    }
    let reported = "the login link was used already or is too old; rs-worker login-link prints a new one";
    Ok(Err(wrong(call, code, reported)))
}

/// Exchanges the server's own token, or one with a scope.
fn by_token(call: &ApiCall<'_>, token: &str) -> Result<LoginResult, ApiError> {
    let (guard, head) = (&call.api.guard, call.head());
    // An agent has no browser.
    let identity = guard.identify_secret(head, token, Micros::now()).filter(|found| found.agent_of().is_none());
    match &identity {
        None => return Ok(Err(wrong(call, token, "the token is wrong"))),
        Some(Identity::Token { random: false }) => {
            if let Err(wait) = call.api.throttle.count(guard.client(head), "", true, Instant::now()) {
                return Ok(Err(Ok(too_many_tries(wait).into())));
            }
        }
        Some(_) => {}
    }
    let token = identity.as_ref().and_then(Identity::token);
    Ok(Ok(guard.begin_login(head, token.map(Arc::as_ref))?))
}

/// Counts a wrong secret, and answers it.
fn wrong(call: &ApiCall<'_>, secret: &str, reported: &str) -> RouteResult {
    match call.api.throttle.count(call.api.guard.client(call.head()), secret, false, Instant::now()) {
        Err(wait) => Ok(too_many_tries(wait).into()),
        Ok(()) => Err(ApiError::Detail(401, reported.to_owned())),
    }
}

/// `POST /api/login/code`: creates a code for a login link, valid once.
pub(super) fn code(call: &ApiCall<'_>) -> RouteResult {
    if call.api.guard.token().is_none() {
        return Err(ApiError::Detail(409, "this server has no token, so there is nothing to log in to".to_owned()));
    }
    let code = call.api.guard.logins().new_code()?;
    Ok(Response::json(201, &json!({"code": code.text, "expires_at": code.expires})).into())
}

/// `POST /api/logout`: ends the login of the requesting browser.
pub(super) fn logout(call: &ApiCall<'_>) -> RouteResult {
    let (guard, head) = (&call.api.guard, call.head());
    let mut failed = None;
    for login in guard.logins_of(head) {
        head.identify(Identity::Login(login.clone()));
        failed = guard.logins().end(&login, head.peer().stream()).err().or(failed);
    }
    let answer = match failed {
        None => Response::json(200, &json!({"status": "ok"})),
        Some(error) => Response::error(503, format!("logged out, but only until the server starts again: {error}")),
    };
    Ok(answer.with_header("Set-Cookie", &guard.clear_cookie(head)).into())
}
