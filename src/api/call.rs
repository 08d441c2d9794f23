//! The shared parts of the API, and one request.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use super::error::{ApiError, beyond_scope};
use super::readiness::Readiness;
use super::searches::Searches;
use super::settings::ApiSettings;
use super::traffic::Traffic;
use super::waits::Waits;
use crate::access::{Identity, NOTHING, Reach, Scope, Token};
use crate::adapter::registry::AdapterRegistry as Adapters;
use crate::assets::Assets;
use crate::audit::Audit;
use crate::clock::Micros;
use crate::http::guard::GuardRules;
use crate::http::throttle::Throttle;
use crate::http::{Head, Reply, Request, Response};
use crate::presets::Presets;
use crate::probe::Probes;
use crate::projects::Projects;
use crate::push::Push;
use crate::rules::RuleBook;
use crate::schedules::ScheduleBook;
use crate::sessions::Catalog;
use crate::webhook::AnswerLinks;
use crate::worker::publish::summary::Summary;
use crate::worker::{Registry, Worker};

/// The shared parts of the API.
pub(crate) struct Api {
    /// This value itself, for connections that make requests of their own.
    pub itself: Weak<Self>,
    /// The workers.
    pub registry: Arc<Registry>,
    /// The CLIs.
    pub clis: Clis,
    /// The project files.
    pub projects: Projects,
    /// The presets of new workers.
    pub presets: Presets,
    /// The access rules.
    pub guard: GuardRules,
    /// Throttles clients that guess tokens.
    pub throttle: Throttle,
    /// The page's files.
    pub assets: Assets,
    /// The settings of the API.
    pub settings: ApiSettings,
    /// The server's readiness.
    pub readiness: Readiness,
    /// The running searches.
    pub searches: Searches,
    /// The counts of requests by route.
    pub traffic: Traffic,
    /// Notifications of browsers.
    pub push: Arc<Push>,
    /// The record of who has changed what.
    pub audit: Arc<Audit>,
    /// The links with which buttons of messages answer prompts.
    pub answers: Arc<AnswerLinks>,
    /// The rules for permission prompts.
    pub rules: Arc<RuleBook>,
    /// The schedules.
    pub schedules: Arc<ScheduleBook>,
    /// The calls of tools that wait for a worker.
    pub waits: Waits,
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
    /// The home directory, in which the demo works unless `PROJECT_ROOTS` excludes it.
    pub home: Option<PathBuf>,
}

/// One request, with the variable parts of its path.
pub(super) struct ApiCall<'c> {
    pub(super) api: &'c Api,
    pub(super) request: &'c Request,
    pub(super) params: Vec<&'c str>,
}

pub(super) type RouteResult = Result<Reply, ApiError>;

impl ApiCall<'_> {
    /// Returns the worker that the path names.
    pub(super) fn worker(&self) -> Result<Arc<Worker>, ApiError> {
        self.visible(self.params.first().copied().unwrap_or_default())
    }

    /// A worker in reach. One out of it is answered as one that is not there.
    pub(super) fn visible(&self, id: &str) -> Result<Arc<Worker>, ApiError> {
        Ok(self.api.registry.visible(id, self.reach())?)
    }

    /// The summary of a worker in reach. Workers that it comes from are hidden if they are not.
    pub(super) fn summary(&self, worker: &Worker) -> Summary {
        worker.summary().narrowed(&|id| self.api.registry.is_named(id, self.reach()))
    }

    /// All workers in reach, oldest first.
    pub(super) fn workers(&self) -> Vec<Arc<Worker>> {
        let mut all = self.api.registry.all();
        all.retain(|worker| worker.is_in(self.reach()));
        all
    }

    /// The workers that the client may see.
    pub(super) fn reach(&self) -> &Reach {
        self.head().identity().map_or(&*NOTHING, Identity::reach)
    }

    /// Returns whether the client may see all workers and the server itself.
    pub(super) fn sees_everything(&self) -> bool {
        self.reach().is_everything()
    }

    /// Returns whether the client may do everything with the server itself.
    pub(super) fn manages_server(&self) -> bool {
        self.sees_everything() && self.head().identity().is_some_and(|identity| identity.scope() == Scope::Admin)
    }

    /// The token with a scope that the request comes by.
    pub(super) fn token(&self) -> Option<&Arc<Token>> {
        self.head().identity().and_then(Identity::token)
    }

    /// Refuses what the scope of the client's credential does not include.
    pub(super) fn require_scope(&self, needed: Scope) -> Result<(), ApiError> {
        let has = self.head().identity().map_or(Scope::Read, Identity::scope);
        if has >= needed { Ok(()) } else { Err(beyond_scope(has, needed)) }
    }

    /// Refuses a token that has expired since the head of the request was read: its body may come late.
    pub(super) fn require_unexpired(&self) -> Result<(), Response> {
        let token = self.head().identity().and_then(Identity::token);
        match token.filter(|token| token.has_expired(Micros::now().0)) {
            Some(_) => Err(Response::error(401, "the token has expired")),
            None => Ok(()),
        }
    }

    /// Returns the head of the request.
    pub(super) fn head(&self) -> &Head {
        &self.request.head
    }
}
