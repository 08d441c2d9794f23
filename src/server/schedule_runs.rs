//! Runs of schedules: one thread watches the clock, and a few send the messages and look for their answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::error::StartError;
use crate::api::{Api, Sending};
use crate::clock::Micros;
use crate::schedules::{
    Cause, MissedPolicy, RESULT_CHARS_MAX, RunState, ScheduleBook, ScheduleEntry, ScheduleRun, SlotPlan, TextValues,
    Timetable, fill, plan,
};
use crate::thread::Thread;
use crate::worker::publish::changes::{ChangeKind, ChangeNotifier, WorkerChange};
use crate::worker::registry::answers::MessageAnswer;
use crate::worker::state::status::Status;
use crate::worker::{Worker, WorkerError};

/// Threads that send: a new worker with a large worktree does not hold up all others.
const THREADS: usize = 4;
/// Messages to send and answers to look for that wait for a thread.
const JOBS_MAX: usize = 1_024;
/// Time between two looks at the clock, which may jump.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks for answers whose end of a turn was not reported.
const ANSWERS_EVERY: Duration = Duration::from_secs(30);
/// Time between two tries to send.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// Time after which a message that can't be sent is given up.
const RETRY_FOR: Duration = Duration::from_secs(600);
/// Time between two tries to begin a run whose history can't be written.
const DISK_EVERY: Duration = Duration::from_secs(30);

/// The reason of slots that were missed.
const MISSED: &str = "missed: the server did not run, or the machine slept";

/// Work for the threads that send.
enum ScheduleJob {
    /// Sends the message of a run.
    Send { id: String, slot: u64 },
    /// Looks for the answers of a schedule's runs.
    Look { id: String },
}

/// A message that could not be sent yet.
struct Retry {
    since: Instant,
    at: Instant,
    reason: String,
}

/// The parts that the threads share.
struct ScheduleRuns {
    book: Arc<ScheduleBook>,
    api: Arc<Api>,
    jobs: (Sender<ScheduleJob>, Receiver<ScheduleJob>),
    /// The schedules whose message is being sent: one at a time, in order.
    sending: Mutex<HashSet<String>>,
    retries: Mutex<HashMap<(String, u64), Retry>>,
}

/// The next slot of a schedule, as long as neither its instants nor its mark change.
struct KnownNext {
    timetable: Arc<Timetable>,
    mark: Micros,
    next: Option<Micros>,
    /// No try to begin a run before that.
    not_before: Option<Instant>,
}

/// Returns a function that reports ended turns to the schedules, and passes all changes on.
pub(super) fn reporting(book: &Arc<ScheduleBook>, notify: ChangeNotifier) -> ChangeNotifier {
    let book = Arc::clone(book);
    Arc::new(move |change: WorkerChange| {
        if change.kind == ChangeKind::TurnCompleted {
            book.report_turn(&change.worker.id);
        }
        notify(change);
    })
}

/// Starts the threads.
///
/// # Errors
/// Fails when the system has no thread for them.
pub(super) fn start(api: &Arc<Api>) -> Result<Vec<(Sender<()>, Thread)>, StartError> {
    let runs = Arc::new(ScheduleRuns {
        book: Arc::clone(&api.schedules),
        api: Arc::clone(api),
        jobs: bounded(JOBS_MAX),
        sending: Mutex::default(),
        retries: Mutex::default(),
    });
    let mut threads = Vec::new();
    let (stopping, stopped) = bounded(0);
    let ours = Arc::clone(&runs);
    threads.push((stopping, Thread::spawn("schedules", move || ours.watch(&stopped))?));
    for _ in 0..THREADS {
        let (stopping, stopped) = bounded(0);
        let ours = Arc::clone(&runs);
        threads.push((stopping, Thread::spawn("schedule runs", move || ours.work(&stopped))?));
    }
    Ok(threads)
}

