//! The server's behaviour when the system has no more to give, or the data folder is not as it should be.

pub(crate) mod clock;
mod data_folder;
mod journals;
mod threads;
