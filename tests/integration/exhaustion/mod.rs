//! The server's behaviour when the system's resources are exhausted, or the data folder is unusable.

pub(crate) mod clock;
mod data_folder;
mod journals;
mod threads;
