//! The parts of the API, and one request to them.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::ApiError;
use super::readiness::Readiness;
use super::searches::Searches;
use super::settings::ApiSettings;
use super::traffic::Traffic;
use crate::adapter::registry::Registry as Adapters;
use crate::assets::Assets;
use crate::http::guard::GuardRules;
use crate::http::throttle::Throttle;
use crate::http::{Head, Reply, Request};
use crate::probe::Probes;
use crate::push::Push;
use crate::sessions::Catalog;
use crate::webhook::AnswerLinks;
use crate::worker::{Registry, Worker};

/// The parts of the API.
pub(crate) struct Api {
    /// The workers.
    pub registry: Arc<Registry>,
    /// The CLIs.
    pub clis: Clis,
    /// The access rules.
    pub guard: GuardRules,
    /// Slows down clients that guess tokens.
    pub throttle: Throttle,
    /// The page's files.
    pub assets: Assets,
    /// The settings of the API.
    pub settings: ApiSettings,
    /// The server's readiness.
    pub readiness: Readiness,
    /// The searches that run.
    pub searches: Searches,
    /// The counts of requests by route.
    pub traffic: Traffic,
    /// Notifications of browsers.
    pub push: Arc<Push>,
    /// The links by which buttons of messages answer prompts.
    pub answers: Arc<AnswerLinks>,
}

/// The CLIs that workers can use.
pub(crate) struct Clis {
    /// Their adapters.
    pub adapters: Arc<Adapters>,
    /// The state of their programs.
    pub probes: Arc<Probes>,
    /// Their own sessions.
    pub sessions: Arc<Catalog>,
    /// The adapter of a worker that names none.
    pub default: String,
    /// The CLIs for which the settings hold a key.
    pub with_key: Vec<&'static str>,
    /// The home directory, where the demo works unless projects must lie elsewhere.
    pub home: Option<PathBuf>,
}

/// One request, with the variable parts of its path.
pub(super) struct Call<'c> {
    pub(super) api: &'c Api,
    pub(super) request: &'c Request,
    pub(super) params: Vec<&'c str>,
}

pub(super) type Handled = Result<Reply, ApiError>;

impl Call<'_> {
    /// The worker that the path names.
    pub(super) fn worker(&self) -> Result<Arc<Worker>, ApiError> {
        Ok(self.api.registry.get(self.params.first().copied().unwrap_or_default())?)
    }

    /// The head of the request.
    pub(super) fn head(&self) -> &Head {
        &self.request.head
    }
}
