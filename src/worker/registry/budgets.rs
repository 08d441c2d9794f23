//! The watch over budgets: it warns, interrupts turns and asks, and lets queues continue.
//!
//! All of it follows from the folds, the file of the budgets and the clock, so a server that is killed in between continues
//! at its next start. One thread does it, so that nothing is asked twice. The [gate](crate::worker::run::budget_gate) holds
//! the queues meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, select};

use crate::budgets::{Budget, BudgetScope, BudgetUsage, Period, Sums, WARN_PERCENT};
use crate::clock::Micros;
use crate::journal::{BudgetPrompt, BudgetRaise, BudgetStep, By, Control};
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::publish::changes::WorkerChange;
use crate::worker::registry::Registry;
use crate::worker::run::budget_gate::AdmittedMessages;
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between two looks, which collects what happens at once.
const PAUSE: Duration = Duration::from_millis(20);
/// Time between two looks while a turn is to be interrupted after its running tool.
const LOOK_FOR_TOOL: Duration = Duration::from_millis(100);
/// Shortest time after which a CLI that ignores the interrupt of its turn is stopped.
const INTERRUPT_WAIT_MIN: Duration = Duration::from_secs(5);
/// The steps by which a prompt offers to raise a budget, in percent of its limit, with the ids of the options.
const RAISES: [(&str, u64); 2] = [("raise", 50), ("double", 100)];

/// A budget with what is used of it.
struct LookedAt {
    budget: Budget,
    usage: BudgetUsage,
    key: String,
}

/// The worker of a look, with its state.
struct LookedAtWorker {
    worker: Arc<Worker>,
    state: Arc<State>,
}

/// Turns that are to be interrupted, by worker.
#[derive(Default)]
struct Ending {
    turns: HashMap<String, EndingTurn>,
}

/// A turn that is to be interrupted.
struct EndingTurn {
    turn_id: String,
    since: Instant,
    /// The time since when its CLI knows, or was last stopped in vain.
    interrupted: Option<Instant>,
    /// Its CLI can't be interrupted.
    has_failed: bool,
}

impl EndingTurn {
    fn new(turn_id: String) -> Self {
        Self { turn_id, since: Instant::now(), interrupted: None, has_failed: false }
    }
}

