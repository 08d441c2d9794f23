//! The CLIs that workers can use.

use serde_json::{Value, json};

use super::{ApiCall, Clis, RouteResult, options};
use crate::http::Response;
use crate::probe::login;

/// `GET /api/ai-clis`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let listed: Vec<Value> = call
        .api
        .clis
        .adapters
        .list(&call.api.clis.probes)
        .into_iter()
        .map(|cli| {
            let known = options::known(call.workers(), &cli.kind);
            let mut listed = json!(cli);
            listed["known_options"] = json!(known);
            let login = login::of(&cli.kind);
            let has_key = call.api.clis.with_key.contains(&cli.kind.as_str());
            listed["logged_in"] = json!(login.map(|login| login.is_there(has_key, &|name| std::env::var_os(name))));
            listed["login_command"] = json!(login.map(|login| login.command));
            listed["key_setting"] = json!(login.map(|login| login.setting));
            listed
        })
        .collect();
    let answer = json!({"available_clis": listed, "default": call.api.clis.default, "demo": demo(call), "limits": call.api.registry.usual_limits()});
    Ok(Response::json(200, &answer).into())
}

/// Describes the demo agent, with a folder for it: it touches nothing there.
fn demo(call: &ApiCall<'_>) -> Option<Value> {
    let Clis { adapters, home, .. } = &call.api.clis;
    let cli = adapters.demo().filter(|_| call.sees_everything())?.cli();
    let folder = call.api.settings.project_roots.first().or(home.as_ref()).and_then(|folder| folder.to_str())?;
    Some(json!({"type": cli.kind, "name": cli.name, "description": cli.description, "project_path": folder}))
}
