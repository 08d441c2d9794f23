//! Access rules and connection limits that the server starts with.

use std::sync::Arc;

use nix::sys::prctl;

use crate::access::Tokens;
use crate::config::{self, Config, LocalAccess};
use crate::http;
use crate::http::guard::GuardRules;
use crate::logins::Logins;
use crate::socket_owner;
use crate::token::AuthToken;

/// Closes the server's memory, which holds the token and keys, to other programs of the same user: no ptrace, no
/// `/proc/<pid>/environ`, no core dump. Programs that it starts are as open as ever.
pub(super) fn close_memory() {
    if let Err(error) = prctl::set_dumpable(false) {
        log::warn!("the server's memory stays open to programs of the same user: {error}");
    }
}

/// The rules of access. The data folder is ours by now.
pub(super) fn guard(config: &Config, token: Option<AuthToken>) -> GuardRules {
    if config.local_access == LocalAccess::SameUser {
        socket_owner::prepare();
    }
    // A name can be rebound to our address; an address cannot. So where all addresses are listened on, any may be named.
    let addresses = config.host.is_unspecified();
    let data = &config.workers_base_dir;
    let logins = Logins::open(data, token.as_ref());
    GuardRules::new(config.host_names(), addresses, &config.allowed_origins, token)
        .with_logins(Arc::new(logins))
        .with_tokens(Arc::new(Tokens::open(data)))
        .below(&config.base_path)
        .with_local_access(config.local_access)
        .behind(config.trusted_proxies.clone())
}

/// The transport's bounds, as the settings have them.
pub(super) fn http_limits(limits: &config::ConnectionLimits) -> http::Limits {
    http::Limits {
        connections: limits.max_connections,
        connections_per_address: limits.max_connections_per_address,
        connections_per_loopback_address: limits.max_connections,
        head_time: limits.head_timeout,
        idle_time: limits.keep_alive,
        body_grace: limits.body_timeout,
        body_rate: config::BODY_BYTES_PER_SECOND as u64,
        write_time: limits.write_timeout,
        ..http::Limits::default()
    }
}
