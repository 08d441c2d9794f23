//! A fake model server: the provider of the real CLIs in the tests, on a loopback port, inside the test.
//!
//! It supports the four protocols that the CLIs use (see the file of each) and answers as a test requires, in this
//! order of precedence:
//! 1. the queue of [`FakeModel::respond_with`], one [`Step`] for each request that offers tools;
//! 2. the script in the prompt, `<<[{"tool":"Bash","input":{"command":"echo hi"}},{"text":"done"}]>>`: step k answers
//!    the k-th request after that message, so a tool step is followed by the step that answers the tool's result;
//! 3. the answer of [`FakeModel::always`] for all requests;
//! 4. [`HELLO`], or a quotation of the tool's result.
//!
//! A request that offers no tools (a title, a summary) never consumes a step. A stream can be stopped in the middle
//! with [`FakeModel::hold_after`] and continues at [`FakeModel::release`], so that no test needs a pause.
//!
//! One thread accepts, one thread serves each connection (one request each); all are joined at drop.

mod anthropic;
mod chat;
mod conversation;
mod gemini;
mod output;
mod responses;
mod script;
mod serve;

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::wait::{DEADLINE, eventually};
pub(crate) use script::Step;

/// The model's default answer.
pub(crate) const HELLO: &str = "Hello from the fake model.";
/// The model's answer to a request that offers no tools.
pub(crate) const TITLE: &str = "A short title";

/// One received request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET`, `POST`.
    pub(crate) method: String,
    /// The path without its query.
    pub(crate) path: String,
    /// Headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The JSON body; null when there is none.
    pub(crate) body: Value,
}

impl Request {
    /// The first header of that name (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether it offers tools: the agent's own requests do, titles and summaries do not.
    pub(crate) fn has_tools(&self) -> bool {
        self.body["tools"].as_array().is_some_and(|tools| !tools.is_empty())
    }

    /// Returns whether it requests an answer of the agent.
    pub(crate) fn is_turn(&self) -> bool {
        self.method == "POST" && self.has_tools() && serve::Dialect::of(&self.path).is_some()
    }
}

/// The running server.
pub(crate) struct FakeModel {
    shared: Arc<ModelState>,
    port: u16,
    acceptor: Option<JoinHandle<()>>,
}

/// State that the test and the connection threads share.
#[derive(Default)]
struct ModelState {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Step>,
    always: Option<Step>,
    /// Number of failures of a step that fails several times, by the step's id.
    failures: HashMap<String, u32>,
    requests: Vec<Request>,
    /// Stop each stream after this many deltas.
    hold_after: Option<usize>,
    /// Number of streams that are stopped now.
    held: usize,
    /// Number of releases, so that a stream stopped before one continues and one stopped after it does not.
    releases: u64,
    /// True if requests that offer no tools are answered like those that do.
    without_tools: bool,
    /// Number of answers so far, for the ids in them.
    answers: u64,
    /// True if the server must stop accepting.
    down: bool,
    connections: Vec<(TcpStream, JoinHandle<()>)>,
}

impl ModelState {
    fn state(&self) -> MutexGuard<'_, State> {
        // A failed test poisons nothing that its Drop needs.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeModel {
    /// Starts a server on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(ModelState::default());
        let acceptor = Some(serve::spawn(Arc::clone(&shared), listener));
        Self { shared, port, acceptor }
    }

    /// Returns its address.
    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its base URL, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Queues the answer to the next request that offers tools. Several calls queue several answers.
    pub(crate) fn respond_with(&self, step: Step) {
        self.shared.state().queue.push_back(step);
    }

    /// Answers every request in this way that has no script and finds no queued step. An error applies to titles and
    /// summaries too.
    pub(crate) fn always(&self, step: Step) {
        self.shared.state().always = Some(step);
    }

    /// Answers requests that offer no tools like those that do from now on: for agents that use none.
    pub(crate) fn answer_without_tools(&self) {
        self.shared.state().without_tools = true;
    }

    /// Resets [`Self::respond_with`], [`Self::always`] and [`Self::hold_after`]; held streams continue.
    pub(crate) fn reset(&self) {
        let mut state = self.shared.state();
        state.queue.clear();
        state.always = None;
        state.failures.clear();
        drop(state);
        self.release();
    }

    /// Stops every stream after `deltas` pieces of its text from now on, until [`Self::release`].
    pub(crate) fn hold_after(&self, deltas: usize) {
        self.shared.state().hold_after = Some(deltas);
    }

    /// Waits until `count` streams are held.
    #[track_caller]
    pub(crate) fn wait_held(&self, count: usize) {
        eventually(DEADLINE, "a stream of the fake model is at its hold", || {
            (self.shared.state().held >= count).then_some(())
        });
    }

    /// Releases all held streams, and holds no later one unless its script requires it.
    pub(crate) fn release(&self) {
        let mut state = self.shared.state();
        state.hold_after = None;
        state.releases += 1;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Returns all requests so far, in order.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// Returns the requests for an answer of the agent so far.
    pub(crate) fn turns(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::is_turn).collect()
    }

    /// Waits until there were `count` requests for an answer of the agent.
    #[track_caller]
    pub(crate) fn wait_turns(&self, count: usize) -> Vec<Request> {
        eventually(DEADLINE, &format!("{count} requests at the fake model"), || {
            let turns = self.turns();
            (turns.len() >= count).then_some(turns)
        })
    }

    /// Refuses connections from now on and closes the open ones.
    pub(crate) fn down(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.shared.state().down = true;
        // The acceptor blocks in accept; a connection wakes it.
        drop(TcpStream::connect_timeout(&self.addr(), Duration::from_secs(1)));
        let _ = acceptor.join();
        let connections = std::mem::take(&mut self.shared.state().connections);
        self.shared.changed.notify_all();
        for (stream, thread) in connections {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            let _ = thread.join();
        }
    }

    /// Accepts connections again, on the same port.
    pub(crate) fn up(&mut self) {
        if self.acceptor.is_some() {
            return;
        }
        let addr = self.addr();
        let listener = eventually(DEADLINE, "the fake model's port is free", || TcpListener::bind(addr).ok());
        self.shared.state().down = false;
        self.acceptor = Some(serve::spawn(Arc::clone(&self.shared), listener));
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.down();
    }
}
