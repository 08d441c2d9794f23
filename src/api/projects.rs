//! The operator's project files.

use std::path::Path;

use serde_json::json;

use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::projects::ProjectSummary;

/// `GET /api/projects?path=/home/me/shop/app`: all project files, or the one of the project in which this folder is.
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let projects = &call.api.projects;
    let mut listed: Vec<ProjectSummary> = match call.head().query_value("path") {
        Some(folder) => projects.shown_of(Path::new(&folder)).into_iter().collect(),
        None => projects.shown(),
    };
    // One with a mistake in it may be of any project.
    let covers = |path: Option<&str>| path.is_some_and(|path| call.reach().covers_project(path));
    listed.retain(|project| call.sees_everything() || covers(project.path()));
    Ok(Response::json(200, &json!({"projects": listed})).into())
}