impl ScheduleRuns {
    /// Watches the clock until the server stops.
    fn watch(&self, stopped: &Receiver<()>) {
        let mut known = HashMap::new();
        let mut running_since = Micros::now();
        let mut look_for_answers = Instant::now();
        loop {
            let now = Micros::now();
            // When the clock goes back, so does the time since when it is watched.
            running_since = running_since.min(now);
            let entries = self.book.all();
            known.retain(|id, _| entries.iter().any(|entry| entry.schedule.id == *id));
            self.retries().retain(|(id, _), _| entries.iter().any(|entry| entry.schedule.id == *id));
            for entry in entries.iter() {
                self.look(entry, (now, running_since), &mut known);
            }
            if Instant::now() >= look_for_answers {
                look_for_answers = Instant::now() + ANSWERS_EVERY;
                entries.iter().filter(|entry| self.may_be_answered(entry)).for_each(|entry| self.look_for(entry));
            }
            let wait = if entries.is_empty() { ANSWERS_EVERY } else { wait_for_next(&known, Micros::now()) };
            select! {
                recv(self.book.changes()) -> _ => {}
                recv(self.book.ended_turns()) -> worker => self.turn_ended(&worker.unwrap_or_default()),
                recv(stopped) -> _ => return,
                default(wait) => {}
            }
        }
    }

    /// Looks at one schedule: sends again what was begun, and begins what is due.
    fn look(&self, entry: &ScheduleEntry, times: (Micros, Micros), known: &mut HashMap<String, KnownNext>) {
        let schedule = &entry.schedule;
        if self.sending().contains(&schedule.id) {
            return;
        }
        let begun: Vec<u64> = entry.log().to_send().map(|run| run.slot).collect();
        let ready = begun.iter().find(|slot| !self.waits(&schedule.id, **slot));
        if let Some(slot) = ready {
            return self.dispatch(&schedule.id, *slot);
        }
        let Ok(timetable) = &entry.timetable else { return };
        if schedule.paused {
            return;
        }
        let mark = entry.mark();
        let next = known.entry(schedule.id.clone()).or_insert_with(|| next_of(timetable, mark));
        if next.mark != mark || !Arc::ptr_eq(&next.timetable, timetable) {
            *next = next_of(timetable, mark);
        }
        let is_due = next.next.is_some_and(|slot| slot <= times.0);
        if !is_due || next.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        for slot in begun {
            self.give_up(entry, slot, "the next slot came before it could be sent");
        }
        if let Err(error) = self.begin(entry, timetable, mark, times) {
            log::error!("the schedule {:?} can't begin its run: {error}", schedule.name);
            next.not_before = Some(Instant::now() + DISK_EVERY);
        }
    }

    /// Begins what is due: the run is on the disk before its message is sent.
    fn begin(
        &self,
        entry: &ScheduleEntry,
        timetable: &Timetable,
        mark: Micros,
        times: (Micros, Micros),
    ) -> std::io::Result<()> {
        let schedule = &entry.schedule;
        let Some(planned) = plan(timetable, schedule.missed, mark, times) else { return Ok(()) };
        let slot = {
            let mut log = entry.log();
            match planned {
                SlotPlan::Run { slot, late, missed } => {
                    let text = fill(&schedule.text, timetable, &TextValues { slot, last_result: log.last_result() });
                    let mut run = ScheduleRun::begun(slot, if late { Cause::Missed } else { Cause::Time }, text);
                    run.missed = missed;
                    run.worker_id = schedule.worker().map(str::to_owned);
                    log.begin(run)?;
                    slot
                }
                SlotPlan::Skip { slot, missed } => {
                    let mut run = ScheduleRun::begun(slot, Cause::Missed, String::new());
                    run.missed = missed;
                    run.become_state(RunState::Skipped, Some(MISSED));
                    log::info!("the schedule {:?} leaves out {missed} slots: {MISSED}", schedule.name);
                    return log.begin(run);
                }
            }
        };
        self.dispatch(&schedule.id, slot.0);
        Ok(())
    }

