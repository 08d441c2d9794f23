//! `GET /metrics`: counters and current values of the server, for Prometheus.
//!
//! Counters are in [`metrics`] and [`Traffic`](super::traffic::Traffic) and are only read here; current values
//! (workers, prompts, queues) are computed on each request. No label has a value that a client or a CLI can choose, so
//! that the number of series is bounded.

use std::collections::BTreeMap;

use super::{Api, ApiCall, RouteResult};
use crate::http::Response;
use crate::metrics::{self, Counter, MetricKind, MetricsText, OUTCOMES, PROMPTS, RESOLVERS, STREAMS, TOKENS};
use crate::procfs::OwnProcess;
use crate::push;
use crate::worker::Worker;
use crate::worker::state::status::Status;
use crate::worker::state::{PromptSubject, State};

/// `GET /metrics`
pub(super) fn text(call: &ApiCall<'_>) -> RouteResult {
    let mut text = MetricsText::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    text.family("rs_worker_build_info", MetricKind::Gauge, "1, labelled with the version of the program.")
        .sample(&version, 1);
    let now = Now::of(call);
    workers(&mut text, call.api, &now);
    open_prompts(&mut text, &now);
    // The rest is counted over all workers, and is not for who may see some of them.
    if !call.sees_everything() {
        return Ok(Response::with_content(200, MetricsText::MEDIA_TYPE, text.finish()).into());
    }
    turns(&mut text);
    prompts(&mut text);
    engine(&mut text);
    clients(&mut text, &now);
    queues(&mut text, call.api, &now);
    webhook(&mut text);
    pushes(&mut text, call.api);
    call.api.traffic.write(&mut text);
    if let Some(own) = OwnProcess::read() {
        process(&mut text, &own);
    }
    Ok(Response::with_content(200, MetricsText::MEDIA_TYPE, text.finish()).into())
}

/// The current totals over all workers.
#[derive(Default)]
struct Now {
    /// Workers by CLI and status.
    workers: BTreeMap<(String, Status), u64>,
    /// Bytes of journals by CLI.
    journals: BTreeMap<String, u64>,
    /// Open prompts by CLI and kind.
    prompts: BTreeMap<(String, usize), u64>,
    subscriptions: usize,
    lagging: usize,
    /// The depth of the fullest queue of each kind.
    messages: usize,
    subscriber_bytes: usize,
    commands: (usize, usize),
    running: u64,
    asleep: u64,
    waking: u64,
}

impl Now {
    fn of(call: &ApiCall<'_>) -> Self {
        let mut now = Self::default();
        for worker in call.workers() {
            let state = worker.state();
            now.add_state(&state);
            *now.journals.entry(state.ai_cli_type.clone()).or_default() += worker.views().end();
            now.add_queues(&worker);
        }
        now
    }

    fn add_state(&mut self, state: &State) {
        let cli = &state.ai_cli_type;
        *self.workers.entry((cli.clone(), state.status)).or_default() += 1;
        self.running += u64::from(state.is_running());
        let is_asleep = state.hibernated.is_some() && state.status == Status::Stopped;
        self.asleep += u64::from(is_asleep);
        self.waking += u64::from(is_asleep && !state.queue.is_empty());
        for prompt in &state.prompts {
            let kind = usize::from(matches!(prompt.asked, PromptSubject::Question { .. }));
            *self.prompts.entry((cli.clone(), kind)).or_default() += 1;
        }
        self.messages = self.messages.max(state.queue.len());
    }

    fn add_queues(&mut self, worker: &Worker) {
        let subscribers = worker.topic().subscribers();
        self.subscriptions += subscribers.count;
        self.lagging += subscribers.behind;
        self.subscriber_bytes = self.subscriber_bytes.max(subscribers.fullest);
        if let Some((waiting, most)) = worker.commands_waiting() {
            self.commands = (self.commands.0.max(waiting), most);
        }
    }
}

