//! The token of a worker's agent, for the MCP server that the agent starts.
//!
//! A start without a token would do what the server's own user may do, so it fails instead.

use std::fs;

use crate::adapter::AGENT_TOKEN_ENV;

/// Processes above this one that are examined.
const ANCESTORS_MAX: usize = 16;

/// Returns the token of the agent: from the environment, or from that of a process above. Some agents start their MCP servers
/// with a few variables alone.
///
/// # Errors
/// Fails when the environment has none.
pub(super) fn token() -> Result<String, String> {
    let given = std::env::var(AGENT_TOKEN_ENV).ok().filter(|token| !token.is_empty());
    given.or_else(|| ancestors(std::process::id()).find_map(token_of)).ok_or_else(|| {
        format!("no agent of a worker has started this: {AGENT_TOKEN_ENV} is not set, so --agent can't be used")
    })
}

/// Returns the processes above a process, the nearest first.
fn ancestors(pid: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(parent_of(pid), |pid| parent_of(*pid)).take(ANCESTORS_MAX)
}

fn parent_of(pid: u32) -> Option<u32> {
    parent_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Returns the parent in a process's `stat`. The program's name is in parentheses, and may have some itself.
fn parent_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok().filter(|pid| *pid > 0)
}

fn token_of(pid: u32) -> Option<String> {
    token_in(&fs::read(format!("/proc/{pid}/environ")).ok()?)
}

fn token_in(environment: &[u8]) -> Option<String> {
    let entries = environment.split(|byte| *byte == 0);
    let mut values = entries.filter_map(|entry| {
        let (name, value) = entry.split_at_checked(AGENT_TOKEN_ENV.len())?;
        value.strip_prefix(b"=").filter(|value| name == AGENT_TOKEN_ENV.as_bytes() && !value.is_empty())
    });
    String::from_utf8(values.next()?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_the_value_of_its_variable_alone() {
        for (environment, token) in [
            (&b"A=1\0RS_WORKER_TOKEN=rsw_a=b\0B=2\0"[..], Some("rsw_a=b")),
            (&b"XRS_WORKER_TOKEN=a\0RS_WORKER_TOKENS=b\0RS_WORKER_TOKEN=\0"[..], None),
            (&b"RS_WORKER_TOKEN"[..], None),
            (&b""[..], None),
        ] {
            assert_eq!(token_in(environment).as_deref(), token);
        }
    }

    #[test]
    fn parent_is_found_behind_any_program_name() {
        assert_eq!(parent_in("7 (a) b) (c) S 5 7 7 0"), Some(5));
        assert_eq!(parent_in("1 (init) S 0 1 1"), None);
        assert_eq!(parent_in("7 (a"), None);
        assert_eq!(ancestors(std::process::id()).next(), Some(std::os::unix::process::parent_id()));
    }
}