/// The body of the watch's thread: ends when `stop` is closed.
pub(crate) fn watch(registry: &Arc<Registry>, stop: &Receiver<()>) {
    let mut ending = Ending::default();
    let mut pause = LOOK_EVERY;
    loop {
        let is_woken = select! {
            recv(registry.launcher.budgets.woken()) -> _ => true,
            recv(stop) -> _ => return,
            default(pause) => false,
        };
        let is_quiet = is_woken && registry.launcher.budgets.book().all().is_empty();
        let waits_for_tool = !is_quiet && registry.look_after_budgets(&mut ending);
        pause = if waits_for_tool { LOOK_FOR_TOOL } else { LOOK_EVERY };
        if stop.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Registry {
    /// Opens the gate of budgets: all workers are loaded.
    pub(in crate::worker) fn open_budgets(self: &Arc<Self>) {
        let registry: Weak<Self> = Arc::downgrade(self);
        self.launcher.budgets.open(Box::new(move |budget: &Budget, now: Micros, admitted: &AdmittedMessages| {
            registry.upgrade().map_or_else(Sums::default, |registry| registry.budget_sums(budget, now, admitted))
        }));
    }

    /// Sums what all workers under a budget have used, deleted ones included. An admitted message counts as a turn.
    fn budget_sums(&self, budget: &Budget, now: Micros, admitted: &AdmittedMessages) -> Sums {
        let mut sums = Sums::default();
        for (id, worker) in self.read().iter() {
            let state = worker.state();
            if !budget.covers(&state.spender(id)) {
                continue;
            }
            sums.add(&state.used(budget, now));
            let is_on_its_way = |message: &String| {
                state.queue.iter().any(|queued| queued.message_id == *message)
                    || state.in_turn.iter().any(|sent| sent.message_id == *message)
            };
            if !state.has_turn() && admitted.get(id).is_some_and(is_on_its_way) {
                sums.add(&Sums { turns: 1, ..Sums::default() });
            }
        }
        let first = budget.first_day(now);
        self.past_spending.for_each(|past| {
            if past.day.day >= first && budget.covers(&past.spender()) {
                sums.add(&past.day.spent.sums());
            }
        });
        sums
    }

    /// Returns the workers under a budget, oldest first.
    pub(crate) fn workers_under(&self, budget: &Budget) -> Vec<Arc<Worker>> {
        let mut all = self.all();
        all.retain(|worker| budget.covers(&worker.state().spender(worker.id())));
        all
    }

    /// Takes one look at all budgets. Returns whether a turn waits for its tool.
    fn look_after_budgets(&self, ending: &mut Ending) -> bool {
        let (gate, now) = (&self.launcher.budgets, Micros::now());
        let all = || -> Vec<LookedAtWorker> {
            let look = |worker: Arc<Worker>| LookedAtWorker { state: worker.state(), worker };
            self.all().into_iter().map(look).collect()
        };
        let workers = all();
        let look = |budget: &Budget| {
            let usage = gate.usage(budget, now)?;
            Some(LookedAt { key: budget.key(now), usage, budget: budget.clone() })
        };
        let budgets: Vec<LookedAt> = gate.book().all().iter().filter_map(look).collect();
        gate.retain(|id| workers.iter().any(|it| it.worker.id() == id));
        withdraw(&workers, &budgets);
        for looked in budgets.iter().filter(|looked| looked.usage.is_near()) {
            self.warn(looked, &workers);
        }
        let waits_for_tool = ending.interrupt(&workers, &budgets, gate.settings().tool_wait);
        for looked in budgets.iter().filter(|looked| looked.usage.is_over()) {
            // As they are after the prompts before.
            ask(looked, &all());
        }
        let may_send = |it: &&LookedAtWorker| is_ready_to_send(&it.state) && it.worker.held_by_budget().is_none();
        workers.iter().filter(may_send).for_each(|it| it.worker.send_queued());
        waits_for_tool
    }

    /// Warns the running workers under a budget, once for each key, and notifies people with the first.
    fn warn(&self, looked: &LookedAt, workers: &[LookedAtWorker]) {
        let is_warned = |it: &&LookedAtWorker| it.state.budget.warned.contains(&looked.key);
        let mut is_first = !workers.iter().any(|it| is_warned(&it));
        let under = workers.iter().filter(|it| it.is_under(looked) && it.state.is_running() && !is_warned(it));
        for it in under {
            let text = format!(
                "{} % of the budget {:?} are used: {}",
                looked.usage.percent().max(WARN_PERCENT),
                looked.budget.name,
                looked.usage.text()
            );
            let step = BudgetStep::Warned { key: looked.key.clone(), text: text.clone() };
            let is_done = record(&it.worker, step);
            // A budget that is used up notifies with its prompt.
            if is_done && std::mem::take(&mut is_first) && !looked.usage.is_over() {
                log::info!("worker {}: {text}", it.worker.id());
                if let Some(notify) = &self.launcher.notify {
                    notify(WorkerChange::budget_warning(&text, it.worker.summary()));
                }
            }
        }
    }
}

impl LookedAtWorker {
    fn is_under(&self, looked: &LookedAt) -> bool {
        looked.budget.covers(&self.state.spender(self.worker.id()))
    }

    /// Returns whether a budget does not count for the worker's next turn.
    fn has_pass(&self, looked: &LookedAt) -> bool {
        self.state.budget.passes.contains(&looked.budget.id)
    }

    /// Returns whether a prompt would hold nothing up: its turn is over, or about to be.
    fn can_ask(&self, looked: &LookedAt) -> bool {
        let is_between_turns = !self.state.has_turn() || self.state.is_interrupted();
        self.is_under(looked) && is_between_turns && self.state.follow.is_none() && !self.has_pass(looked)
    }
}

/// Withdraws prompts about budgets that have room again, or are other ones by now.
fn withdraw(workers: &[LookedAtWorker], budgets: &[LookedAt]) {
    for it in workers {
        let Some((prompt, details)) = it.state.budget_prompt() else { continue };
        let holds = |looked: &LookedAt| looked.key == details.key && looked.usage.is_over() && it.is_under(looked);
        if !budgets.iter().any(holds) {
            let (request_id, decision) = (prompt.request_id.clone(), "cancelled".to_owned());
            record(&it.worker, BudgetStep::Answered { request_id, decision, by: By::Budget });
        }
    }
}

/// Asks with one worker about a budget that is used up, unless it is asked about already or a person has chosen to stop.
fn ask(looked: &LookedAt, workers: &[LookedAtWorker]) {
    let (key, under) = (&looked.key, || workers.iter().filter(|it| it.is_under(looked)));
    let is_open = |it: &LookedAtWorker| it.state.budget_prompt().is_some_and(|(_, open)| open.key == *key);
    if under().any(|it| is_open(it) || it.state.budget.stopped.contains(key)) {
        return;
    }
    let may = |it: &&LookedAtWorker| it.can_ask(looked) && it.state.budget_prompt().is_none();
    let waits = |it: &&LookedAtWorker| it.state.is_running() && !it.state.queue.is_empty();
    let since = |it: &&LookedAtWorker| it.state.queue.front().map(|message| message.time);
    let is_asked = || under().any(|it| it.state.budget.asked.contains(key));
    // The one that waits longest, else the one that has worked last.
    let asking = under().filter(may).filter(waits).min_by_key(since).or_else(|| {
        let has_worked = |it: &&LookedAtWorker| it.state.turns > 0 || it.state.is_interrupted();
        let last = under().filter(may).filter(has_worked).max_by_key(|it| it.state.last_activity);
        last.filter(|_| !is_asked())
    });
    let Some(it) = asking else { return };
    let raises = RAISES.into_iter().map(|(id, percent)| {
        let limits = looked.usage.raised(percent);
        BudgetRaise { id: id.to_owned(), label: format!("Raise to {}", looked.usage.raise_text(&limits)), limits }
    });
    let mut raises: Vec<BudgetRaise> = raises.collect();
    // Small limits leave no choice.
    raises.dedup_by_key(|raise| raise.limits);
    let Budget { id, name, revision, .. } = &looked.budget;
    let prompt = BudgetPrompt {
        request_id: format!("budget-{}", uuid::Uuid::new_v4()),
        budget_id: id.clone(),
        name: name.clone(),
        key: key.clone(),
        revision: *revision,
        scope: scope_text(&looked.budget, workers),
        used: looked.usage.text(),
        raises,
    };
    log::info!("worker {}: the budget {name:?} is used up: {}", it.worker.id(), prompt.used);
    record(&it.worker, BudgetStep::Asked(prompt));
}

/// Describes the workers and the time of a budget, for people.
fn scope_text(budget: &Budget, workers: &[LookedAtWorker]) -> String {
    let scope = match &budget.scope {
        BudgetScope::All => "all workers".to_owned(),
        BudgetScope::Project(project) => format!("workers in {project}"),
        BudgetScope::Preset(preset) => format!("workers of the preset {preset}"),
        BudgetScope::Worker(id) => {
            let name = workers.iter().find(|it| it.worker.id() == id).map(|it| it.state.name.clone());
            let below =
                workers.iter().any(|it| it.state.options.parent.as_ref().is_some_and(|up| up.descends_from(id)));
            let and_those = if below { " and the workers below it" } else { "" };
            format!("the worker {}{and_those}", name.unwrap_or_else(|| id.clone()))
        }
    };
    match budget.period {
        Period::Day => format!("{scope}, each day (UTC)"),
        Period::Total => format!("{scope}, in total"),
    }
}

impl Ending {
    /// Interrupts the turns that a budget ends, each after its running tool. Returns whether one waits for its tool.
    fn interrupt(&mut self, workers: &[LookedAtWorker], budgets: &[LookedAt], tool_wait: Duration) -> bool {
        let mut waits = false;
        let is_ended = |it: &LookedAtWorker| {
            let ends = |looked: &&LookedAt| looked.usage.ends_turns() && it.is_under(looked) && !it.has_pass(looked);
            it.state.turn_id.clone().filter(|_| it.state.follow.is_none() && budgets.iter().any(|looked| ends(&looked)))
        };
        self.turns.retain(|id, _| workers.iter().any(|it| it.worker.id() == id && is_ended(it).is_some()));
        for it in workers {
            let Some(turn_id) = is_ended(it) else { continue };
            let entry = self.turns.entry(it.worker.id().to_owned());
            let turn = entry.or_insert_with(|| EndingTurn::new(turn_id.clone()));
            if turn.turn_id != turn_id {
                *turn = EndingTurn::new(turn_id);
            }
            if it.state.is_interrupted() {
                let wait = tool_wait.max(INTERRUPT_WAIT_MIN);
                if turn.interrupted.get_or_insert_with(Instant::now).elapsed() >= wait {
                    turn.interrupted = Some(Instant::now());
                    stop(&it.worker);
                }
                continue;
            }
            if turn.has_failed {
                continue;
            }
            // A tool that waits for a permission does not run.
            let asks = it.state.status == Status::Waiting;
            if !asks && it.worker.runs_tool() && turn.since.elapsed() < tool_wait {
                waits = true;
                continue;
            }
            log::info!("worker {}: its turn is interrupted, since a budget is used up", it.worker.id());
            if let Err(error) = it.worker.interrupt(By::Budget) {
                log::warn!("worker {}: its turn can't be interrupted: {error}; it may end", it.worker.id());
                turn.has_failed = true;
            }
        }
        waits
    }
}

/// Stops a worker whose CLI ignores the interrupt of its turn: what it spends would have no bound. The watch does not wait.
fn stop(worker: &Arc<Worker>) {
    let (id, worker) = (worker.id().to_owned(), Arc::clone(worker));
    log::warn!("worker {id}: its CLI ignores the interrupt for a budget that is used up, and is stopped");
    let work = move || {
        let reason = "Stopped: a budget is used up, and the CLI ignored the interrupt of its turn".to_owned();
        if let Err(error) = worker.stop_because(By::Budget, Some(reason)) {
            log::warn!("worker {}: {error}", worker.id());
        }
    };
    match Thread::spawn("budget stop", work) {
        Ok(thread) => thread.detach(),
        Err(error) => log::warn!("worker {id}: no thread to stop it: {error}"),
    }
}

/// Returns whether the next message might be delivered now.
fn is_ready_to_send(state: &State) -> bool {
    !state.queue.is_empty() && state.held.is_none() && state.status == Status::Idle
}

/// Records a step; returns whether that is done.
fn record(worker: &Worker, step: BudgetStep) -> bool {
    let recorded = worker.append_control(&Control::Budget(step));
    if let Err(error) = &recorded
        && !matches!(error, WorkerError::NotFound(_))
    {
        log::warn!("worker {}: {error}", worker.id());
    }
    recorded.is_ok()
}
