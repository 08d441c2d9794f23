//! The server under test: the real program, in its own directory, home and environment.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::clis;
use super::http::{Client, Reply};
use super::processes;
use super::temp::TempDir;
use super::wait::{DEADLINE, eventually, within};
use super::ws::WsClient;

/// The harness's mark: the server gets it, and its children inherit it.
const TEST_TAG: &str = "HARNESS_TAG";
/// The text before the address in the banner.
const ADDRESS: &str = "Access at: http://";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The settings with which a server starts.
pub(crate) struct Builder {
    name: String,
    env: Vec<(String, String)>,
    dotenv: String,
    binary: PathBuf,
    under: Vec<String>,
    arguments: Vec<String>,
}

impl Builder {
    /// Sets an environment variable of the server.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.as_ref().to_str().unwrap().to_owned()));
        self
    }

    /// Sets several.
    pub(crate) fn envs(mut self, env: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in env {
            self = self.env(&name, value);
        }
        self
    }

    /// Writes a `.env` file into the server's working directory.
    pub(crate) fn dotenv(mut self, text: &str) -> Self {
        self.dotenv = text.to_owned();
        self
    }

    /// Names the directory, for people who inspect it after a failure.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Uses another build of the program.
    pub(crate) fn binary(mut self, path: &Path) -> Self {
        self.binary = path.to_owned();
        self
    }

    /// Runs the program through another one, which gets it and its arguments after these words: `sh -c 'ulimit ...;
    /// exec "$0" "$@"'`. That program must exec it, so that signals reach it.
    pub(crate) fn under(mut self, words: &[&str]) -> Self {
        self.under = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts the program with these arguments instead of `serve`.
    pub(crate) fn arguments(mut self, words: &[&str]) -> Self {
        self.arguments = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Creates the directory without starting the program, for tests that put files there first.
    pub(crate) fn prepare(self) -> TestServer {
        let dir = TempDir::new(&self.name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{TEST_TAG}={}-{count}", std::process::id());
        dir.dir("home");
        dir.dir("data/workers");
        dir.dir("project");
        if !self.dotenv.is_empty() {
            fs::write(dir.path().join(".env"), &self.dotenv).unwrap();
        }
        let client = Client::new(([127, 0, 0, 1], 0).into());
        let Self { env, binary, under, arguments, .. } = self;
        TestServer { dir, tag, env, binary, under, arguments, child: None, client, starts: 0 }
    }

    /// Creates the directory and starts the program.
    ///
    /// # Panics
    /// Fails when it is not healthy within [`DEADLINE`]; the message has its output.
    #[track_caller]
    pub(crate) fn start(self) -> TestServer {
        let mut server = self.prepare();
        server.start();
        server
    }
}

/// A server, running or not, with its directory. Drop ends it and everything that it has started.
pub(crate) struct TestServer {
    pub(super) dir: TempDir,
    pub(super) tag: String,
    env: Vec<(String, String)>,
    binary: PathBuf,
    under: Vec<String>,
    arguments: Vec<String>,
    pub(super) child: Option<Child>,
    /// A client of it; tests may add headers.
    pub(crate) client: Client,
    pub(super) starts: u32,
}

impl TestServer {
    /// Returns a builder of a server.
    pub(crate) fn builder() -> Builder {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_rs-worker"));
        Builder {
            name: "server".to_owned(),
            env: Vec::new(),
            dotenv: String::new(),
            binary,
            under: Vec::new(),
            arguments: vec!["serve".to_owned()],
        }
    }

    /// Starts the program: on a free port the first time, on the same port after that.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.spawn();
        let base = self.env.iter().find(|it| it.0 == "BASE_PATH").map_or("", |it| it.1.trim_end_matches('/'));
        let health = format!("{base}/health");
        let found = within(DEADLINE, || {
            let healthy = self.address().is_some_and(|addr| {
                self.client.addr = addr;
                self.client.try_request("GET", &health, &[], b"").is_ok_and(|reply| reply.status == 200)
            });
            let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            (healthy || ended).then_some(healthy)
        });
        match found {
            Some(true) => self.log_in(),
            Some(false) => panic!("the server has ended at its start:\n{}", self.log()),
            None => panic!("the server is not healthy after {DEADLINE:?}:\n{}", self.log()),
        }
    }

    /// Gives the client the token that the server has created because its workers run in a runner, as every other
    /// client finds it.
    #[track_caller]
    fn log_in(&mut self) {
        let isolated = self.env.iter().any(|(name, value)| name == "RUNNER" && !["", "none"].contains(&value.as_str()));
        if isolated && !self.client.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            let token = wait_file(&self.dir.path().join("data/auth_token"), "\n");
            self.client = self.client.with("authorization", &format!("Bearer {}", token.trim()));
        }
    }

    /// Starts the program where it is expected to refuse, and returns its exit status and output.
    #[track_caller]
    pub(crate) fn start_in_vain(&mut self) -> (ExitStatus, String) {
        self.spawn();
        let status = self.wait_exit().unwrap_or_else(|| panic!("the server has not ended:\n{}", self.log()));
        (status, self.log())
    }

    /// Starts the program without waiting for anything.
    pub(crate) fn spawn(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        self.starts += 1;
        let output = File::create(self.dir.path().join(format!("server-{}.out", self.starts))).unwrap();
        let mut command = self.command(self.arguments.iter().map(String::as_str));
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.binary.display())));
    }

    /// Returns the program with other arguments, in the same directory and environment: for the command line's own
    /// tests.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut words = self.under.iter().map(OsStr::new).chain([self.binary.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        let port = self.client.addr.port();
        let (tag, value) = self.mark();
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("LANG", "C.UTF-8")
            // Other programs of a busy machine must not put the workers of a test to sleep.
            .env("MEMORY_RESERVE", "off")
            .env("WORKERS_BASE_DIR", self.data_dir())
            .env("PORT", port.to_string())
            .env(tag, value)
            .envs(clis::temporary())
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Changes an environment variable for the next start.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Runs another program at the next start.
    pub(crate) fn set_binary(&mut self, path: &Path) {
        self.binary = path.to_owned();
    }

    /// Does the same as [`Builder::under`], for the next start.
    pub(crate) fn set_under(&mut self, words: &[&str]) {
        self.under = words.iter().map(|&word| word.to_owned()).collect();
    }

    fn address(&self) -> Option<SocketAddr> {
        let output = self.output();
        let at = output.find(ADDRESS)? + ADDRESS.len();
        // The line may be incomplete; a truncated port does not answer as healthy, and is read again.
        let text: String = output[at..].chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
        let mut addr: SocketAddr = text.replace("localhost", "127.0.0.1").parse().ok()?;
        if addr.ip().is_unspecified() {
            addr.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Some(addr)
    }

    /// Returns its address.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.client.addr
    }

    /// Returns its directory: working directory, data, home, project, output.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the folder of the workers' journals.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data/workers")
    }

    /// Returns the home directory of the server and its CLIs.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Returns a project directory.
    pub(crate) fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// Creates another project directory.
    pub(crate) fn project_named(&self, name: &str) -> PathBuf {
        self.dir.dir(&format!("projects/{name}"))
    }

    /// Returns its process id.
    ///
    /// # Panics
    /// Fails when it does not run.
    #[track_caller]
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().expect("the server runs").id() as i32
    }

    /// Returns whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it as a crash would: SIGKILL. Its agents keep running.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends it SIGTERM, and returns its exit status.
    ///
    /// # Panics
    /// Fails when it has not ended within [`DEADLINE`].
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.stop_with(Signal::SIGTERM)
            .unwrap_or_else(|| panic!("the server has not ended {DEADLINE:?} after SIGTERM:\n{}", self.log()))
    }

    /// Sends it any signal and waits for its end. `None` when it runs past the deadline.
    pub(crate) fn stop_with(&mut self, signal: Signal) -> Option<ExitStatus> {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
        self.wait_exit()
    }

    fn wait_exit(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let status = within(DEADLINE, || child.try_wait().unwrap())?;
        self.child = None;
        Some(status)
    }

    /// Stops it with SIGTERM if it runs, and starts it again with the same data and port.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        if self.child.is_some() {
            self.terminate();
        }
        self.start();
    }

    /// Sends a GET with its client.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.client.get(path)
    }

    /// Sends a POST with its client.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.client.post(path, body)
    }

    /// Sends a PUT with a JSON body.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        self.client.put(path, body)
    }

    /// PATCH with its client.
    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.client.patch(path, body)
    }

    /// DELETE with its client.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.client.delete(path)
    }

    /// Opens a WebSocket to it, with the client's headers.
    #[track_caller]
    pub(crate) fn ws(&self, path: &str) -> WsClient {
        let headers: Vec<(&str, &str)> =
            self.client.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        WsClient::connect(self.addr(), path, &headers)
            .unwrap_or_else(|status| panic!("the WebSocket {path} was refused with {status}:\n{}", self.log()))
    }

    /// Creates a worker in the project directory and returns its id. `more` is merged into the request's body.
    #[track_caller]
    pub(crate) fn create_worker(&self, cli: &str, more: &Value) -> String {
        let mut body = json!({"name": "test", "project_path": self.project(), "ai_cli_type": cli});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let reply = self.post("/api/workers", &body);
        assert_eq!(reply.status, 201, "{}\n{}", reply.text(), self.log());
        reply.json()["id"].as_str().expect("a worker has an id").to_owned()
    }

    /// Waits until a worker has this status.
    #[track_caller]
    pub(crate) fn wait_status(&self, worker: &str, status: &str) -> Value {
        let mut last = Value::Null;
        let found = within(DEADLINE, || {
            last = self.get(&format!("/api/workers/{worker}")).json();
            (last["status"] == status).then_some(())
        });
        assert!(found.is_some(), "the worker is not {status} but {last}\n{}", self.log());
        last
    }

    /// Requests the deletion of its workers; returns whether all were deleted.
    fn delete_workers(&self) -> bool {
        let headers = [("content-type", "application/json")];
        self.worker_ids().iter().all(|id| {
            let reply = self.client.try_request("DELETE", &format!("/api/workers/{id}"), &headers, b"");
            reply.is_ok_and(|reply| reply.status == 200)
        })
    }
}

impl Drop for TestServer {
    /// Makes a running server delete its workers, after which none of their processes may be left. Remaining ones are
    /// ended here in any case, so that a failing test leaves no process behind.
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        let deleted = !failing && self.is_running() && self.delete_workers();
        if let Some(mut child) = self.child.take() {
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM);
            if within(DEADLINE, || child.try_wait().ok().flatten()).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let survivors = self.offspring();
        let immortal = processes::end(&survivors);
        if failing {
            eprintln!("{}", self.log());
            return;
        }
        assert!(!deleted || survivors.is_empty(), "alive after DELETE: {survivors:#?}\n{}", self.log());
        assert!(immortal.is_empty(), "alive after SIGKILL: {immortal:#?}");
    }
}

/// Waits until a file contains a text, and returns the whole file.
#[track_caller]
pub(crate) fn wait_file(path: &Path, wanted: &str) -> String {
    eventually(DEADLINE, &format!("{wanted:?} in {}", path.display()), || {
        fs::read_to_string(path).ok().filter(|text| text.contains(wanted))
    })
}