    fn dispatch(&self, id: &str, slot: u64) {
        self.sending().insert(id.to_owned());
        if self.jobs.0.try_send(ScheduleJob::Send { id: id.to_owned(), slot }).is_err() {
            // The next look tries again.
            self.sending().remove(id);
        }
    }

    /// Returns whether a message that could not be sent waits for its next try.
    fn waits(&self, id: &str, slot: u64) -> bool {
        self.retries().get(&(id.to_owned(), slot)).is_some_and(|retry| Instant::now() < retry.at)
    }

    /// Does the work of one thread until the server stops.
    fn work(&self, stopped: &Receiver<()>) {
        loop {
            select! {
                recv(stopped) -> _ => return,
                recv(self.jobs.1) -> job => match job {
                    Ok(ScheduleJob::Send { id, slot }) => {
                        if let Some(entry) = self.book.get(&id) {
                            self.send(&entry, slot);
                        }
                        self.sending().remove(&id);
                        self.book.wake();
                    }
                    Ok(ScheduleJob::Look { id }) => self.book.get(&id).iter().for_each(|entry| self.look_at_answers(entry)),
                    Err(_) => return,
                },
            }
        }
    }

    /// Sends the message of a run, and records the outcome.
    fn send(&self, entry: &ScheduleEntry, slot: u64) {
        let schedule = &entry.schedule;
        let Some(mut run) = entry.log().run(slot).filter(|run| run.state == RunState::Begun).cloned() else { return };
        let key = (schedule.id.clone(), slot);
        let is_first = !self.retries().contains_key(&key);
        // Begun by an earlier server, which ended before it had sent it.
        let is_old = is_first && Micros::now().0.saturating_sub(run.begun) > micros(RETRY_FOR);
        let may_send = !(is_old && schedule.missed == MissedPolicy::Skip && run.cause != Cause::Person);
        match self.api.send_scheduled(schedule, &run, &worker_name(entry, &run), may_send) {
            Sending::Sent { worker_id, message_id, seq, queued } => {
                run.become_state(RunState::Sent, None);
                (run.worker_id, run.message_id, run.seq, run.queued) =
                    (Some(worker_id), Some(message_id), Some(seq), queued);
            }
            Sending::NotSent => run.become_state(RunState::Skipped, Some(MISSED)),
            Sending::Busy => run.become_state(RunState::Skipped, Some("the worker is busy")),
            Sending::Failed(reason) => run.become_state(RunState::Failed, Some(&reason)),
            Sending::Later(reason) => {
                let now = Instant::now();
                let mut retries = self.retries();
                let retry = retries.entry(key.clone()).or_insert(Retry { since: now, at: now, reason: String::new() });
                (retry.at, retry.reason) = (now + RETRY_EVERY, reason);
                if retry.since.elapsed() < RETRY_FOR {
                    return;
                }
                run.become_state(RunState::Failed, Some(&retry.reason));
            }
        }
        log::info!(
            "the schedule {:?}: {:?} {}",
            schedule.name,
            run.state,
            run.reason.as_deref().or(run.worker_id.as_deref()).unwrap_or_default()
        );
        let is_sent = run.state == RunState::Sent;
        if self.store(entry, run) {
            self.retries().remove(&key);
        } else {
            // The same message again is the same message.
            let now = Instant::now();
            self.retries().insert(key, Retry { since: now, at: now + RETRY_EVERY, reason: String::new() });
        }
        if is_sent {
            // The answer may have been faster than the record.
            self.look_at_answers(entry);
        }
    }

    fn give_up(&self, entry: &ScheduleEntry, slot: u64, why: &str) {
        let Some(mut run) = entry.log().run(slot).cloned() else { return };
        let retry = self.retries().remove(&(entry.schedule.id.clone(), slot));
        let reason = retry.map(|retry| retry.reason).unwrap_or_default();
        run.become_state(RunState::Failed, Some(&format!("{why}: {reason}")));
        self.store(entry, run);
    }

