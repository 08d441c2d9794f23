//! git, run by the server for projects of untrusted origin.
//!
//! **Invariant: git never reads a configuration that an agent can write.** An agent can change its project, the
//! repository's `.git` and every file in it at any moment, even between two reads. So git gets a separate Git directory
//! ([`Git`]), which the server creates for one request and then removes, with:
//!
//! * a `config` that the server writes: a few settings of the repository that define how its files are stored, each
//!   checked (`config`); no program, no path, no included file. The repository's own is read once, by this module's
//!   parser;
//! * copies of HEAD, the references, the index and the lists of ignored files, each read once, without following links or
//!   waiting at pipes (`folder`, `refs`);
//! * links to the repository's folders of objects. Folders from which it borrows objects are listed by the server, and
//!   must be in `PROJECT_ROOTS`. Objects that git writes stay in the separate directory until they are moved to the
//!   repository (`publish`);
//! * no hooks, no remotes, no attributes that name programs, no home directory, nothing of the server's environment.
//!
//! Filters, including Git LFS, are not run, because their programs read the repository's configuration. git does not
//! enter submodules and nested repositories, whose configuration an agent can write too: callers that need them open
//! them as separate repositories. A `.git` that points elsewhere is followed only to a place that points back to it
//! (`repository`).
//!
//! A hostile repository can still contain objects of any content (git bounds its own work on them, and the server
//! bounds git's time and memory), and name objects of other repositories whose ids it knows.
//!
//! A push talks with another machine, by the settings and keys of the server's user (`network`). Of the repository it takes
//! the address alone, which a person has seen (`remotes`).
//!
//! Writes to the repository go through `publish`: references are compared and swapped by git, objects moved in, and other
//! files made by us in folders that were opened without following links.

mod config;
mod error;
mod folder;
mod mirror;
mod network;
mod objects;
mod person;
mod publish;
mod refs;
mod remotes;
mod repository;
mod run;

pub(crate) use error::GitError;
pub(in crate::worker) use folder::{Folder, open_file, read_file};
pub(in crate::worker) use mirror::At;
pub(crate) use mirror::{Git, MirrorFolder, remove_left_over};
pub(in crate::worker) use network::{RemoteGit, empty_place, environment_of_person};
pub(crate) use publish::RefChange;
pub(in crate::worker) use refs::is_ref_name;
pub(in crate::worker) use remotes::{Remotes, clean_up_upstream};
pub(crate) use repository::Repository;
pub(in crate::worker) use run::SHORT_BYTES;
pub(crate) use run::{GitBudget, GitOutput};
