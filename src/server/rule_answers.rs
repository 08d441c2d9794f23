//! Answers of rules: each new prompt goes through the rules before people are notified of it.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::error::StartError;
use crate::access::EVERYTHING;
use crate::rules::{Rule, RuleBook};
use crate::thread::Thread;
use crate::worker::Registry;
use crate::worker::publish::changes::{ChangeKind, ChangeNotifier, WorkerChange};

/// Prompts that wait for the rules. People are notified at once of any beyond that, and no rule answers these.
const QUEUE_MAX: usize = 1_024;
/// Threads that answer: one worker whose shim is slow does not hold up all others.
const THREADS: usize = 2;

/// The way of new prompts to the rules.
pub(super) struct RuleAnswers {
    book: Arc<RuleBook>,
    queue: (Sender<WorkerChange>, Receiver<WorkerChange>),
    notify: ChangeNotifier,
}

impl RuleAnswers {
    /// The rules of `book`; `notify` gets what they do not answer.
    pub(super) fn new(book: Arc<RuleBook>, notify: ChangeNotifier) -> Self {
        Self { book, queue: bounded(QUEUE_MAX), notify }
    }

    /// The function that takes changes of workers.
    pub(super) fn notifier(&self) -> ChangeNotifier {
        let (book, sender, notify) = (Arc::clone(&self.book), self.queue.0.clone(), Arc::clone(&self.notify));
        Arc::new(move |change: WorkerChange| {
            let is_for_rules = change.kind == ChangeKind::Waiting
                && change.prompt.as_ref().is_some_and(|prompt| prompt.tool_name.is_some())
                && !book.all().is_empty();
            if !is_for_rules {
                return notify(change);
            }
            if let Err(refused) = sender.try_send(change) {
                notify(refused.into_inner());
            }
        })
    }

    /// Starts the threads. The first looks at the prompts that were open when an earlier server ended.
    ///
    /// # Errors
    /// Fails when the system has no thread for them.
    pub(super) fn start(self, registry: &Arc<Registry>) -> Result<Vec<(Sender<()>, Thread)>, StartError> {
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let (stopping, stopped) = bounded(0);
            let (book, queue, notify) = (Arc::clone(&self.book), self.queue.1.clone(), Arc::clone(&self.notify));
            let registry = Arc::clone(registry);
            let thread = Thread::spawn("rules", move || {
                if number == 0 {
                    answer_open(&registry, &book);
                }
                answer_new(&registry, &book, &queue, &notify, &stopped);
            })?;
            threads.push((stopping, thread));
        }
        Ok(threads)
    }
}

/// Returns whether a rule is still as it was.
fn is_kept(book: &RuleBook) -> impl Fn(&Rule) -> bool + use<'_> {
    |rule| book.all().contains(rule)
}

/// Answers the prompts that are open: an earlier server may have ended between a prompt and its answer.
fn answer_open(registry: &Registry, book: &RuleBook) {
    for waiting in registry.prompts(&EVERYTHING) {
        registry.answer_by_rule(&book.all(), &is_kept(book), (&waiting.worker_id, &waiting.prompt.request_id));
    }
}

/// Answers new prompts until the server stops. People are notified of those that no rule answers.
fn answer_new(
    registry: &Registry,
    book: &RuleBook,
    queue: &Receiver<WorkerChange>,
    notify: &ChangeNotifier,
    stopped: &Receiver<()>,
) {
    loop {
        select! {
            recv(queue) -> change => {
                let Ok(change) = change else { return };
                let request = change.prompt.as_ref().map(|prompt| &*prompt.request_id).unwrap_or_default();
                if !registry.answer_by_rule(&book.all(), &is_kept(book), (&change.worker.id, request)) {
                    notify(change);
                }
            }
            recv(stopped) -> _ => return queue.try_iter().for_each(|change| notify(change)),
        }
    }
}
