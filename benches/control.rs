//! The cost of control on the hot path: a server with 1,000 rules, 100 tokens and 100 budgets beside one without.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::requests::requests_of;
use crate::support::server::Server;
use crate::support::stats::{grouped, judge, median, rate};
use crate::support::stream::Stream;
use crate::throughput::to_clients;

/// Rules, as many as there may be; the last one answers.
const RULES: usize = 1_000;
/// Tokens.
const TOKENS: usize = 100;
/// Budgets for all workers, as many as there may be.
const BUDGETS: usize = 100;
/// Workers in the list.
const WORKERS: usize = 10;
/// Lines that one client reads.
const LINES: u64 = 500_000;
/// Prompts of one turn.
const PROMPTS: u64 = 200;
/// Time of one run of requests.
const TIME: Duration = Duration::from_secs(1);
/// Times that each is measured, in turns, so that both have the same share of what else the machine does.
const RUNS: usize = 9;
/// Bar: the share that is left.
const BAR: f64 = 0.95;

/// The command that the last rule allows, and one that no rule is about.
const ALLOWED: &str = "make check";
const UNRULED: &str = "make other";

/// A server, its worker that asks, and a token.
struct Side {
    server: Server,
    asker: String,
    token: String,
}

impl Side {
    /// Starts a server with these numbers of rules, tokens and budgets.
    fn start(rules: usize, tokens: usize, budgets: usize) -> Self {
        let server = Server::start();
        server.workers(WORKERS);
        let asker = server.worker_of("asker", "asker");
        let mut http = server.http();
        for at in 1..=rules {
            let command = if at == rules { ALLOWED.to_owned() } else { format!("tool-{at} run **") };
            http.post("/api/rules", &json!({"name": format!("rule-{at}"), "effect": "allow", "commands": [command]}));
        }
        let mut token = String::new();
        for at in 0..tokens {
            let made = http.post("/api/tokens", &json!({"name": format!("token-{at}"), "scope": "admin"}));
            made["secret"].as_str().unwrap().clone_into(&mut token);
        }
        for at in 0..budgets {
            let limits = json!({"cost_usd": 1e6, "tokens": 1_000_000_000_000_u64, "turns": 1_000_000});
            http.post("/api/budgets", &json!({"name": format!("budget-{at}"), "limits": limits}));
        }
        Self { server, asker, token }
    }

    /// Prompts per second that a client answers, each as soon as it comes.
    fn answered(&self) -> f64 {
        let (mut stream, mut http) = (self.server.listen(&self.asker), self.server.http());
        let begin = Instant::now();
        self.server.report(&self.asker, &format!("ask {PROMPTS} {UNRULED}"));
        for _ in 0..PROMPTS {
            let request = wait_prompt(&mut stream);
            let path = format!("/api/workers/{}/permissions/{request}", self.asker);
            http.post(&path, &json!({"option_id": "allow_once"}));
        }
        stream.wait_text("\"turn_completed\"");
        rate(PROMPTS, begin.elapsed())
    }

    /// Prompts per second that a rule answers.
    fn ruled(&self) -> f64 {
        let mut stream = self.server.listen(&self.asker);
        let begin = Instant::now();
        self.server.report(&self.asker, &format!("ask {PROMPTS} {ALLOWED}"));
        stream.wait_text("\"turn_completed\"");
        rate(PROMPTS, begin.elapsed())
    }

    /// Requests per second without a token, as the server's own user makes them.
    fn lists(&self) -> f64 {
        requests_of(self.server.address, TIME, &[])
    }

    /// Requests per second with the newest token.
    fn lists_by_token(&self) -> f64 {
        requests_of(self.server.address, TIME, &[("Authorization", &format!("Bearer {}", self.token))])
    }
}

pub(crate) fn run() {
    // A token and the rule that answers are needed for two of the figures; the rest of these servers has nothing.
    let (one, none) = (Side::start(1, 1, 0), Side::start(0, 0, 0));
    let all = Side::start(RULES, TOKENS, BUDGETS);
    let compare = |what: &str, unit: &str, base: &Side, measure: &dyn Fn(&Side) -> f64| {
        let pairs: Vec<_> = (0..RUNS).map(|_| (measure(&all), measure(base))).collect();
        let figure = median(pairs.iter().map(|(ours, _)| *ours).collect());
        let ratios: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours / theirs).collect();
        let (least, most) =
            (ratios.iter().copied().fold(f64::MAX, f64::min), ratios.iter().copied().fold(0.0, f64::max));
        let ratio = median(ratios);
        let shown = format!("{} {unit}/s, {ratio:.2} of those without ({least:.2} to {most:.2})", grouped(figure));
        judge(what, &shown, "0.95 of those without", ratio >= BAR);
    };
    compare("lines to a subscriber", "lines", &none, &|side| to_clients(&side.server, 1, LINES));
    compare("prompts answered by a client", "prompts", &none, &Side::answered);
    compare("prompts answered by the last rule; by the only one", "prompts", &one, &Side::ruled);
    compare("GET /api/workers, same user", "requests", &none, &Side::lists);
    compare("GET /api/workers, the last token; the only one", "requests", &one, &Side::lists_by_token);
}

/// Waits for the next prompt; returns its id.
fn wait_prompt(stream: &mut Stream) -> String {
    let frame = stream.wait_frame("\"type\":\"permission_request\"");
    let text = std::str::from_utf8(&frame).unwrap();
    let (_, rest) = text.split_once("\"request_id\":\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}
