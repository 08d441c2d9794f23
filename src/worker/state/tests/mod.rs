//! Tests of the fold: on recordings, and on stories of one worker.

mod budgets;
mod fold;
mod story;
