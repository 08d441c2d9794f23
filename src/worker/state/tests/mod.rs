//! Tests of the fold: on recordings, and on stories of one worker.

mod fold;
mod story;
