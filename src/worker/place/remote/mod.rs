//! Work that leaves this machine: pushes to a remote, and pull requests.
//!
//! A remote's address is in the repository's configuration, which an agent can write. So nothing is pushed but to an address
//! that the request names, as somebody has seen it in a dry run; an address is one of `ssh`, `https` or `http` (`address`);
//! and nothing else of the configuration counts. Keys, credentials and their helpers are those of the server's user.

pub(in crate::worker) mod address;
pub(crate) mod forge;
pub(in crate::worker) mod forge_cli;
pub(in crate::worker) mod look;
pub(crate) mod pull_request;
pub(crate) mod push;