fn workers(text: &mut MetricsText, api: &Api, now: &Now) {
    text.family("rs_worker_workers", MetricKind::Gauge, "Workers by CLI and status.");
    let clis: Vec<String> = metrics::clis().into_iter().map(|(cli, _)| cli).collect();
    for cli in &clis {
        for status in Status::ALL {
            let count = now.workers.get(&(cli.clone(), status)).copied().unwrap_or_default();
            text.sample(&[("cli", cli), ("status", status.as_str())], count);
        }
    }
    text.single("rs_worker_running_workers", MetricKind::Gauge, "Workers that count against MAX_WORKERS.", now.running);
    let most = api.registry.max_running();
    text.single("rs_worker_running_workers_max", MetricKind::Gauge, "Limit of running workers (MAX_WORKERS).", most);
    text.single("rs_worker_asleep_workers", MetricKind::Gauge, "Workers that are hibernated.", now.asleep);
    let help = "Hibernated workers whose messages wait for room.";
    text.single("rs_worker_waking_workers", MetricKind::Gauge, help, now.waking);
    text.family("rs_worker_hibernated_total", MetricKind::Counter, "Workers that were hibernated, by reason.")
        .sample(&[("reason", "idle")], metrics::HIBERNATED_FOR_IDLENESS.get())
        .sample(&[("reason", "memory")], metrics::HIBERNATED_FOR_MEMORY.get())
        .sample(&[("reason", "place")], metrics::HIBERNATED_FOR_PLACE.get());
    if let Some((available, reserve)) = api.registry.memory() {
        let help = "Memory that is available to workers.";
        text.single("rs_worker_memory_available_bytes", MetricKind::Gauge, help, available);
        let help = "Memory that is kept available (MEMORY_RESERVE).";
        text.single("rs_worker_memory_reserve_bytes", MetricKind::Gauge, help, reserve);
    }
    text.family("rs_worker_journal_bytes", MetricKind::Gauge, "Bytes of the workers' journals, by CLI.");
    for (cli, bytes) in &now.journals {
        text.sample(&[("cli", cli)], bytes);
    }
}

