mod allow;
mod deny;
mod patterns;
pub(super) mod support;
