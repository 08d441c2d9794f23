//! Work that leaves this machine: pushes and pull requests.

use serde_json::Value;

use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::worker::place::remote::forge::Forge;
use crate::worker::place::remote::pull_request::PullRequest;
use crate::worker::place::remote::push::PushRequest;

/// Longest text of a pull request, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// `POST /api/workers/{id}/push`: continues when the client disconnects.
pub(super) fn push(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let wanted = PushRequest {
        remote: body.optional_words("remote"),
        branch: body.optional_words("branch"),
        expected_url: body.text("expected_url"),
        expected_head: body.optional_words("expected_head"),
        force_with_lease: body.optional_words("force_with_lease"),
        set_upstream: body.flag("set_upstream"),
    };
    body.finish()?;
    Ok(Response::json(200, &worker.push(&wanted)?).into())
}

/// `POST /api/workers/{id}/pull-request`
pub(super) fn pull_request(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let mut body = JsonBody::parse(&call.request.body)?;
    let wanted = PullRequest {
        remote: body.optional_words("remote"),
        expected_url: body.text("expected_url"),
        branch: body.optional_words("branch"),
        into: body.optional_words("into"),
        title: body.optional_words("title"),
        body: body.optional_text("body"),
        draft: body.flag("draft"),
        forge: forge(&mut body),
    };
    let long = [("title", &wanted.title), ("body", &wanted.body)];
    for (name, _) in long.iter().filter(|(_, text)| text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX)) {
        body.mistake(name, &format!("Input should have at most {TEXT_BYTES_MAX} bytes"), "too_long");
    }
    body.finish()?;
    Ok(Response::json(200, &worker.open_pull_request(&wanted)?).into())
}

fn forge(body: &mut JsonBody) -> Option<Forge> {
    let named = body.optional_text("forge")?;
    let found = Forge::ALL.into_iter().find(|forge| forge.name() == named);
    if found.is_none() {
        let names: Vec<&str> = Forge::ALL.iter().map(|forge| forge.name()).collect();
        body.mistake("forge", &format!("Input should be one of {}", names.join(", ")), "enum");
    }
    found
}

/// Adds the remotes to the answer of a dry run.
pub(super) fn add_to(answer: &mut Value, call: &ApiCall<'_>) -> Result<(), super::error::ApiError> {
    let look = call.worker()?.look_at_remotes(&|| call.request.client.has_gone())?;
    let look = serde_json::to_value(&look).map_err(std::io::Error::other)?;
    for name in ["remotes", "upstream"] {
        answer[name] = look[name].clone();
    }
    Ok(())
}
