//! Tokens with scopes: the list, making and ending them, and pairing a device.

use serde_json::{Value, json};

use super::error::ApiError;
use super::input::{JsonBody, resolved_folder};
use super::{ApiCall, RouteResult};
use crate::access::{NewToken, Reach, Scope, TOKENS_MAX, Token, TokenError, TokenUse};
use crate::banner::login_link;
use crate::clock::Micros;
use crate::http::Response;
use crate::qr;

/// Longest address of the page in a pairing, in bytes.
const PAGE_BYTES_MAX: usize = 400;

/// `GET /api/tokens`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let now = Micros::now();
    let logins = call.api.guard.logins().list(now);
    let own = call.token().map(|token| token.id.as_str());
    let listed: Vec<Value> = call
        .api
        .guard
        .tokens()
        .list()
        .iter()
        .map(|(token, used)| {
            let count = logins.iter().filter(|login| login.token.as_deref() == Some(&token.id)).count();
            let mut shown = shown(token, used, now);
            shown["logins"] = json!(count);
            shown["current"] = json!(own == Some(&token.id));
            shown
        })
        .collect();
    Ok(Response::json(200, &json!({"tokens": listed, "tokens_max": TOKENS_MAX})).into())
}

fn shown(token: &Token, used: &TokenUse, now: Micros) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scope": token.scope,
        "workers": token.reach.workers,
        "projects": token.reach.projects,
        "created_at": Micros(token.created),
        "expires_at": token.expires.map(Micros),
        "expired": token.expires.is_some_and(|expires| expires <= now.0),
        "last_used": used.time.map(Micros),
        "last_address": used.address,
    })
}

/// `POST /api/tokens` with `{"name", "scope", "workers", "projects", "expires_at"}`: the answer has the secret, which is shown
/// this once.
pub(super) fn create(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse(&call.request.body)?;
    let name = body.text("name");
    let scope = body.text("scope");
    let workers = body.texts("workers");
    let folders = body.texts("projects");
    let expires = body.optional_time("expires_at").filter(|expires| *expires > 0);
    let parsed = Scope::parse(&scope);
    if parsed.is_none() && !body.has_mistakes() {
        body.mistake("scope", &format!("Input should be read, answer, send or admin, not {scope:?}"), "enum");
    }
    body.finish()?;
    let scope = parsed.ok_or_else(|| ApiError::mistake("body", "scope", "Field required", "missing"))?;
    for id in &workers {
        call.visible(id).map_err(|_| ApiError::in_field("workers", format!("Worker not found: {id}")))?;
    }
    let projects =
        folders.iter().map(|folder| resolved_folder("projects", folder)).collect::<Result<Vec<_>, ApiError>>()?;
    let new = NewToken { name, scope, reach: Reach { workers, projects, below: None }, expires };
    let now = Micros::now();
    let (token, secret) = call.api.guard.tokens().add(new, now)?;
    log::info!("token {:?} made, with the scope {}", token.name, token.scope);
    let mut made = shown(&token, &TokenUse::default(), now);
    made["logins"] = json!(0);
    made["current"] = json!(false);
    Ok(Response::json(201, &json!({"token": made, "secret": secret})).into())
}

/// `DELETE /api/tokens/{id}`: ends it, its logins, its notifications, and all their connections.
pub(super) fn end(call: &ApiCall<'_>) -> RouteResult {
    let (guard, id) = (&call.api.guard, id(call));
    let asking = call.head().peer().stream();
    let removed = guard.tokens().remove(id, asking);
    // Without their token they let nobody in, whether or not the files can be written.
    let logins = guard.logins().end_of_token(id, asking);
    call.api.push.drop_ended();
    match removed.and_then(|removed| logins.map(|()| removed)) {
        Ok(true) => Ok(Response::json(200, &json!({"status": "ended"})).into()),
        Ok(false) => Err(ApiError::Detail(404, format!("Token not found: {id}"))),
        Err(error) => {
            let text = format!("the token has ended, but only until the server starts again: {error}");
            Err(ApiError::Detail(503, text))
        }
    }
}

/// `POST /api/tokens/{id}/pair` with `{"page"}`: a code that logs one device in with the scope of the token, and its picture for
/// the page at that address.
pub(super) fn pair(call: &ApiCall<'_>) -> RouteResult {
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let page = body.optional_text("page").filter(|page| !page.is_empty());
    body.finish()?;
    let id = id(call);
    let Some(token) = call.api.guard.tokens().get(id, Micros::now()) else {
        return Err(ApiError::Detail(404, format!("Token not found: {id}")));
    };
    if let Some(page) = &page {
        check_page(page)?;
    }
    let code = call.api.guard.logins().new_pairing(&token.id)?;
    let link = page.map(|page| login_link(&page, &code.text));
    let rows = link.as_deref().and_then(qr::rows).map(|rows| rows.iter().map(|row| bits(row)).collect::<Vec<_>>());
    let answer = json!({"code": code.text, "expires_at": code.expires, "link": link, "qr": rows});
    Ok(Response::json(201, &answer).into())
}

/// Refuses what is not the address of a page.
fn check_page(page: &str) -> Result<(), ApiError> {
    let is_address = ["http://", "https://"].iter().any(|start| page.starts_with(start))
        && page.len() <= PAGE_BYTES_MAX
        && page.bytes().all(|byte| byte.is_ascii_graphic())
        && !page.contains(['#', '?', '@', '"', '<', '>']);
    if is_address {
        return Ok(());
    }
    let text =
        format!("the address of the page begins with http:// or https:// and has {PAGE_BYTES_MAX} bytes at most");
    Err(ApiError::in_field("page", text))
}

/// A row of a picture, 1 for dark.
fn bits(row: &[bool]) -> String {
    row.iter().map(|dark| if *dark { '1' } else { '0' }).collect()
}

fn id<'c>(call: &ApiCall<'c>) -> &'c str {
    call.params.first().copied().unwrap_or_default()
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Mistake(field, text) => Self::in_field(field, text),
            TokenError::Taken(_) | TokenError::Full(_) => Self::Detail(409, error.to_string()),
            TokenError::Io(_) => Self::Detail(503, error.to_string()),
        }
    }
}
