//! git, run by the server for projects that may be anybody's.
//!
//! **Invariant: git never reads a configuration that an agent can write.** An agent can change its project, the
//! repository's `.git` and every file in it at any moment, also between two reads. So git gets a Git directory of ours
//! ([`Git`]), which is made for one request and removed after it, with:
//!
//! * a `config` that we write: a few settings of the repository that say how its files are stored, each checked
//!   (`config`); no program, no path, no file to include. The repository's own is read once, by a parser of ours;
//! * copies of HEAD, the references, the index and the lists of ignored files, each read once, without following links or
//!   waiting at pipes (`folder`, `refs`);
//! * links to the repository's folders of objects. What it borrows from others is listed by us, and must lie in
//!   `PROJECT_ROOTS`. What git writes there stays with us until it is moved to the repository (`publish`);
//! * no hooks, no remotes, no attributes that name programs, no home directory, no environment of the server's.
//!
//! Filters, of Git LFS too, are not run: their programs read the repository's configuration. git does not enter
//! submodules and nested repositories, whose configuration is an agent's too: callers that want to know about them open
//! them as repositories of their own. A `.git` that leads elsewhere is followed only to a place that names it back
//! (`repository`).
//!
//! What is left to a hostile repository: objects of any content (git bounds what it does with them, and we its time and
//! memory), and objects of other repositories whose ids it knows.
//!
//! Writes to the repository go through `publish`: references are compared and swapped by git, objects moved in, and other
//! files made by us in folders that were opened without following links.

mod config;
mod error;
mod folder;
mod mirror;
mod person;
mod publish;
mod refs;
mod repository;
mod run;

pub(crate) use error::GitError;
pub(in crate::worker) use folder::{Folder, read_file};
pub(crate) use mirror::{Git, Place, remove_left_over};
pub(crate) use publish::RefChange;
pub(in crate::worker) use refs::{is_object_id, is_ref_name};
pub(crate) use repository::Repository;
pub(in crate::worker) use run::SHORT_BYTES;
pub(crate) use run::{Answer, Budget};
