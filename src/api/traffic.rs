//! How often each route was asked, how it was answered, and how long that took.

use crate::http::Answered;
use crate::metrics::{Counter, Histogram, Kind, REQUEST_BOUNDS, Text};

use super::routes::{self, Route};

/// The statuses that are counted each by itself; what is not among them counts as 0.
const STATUSES: [u16; 25] = [
    101, 200, 201, 202, 204, 206, 304, 308, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 417, 422, 426, 429, 431,
    500, 503,
];
/// What labels say where no route was: the path is the client's own text, and there are more of them than memory.
const NO_ROUTE: &str = "none";

/// The counts of all routes; the last one is of requests that found none.
pub struct Traffic {
    routes: Vec<Counts>,
}

struct Counts {
    statuses: [Counter; STATUSES.len()],
    other: Counter,
    time: Histogram,
}

impl Default for Traffic {
    fn default() -> Self {
        let counts = || Counts {
            statuses: std::array::from_fn(|_| Counter::new()),
            other: Counter::new(),
            time: Histogram::new(&REQUEST_BOUNDS),
        };
        Self { routes: routes::all().map(|_| counts()).chain([counts()]).collect() }
    }
}

impl Traffic {
    /// Counts an answer, whose tag is the route's place in the table.
    pub(super) fn count(&self, answer: Answered) {
        let none = self.routes.len() - 1;
        let Some(counts) = self.routes.get(answer.tag.unwrap_or(none)) else { return };
        let at = STATUSES.iter().position(|&status| status == answer.status);
        at.map_or(&counts.other, |at| &counts.statuses[at]).add(1);
        counts.time.observe(answer.time);
    }

    /// Writes what was counted. Routes that nobody has asked are left out.
    pub(super) fn write(&self, text: &mut Text) {
        text.family(
            "rs_worker_http_requests_total",
            Kind::Counter,
            "Requests by method, route and status. Route none: there was no such route, or no request that could be read.",
        );
        for (method, route, counts) in self.asked() {
            for (status, count) in STATUSES.iter().zip(&counts.statuses).chain([(&0, &counts.other)]) {
                if count.get() > 0 {
                    let labels = [("method", method), ("route", route), ("status", &status.to_string())];
                    text.sample(&labels, count.get());
                }
            }
        }
        text.family(
            "rs_worker_http_request_duration_seconds",
            Kind::Histogram,
            "Time from a request's head to the end of its answer; of streams and WebSockets to the answer's head.",
        );
        for (method, route, counts) in self.asked() {
            text.histogram(&[("method", method), ("route", route)], &counts.time);
        }
    }

    fn asked(&self) -> impl Iterator<Item = (&'static str, &'static str, &Counts)> {
        let names = routes::all().map(|route: &Route| (route.method().as_str(), route.pattern()));
        let all = names.chain([(NO_ROUTE, NO_ROUTE)]).zip(&self.routes);
        all.filter(|(_, counts)| !counts.time.is_empty()).map(|((method, route), counts)| (method, route, counts))
    }
}
