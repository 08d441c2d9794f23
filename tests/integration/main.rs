//! Integration tests: one program, one module per theme.
//!
//! Names that begin with `real_` need the real CLIs (`make install-test-deps`); `make check` leaves them out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so and fails")]

mod support;

mod acp;
mod agent_files;
mod agents;
mod bench_peers;
mod budget_evasions;
mod budgets;
mod clients;
mod command_line;
mod configuration;
mod deploy;
mod disk_full;
mod exhaustion;
mod fake_cli;
mod fake_model;
mod groups;
mod guide;
mod handover;
mod hibernation;
mod hostile;
mod house;
mod kill;
mod kill_agent;
mod landing;
mod language;
mod life_cycle;
mod limits;
mod lost_sessions;
mod mcp;
mod operations;
mod projects;
mod python_example;
mod real_all;
mod real_asleep;
mod real_claude;
mod real_claude_lost;
mod real_claude_worker;
mod real_codex_worker;
mod real_gemini;
mod real_one_shot;
mod real_opencode;
mod recordings;
mod room;
mod rules;
mod runner;
mod schedules;
mod security;
mod server_support;
mod settings;
mod shim;
mod slow_client;
mod soak;
mod stress;
mod terminal;
mod tokens;
mod transcript;
mod turns;
mod unfinished;
mod usage_limit;
mod wire;
mod worktree;
