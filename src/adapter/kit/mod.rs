//! Parts that the adapters share: reading lines, adding events, checking launches, keeping state.

pub(in crate::adapter) mod attachment;
pub(in crate::adapter) mod bounded;
pub(in crate::adapter) mod emitter;
pub(in crate::adapter) mod field;
pub(in crate::adapter) mod form;
pub(in crate::adapter) mod launch;
pub(in crate::adapter) mod lines;
pub(in crate::adapter) mod prompt;
pub(in crate::adapter) mod saved;
pub(crate) mod session;
pub(in crate::adapter) mod text;
pub(in crate::adapter) mod turn;
pub(in crate::adapter) mod wanted;

pub(in crate::adapter) use attachment::Attachment;
pub(in crate::adapter) use bounded::push_bounded;
pub(in crate::adapter) use emitter::Emitter;
pub(in crate::adapter) use form::Form;
pub(in crate::adapter) use lines::LineFold;
pub(in crate::adapter) use wanted::WorkerWishes;

pub(in crate::adapter) use crate::json::time;
