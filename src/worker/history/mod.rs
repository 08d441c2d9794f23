//! Reading back: events from any place of a journal, pages, search, exports.

pub(crate) mod archive;
pub(crate) mod blocks;
pub(crate) mod checkpoint;
pub(crate) mod cursor;
pub(crate) mod export;
mod images;
pub(crate) mod page;
pub(crate) mod retold;
pub(crate) mod search;
pub(crate) mod walk;
pub(crate) mod whole;
