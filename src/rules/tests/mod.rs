mod allow;
mod deny;
pub(super) mod support;
