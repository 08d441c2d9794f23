//! Counts requests by route and status, and their durations.

use crate::http::ServedResponse;
use crate::metrics::{Counter, Histogram, MetricKind, MetricsText, REQUEST_BOUNDS};

/// The statuses that are counted separately; all others count as 0.
const STATUSES: [u16; 25] = [
    101, 200, 201, 202, 204, 206, 304, 308, 400, 401, 403, 404, 405, 408, 409, 411, 413, 415, 417, 422, 426, 429, 431,
    500, 503,
];
/// The label of requests without a route: a path is chosen by the client, so the number of labels would be unbounded.
const NO_ROUTE: &str = "none";

/// The counts of all routes; the last one is for requests without a route.
pub(crate) struct Traffic {
    /// Method and pattern of each route.
    names: Vec<(&'static str, &'static str)>,
    routes: Vec<Counts>,
}

struct Counts {
    statuses: [Counter; STATUSES.len()],
    other: Counter,
    time: Histogram,
}

impl Traffic {
    /// Creates empty counts for these routes, each by its method and pattern.
    pub(super) fn new(names: Vec<(&'static str, &'static str)>) -> Self {
        let counts = || Counts {
            statuses: std::array::from_fn(|_| Counter::new()),
            other: Counter::new(),
            time: Histogram::new(&REQUEST_BOUNDS),
        };
        let routes = (0..=names.len()).map(|_| counts()).collect();
        Self { names, routes }
    }

    /// Counts a response, whose tag is the route's index in the table.
    pub(super) fn count(&self, answer: ServedResponse) {
        let none = self.routes.len() - 1;
        let Some(counts) = self.routes.get(answer.tag.unwrap_or(none)) else { return };
        let at = STATUSES.iter().position(|&status| status == answer.status);
        at.map_or(&counts.other, |at| &counts.statuses[at]).add(1);
        counts.time.observe(answer.time);
    }

    /// Writes the counts. Routes without requests are omitted.
    pub(super) fn write(&self, text: &mut MetricsText) {
        text.family(
            "rs_worker_http_requests_total",
            MetricKind::Counter,
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
            MetricKind::Histogram,
            "Time from a request's head to the end of its answer; of streams and WebSockets to the answer's head.",
        );
        for (method, route, counts) in self.asked() {
            text.histogram(&[("method", method), ("route", route)], &counts.time);
        }
    }

    fn asked(&self) -> impl Iterator<Item = (&'static str, &'static str, &Counts)> {
        let all = self.names.iter().copied().chain([(NO_ROUTE, NO_ROUTE)]).zip(&self.routes);
        all.filter(|(_, counts)| !counts.time.is_empty()).map(|((method, route), counts)| (method, route, counts))
    }
}