    /// Stores the state of a run; whether it is on the disk.
    fn store(&self, entry: &ScheduleEntry, run: ScheduleRun) -> bool {
        let stored = entry.log().put(run);
        if let Err(error) = &stored {
            log::error!("the history of the schedule {:?} can't be written: {error}", entry.schedule.name);
        }
        stored.is_ok()
    }

    fn turn_ended(&self, worker_id: &str) {
        for entry in self.book.all().iter() {
            let waits = entry.log().to_answer().any(|run| run.worker_id.as_deref() == Some(worker_id));
            if waits {
                self.look_for(entry);
            }
        }
    }

    fn look_for(&self, entry: &ScheduleEntry) {
        // When the queue is full, the next look finds the answer.
        let _ = self.jobs.0.try_send(ScheduleJob::Look { id: entry.schedule.id.clone() });
    }

    /// Returns whether a run may have its answer: none comes while the worker is in a turn.
    fn may_be_answered(&self, entry: &ScheduleEntry) -> bool {
        let workers: Vec<String> = entry.log().to_answer().filter_map(|run| run.worker_id.clone()).collect();
        let is_free = |worker: Arc<Worker>| {
            !matches!(worker.state().status, Status::Busy | Status::Waiting | Status::Stalled | Status::Preparing)
        };
        workers.iter().any(|worker| self.api.registry.get(worker).map_or(true, is_free))
    }

    /// Records the answers that the runs of a schedule have got.
    fn look_at_answers(&self, entry: &ScheduleEntry) {
        let open: Vec<ScheduleRun> = entry.log().to_answer().cloned().collect();
        for mut run in open {
            let (Some(worker), Some(message)) = (run.worker_id.as_deref(), run.message_id.as_deref()) else { continue };
            let answer = match self.api.registry.get(worker) {
                Ok(worker) => worker.answer_to(message, run.seq.unwrap_or_default()),
                Err(_) => Ok(MessageAnswer::Withdrawn("the worker was deleted")),
            };
            match answer {
                Ok(MessageAnswer::Open) => continue,
                Ok(MessageAnswer::Withdrawn(why)) => run.become_state(RunState::Withdrawn, Some(why)),
                Ok(MessageAnswer::Ended { stop_reason, is_error, text }) => {
                    let state = match (&*stop_reason, is_error) {
                        ("interrupted", _) => RunState::Interrupted,
                        (_, true) => RunState::Failed,
                        (_, false) => RunState::Completed,
                    };
                    run.become_state(state, (state != RunState::Completed).then_some(&*stop_reason));
                    run.result = text.map(|text| text.chars().take(RESULT_CHARS_MAX).collect());
                }
                Err(error) => {
                    log_unreadable(&entry.schedule.name, &error);
                    continue;
                }
            }
            self.store(entry, run);
        }
    }

    fn sending(&self) -> MutexGuard<'_, HashSet<String>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retries(&self) -> MutexGuard<'_, HashMap<(String, u64), Retry>> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_unreadable(name: &str, error: &WorkerError) {
    log::warn!("the schedule {name:?}: its worker's journal can't be read: {error}");
}

fn next_of(timetable: &Arc<Timetable>, mark: Micros) -> KnownNext {
    KnownNext { timetable: Arc::clone(timetable), mark, next: timetable.next(mark), not_before: None }
}

/// The time until the next slot; one that is due already waits for something else.
fn wait_for_next(known: &HashMap<String, KnownNext>, now: Micros) -> Duration {
    let next = known.values().filter_map(|known| known.next).filter(|next| *next > now).min();
    next.map_or(LOOK_EVERY, |next| Duration::from_micros(next.0 - now.0).min(LOOK_EVERY))
}

/// The name of a new worker: that of the schedule, with the time of the slot.
fn worker_name(entry: &ScheduleEntry, run: &ScheduleRun) -> String {
    let clock = entry.timetable.as_ref().ok().and_then(|timetable| timetable.local(Micros(run.slot)));
    let name = &entry.schedule.name;
    clock.map_or_else(
        || name.clone(),
        |clock| format!("{name} {} {:02}:{:02}", clock.date(), clock.hour(), clock.minute()),
    )
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
