//! The parts of the tests' support that the program needs.

#[path = "../integration/support/model/mod.rs"]
pub(crate) mod model;
#[path = "../integration/support/wait.rs"]
pub(crate) mod wait;
