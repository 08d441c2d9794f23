//! The banner and the log line of a server that has started.

use std::net::SocketAddr;
use std::time::Duration;

use super::agents::AgentCatalog;
use super::error::StartError;
use crate::banner::{self, BannerFacts, CliFact, Program};
use crate::config::Config;
use crate::http::guard::GuardRules;
use crate::worker::Registry;

/// Time for which the banner waits for the CLIs' versions.
const PROBE_WAIT: Duration = Duration::from_millis(1_500);

/// Prints the banner, and logs that the server has started.
pub(super) fn announce(
    config: &Config,
    address: SocketAddr,
    agents: &AgentCatalog,
    registry: &Registry,
    guard: &GuardRules,
) -> Result<(), StartError> {
    banner::print(&banner_text(config, address, agents, registry, guard)?);
    let (total, running) = registry.counts();
    let version = env!("CARGO_PKG_VERSION");
    log::info!(
        "rs-worker {version} started at {}: {total} workers, {running} of them running, pid {}",
        banner::base_url(config, address),
        std::process::id()
    );
    Ok(())
}

fn banner_text(
    config: &Config,
    address: SocketAddr,
    agents: &AgentCatalog,
    registry: &Registry,
    guard: &GuardRules,
) -> Result<String, StartError> {
    let clis: Vec<CliFact> = agents
        .adapters
        .list_within(&agents.probes, PROBE_WAIT)
        .into_iter()
        .filter(|listed| listed.enabled)
        .map(|listed| CliFact {
            program: match (listed.installed, listed.version) {
                (Some(false), _) => Program::Missing,
                (_, Some(version)) => Program::Version(version),
                (_, None) => Program::Found,
            },
            declared_in: agents.adapters.declared_in(&listed.kind),
            kind: listed.kind,
            binary: listed.binary,
        })
        .collect();
    let (total, running) = registry.counts();
    let login_code = guard.token().map(|_| guard.logins().new_code()).transpose()?;
    Ok(banner::render(
        config,
        &BannerFacts {
            version: env!("CARGO_PKG_VERSION"),
            address,
            clis: &clis,
            broken_adapters: &agents.broken,
            running_workers: running,
            stopped_workers: total - running,
            token: guard.token(),
            login_code: login_code.as_ref().map(|code| code.text.as_str()),
        },
    ))
}