/// Writes a family of counters with the label `cli` and one more.
fn by_cli<const N: usize>(
    text: &mut MetricsText,
    (name, help): (&'static str, &str),
    (label, words): (&str, [&str; N]),
    of: impl Fn(&metrics::CliCounts) -> &[Counter; N],
) {
    text.family(name, MetricKind::Counter, help);
    for (cli, counts) in metrics::clis() {
        for (word, counter) in words.iter().zip(of(&counts)) {
            text.sample(&[("cli", &cli), (label, word)], counter.get());
        }
    }
}

/// Writes the same without another label.
fn total_by_cli(
    text: &mut MetricsText,
    (name, help): (&'static str, &str),
    of: impl Fn(&metrics::CliCounts) -> &Counter,
) {
    text.family(name, MetricKind::Counter, help);
    for (cli, counts) in metrics::clis() {
        text.sample(&[("cli", &cli)], of(&counts).get());
    }
}

fn turns(text: &mut MetricsText) {
    let about = ("rs_worker_turns_total", "Completed turns, by CLI and outcome.");
    by_cli(text, about, ("outcome", OUTCOMES), |counts| &counts.turns);
    let about = ("rs_worker_tokens_total", "Tokens of completed turns, by CLI and kind; input excludes cached tokens.");
    by_cli(text, about, ("kind", TOKENS), |counts| &counts.tokens);
    let help = "Cost of completed turns in US dollars, as reported by the CLI.";
    text.family("rs_worker_cost_usd_total", MetricKind::Counter, help);
    for (cli, counts) in metrics::clis() {
        text.sample(&[("cli", &cli)], counts.cost_nano_usd.get() as f64 / 1e9);
    }
}

fn open_prompts(text: &mut MetricsText, now: &Now) {
    text.family("rs_worker_prompts_waiting", MetricKind::Gauge, "Open permission prompts and questions.");
    for (cli, _) in metrics::clis() {
        for (at, kind) in PROMPTS.into_iter().enumerate() {
            let count = now.prompts.get(&(cli.clone(), at)).copied().unwrap_or_default();
            text.sample(&[("cli", &cli), ("kind", kind)], count);
        }
    }
}

fn prompts(text: &mut MetricsText) {
    let about = ("rs_worker_prompts_total", "Permission prompts and questions, in total.");
    by_cli(text, about, ("kind", PROMPTS), |counts| &counts.prompts);
    let about =
        ("rs_worker_prompts_resolved_total", "Resolved prompts, by decider; cli: withdrawn, or the process ended.");
    by_cli(text, about, ("by", RESOLVERS), |counts| &counts.resolved);
    let help = "Time from a prompt to its decision; withdrawn prompts do not count.";
    text.family("rs_worker_prompt_answer_seconds", MetricKind::Histogram, help).histogram(&[], &metrics::ANSWER_TIME);
}

fn engine(text: &mut MetricsText) {
    let about = ("rs_worker_records_total", "Records read from journals and shims.");
    total_by_cli(text, about, |counts| &counts.records);
    let about = ("rs_worker_events_total", "Events computed from records.");
    total_by_cli(text, about, |counts| &counts.events);
    let about = ("rs_worker_deltas_total", "Deltas of unfinished messages.");
    total_by_cli(text, about, |counts| &counts.deltas);
    let about = ("rs_worker_cli_bytes_total", "Bytes to and from the CLIs, by pipe.");
    by_cli(text, about, ("stream", STREAMS), |counts| &counts.bytes);
    let help = "Time to sync a journal to disk at the end of a turn: the shim's fdatasync and the wait before it.";
    text.family("rs_worker_journal_sync_seconds", MetricKind::Histogram, help).histogram(&[], &metrics::JOURNAL_SYNC);
}

fn clients(text: &mut MetricsText, now: &Now) {
    text.family("rs_worker_clients", MetricKind::Gauge, "Clients that follow workers, by protocol.")
        .sample(&[("protocol", "websocket")], metrics::WEBSOCKETS.get())
        .sample(&[("protocol", "sse")], metrics::EVENT_STREAMS.get());
    let help = "Subscriptions of WebSocket clients to workers.";
    text.single("rs_worker_subscriptions", MetricKind::Gauge, help, now.subscriptions);
    let help = "Subscriptions that lag and are served from the journal.";
    text.single("rs_worker_subscriptions_lagging", MetricKind::Gauge, help, now.lagging);
    let help = "Number of times that a client fell behind.";
    text.single("rs_worker_lags_total", MetricKind::Counter, help, metrics::LAGS.get());
    let label = |protocol, direction| [("protocol", protocol), ("direction", direction)];
    text.family("rs_worker_client_bytes_total", MetricKind::Counter, "Bytes from and to clients; sse is part of http.")
        .sample(&label("http", "in"), metrics::HTTP_RECEIVED.get())
        .sample(&label("http", "out"), metrics::HTTP_SENT.get())
        .sample(&label("websocket", "in"), metrics::WEBSOCKET_RECEIVED.get())
        .sample(&label("websocket", "out"), metrics::WEBSOCKET_SENT.get());
}

fn queues(text: &mut MetricsText, api: &Api, now: &Now) {
    let connections = usize::try_from(metrics::CONNECTIONS.get()).unwrap_or(usize::MAX);
    let mut queues = vec![
        ("connections", connections, api.settings.connections_max),
        ("messages", now.messages, api.registry.queue_max()),
        ("subscriber_bytes", now.subscriber_bytes, api.settings.sockets.queue_bytes),
    ];
    if now.commands.1 > 0 {
        queues.push(("shim_commands", now.commands.0, now.commands.1));
    }
    if api.settings.webhook_queue_max > 0 {
        let waiting = usize::try_from(metrics::WEBHOOK_QUEUE.get()).unwrap_or(usize::MAX);
        queues.push(("webhook", waiting, api.settings.webhook_queue_max));
    }
    let waiting = usize::try_from(metrics::PUSH_QUEUE.get()).unwrap_or(usize::MAX);
    queues.push(("push", waiting, push::LANE_MAX));
    text.family("rs_worker_queue_depth", MetricKind::Gauge, "Depth of the fullest queue of each kind.");
    for (queue, depth, _) in &queues {
        text.sample(&[("queue", queue)], depth);
    }
    text.family("rs_worker_queue_capacity", MetricKind::Gauge, "Capacity of a queue of each kind.");
    for (queue, _, capacity) in &queues {
        text.sample(&[("queue", queue)], capacity);
    }
}

fn webhook(text: &mut MetricsText) {
    text.family("rs_worker_webhook_messages_total", MetricKind::Counter, "Webhook messages, by outcome.")
        .sample(&[("outcome", "delivered")], metrics::WEBHOOK_DELIVERED.get())
        .sample(&[("outcome", "failed")], metrics::WEBHOOK_FAILED.get())
        .sample(&[("outcome", "dropped")], metrics::WEBHOOK_DROPPED.get());
}

fn pushes(text: &mut MetricsText, api: &Api) {
    text.family("rs_worker_push_messages_total", MetricKind::Counter, "Web Push messages, by outcome.")
        .sample(&[("outcome", "delivered")], metrics::PUSH_DELIVERED.get())
        .sample(&[("outcome", "failed")], metrics::PUSH_FAILED.get())
        .sample(&[("outcome", "dropped")], metrics::PUSH_DROPPED.get());
    let help = "Browsers that are subscribed to Web Push.";
    text.single("rs_worker_push_subscriptions", MetricKind::Gauge, help, api.push.subscriptions().len());
}

/// Writes the standard metrics of a process, by their standard names.
fn process(text: &mut MetricsText, own: &OwnProcess) {
    let help = "Processor time of the server, user and system, in seconds.";
    text.single("process_cpu_seconds_total", MetricKind::Counter, help, own.cpu_seconds);
    text.single(
        "process_resident_memory_bytes",
        MetricKind::Gauge,
        "Resident memory of the server.",
        own.resident_bytes,
    );
    text.single("process_virtual_memory_bytes", MetricKind::Gauge, "Address space of the server.", own.virtual_bytes);
    text.single("process_threads", MetricKind::Gauge, "Threads of the server.", own.threads);
    text.single("process_open_fds", MetricKind::Gauge, "Open file descriptors of the server.", own.descriptors.0);
    text.single("process_max_fds", MetricKind::Gauge, "Limit of open file descriptors.", own.descriptors.1);
    let help = "Start time of the server, in seconds since the Unix epoch.";
    text.single("process_start_time_seconds", MetricKind::Gauge, help, own.started_seconds);
}
