//! The settings of connections: bounds and time limits.

use std::time::Duration;

use super::Config;
use super::group::SettingGroup::Connections;
use super::setting::Setting;
use super::value::{GIB, KIB, MIB, Value, count};

/// The largest body and WebSocket message that can be allowed: a message must fit one line of a journal (64 MiB), and
/// leave room there for what the CLI's protocol adds.
const MESSAGE_MAX: u64 = 32 * MIB;
/// Longest import.
const IMPORT_MAX: u64 = 1024 * GIB;

const fn number(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "", put }
}

const fn seconds(min: u64, max: u64, put: fn(&mut Config, u64)) -> Value {
    Value::Number { min, max, unit: "seconds", put }
}

pub(super) const MAX_CONNECTIONS: Setting = Setting::new(
    Connections,
    "MAX_CONNECTIONS",
    "Max Connections",
    "1024",
    number(1, 65_536, |c, it| c.limits.max_connections = count(it)),
)
.doc("Number of connections that may be open; further ones get 503.");

pub(super) const MAX_CONNECTIONS_PER_ADDRESS: Setting = Setting::new(
    Connections,
    "MAX_CONNECTIONS_PER_ADDRESS",
    "Max Connections per Address",
    "256",
    number(1, 65_536, |c, it| c.limits.max_connections_per_address = count(it)),
)
.doc(
    "Number of them that one client address may hold. Loopback addresses are limited by `MAX_CONNECTIONS` \
     alone.",
);

pub(super) const HEAD_TIMEOUT_SECS: Setting = Setting::new(
    Connections,
    "HEAD_TIMEOUT_SECS",
    "Request Head",
    "10",
    seconds(1, 300, |c, it| c.limits.head_timeout = Duration::from_secs(it)),
)
.doc("Seconds in which a request's head must arrive, from its first byte.");

pub(super) const KEEP_ALIVE_SECS: Setting = Setting::new(
    Connections,
    "KEEP_ALIVE_SECS",
    "Keep Alive",
    "60",
    seconds(1, 3600, |c, it| c.limits.keep_alive = Duration::from_secs(it)),
)
.doc("Seconds that a connection may be idle between requests.");

pub(super) const BODY_TIMEOUT_SECS: Setting = Setting::new(
    Connections,
    "BODY_TIMEOUT_SECS",
    "Request Body",
    "30",
    seconds(1, 3600, |c, it| c.limits.body_timeout = Duration::from_secs(it)),
)
.doc("Seconds in which a request's body must arrive after its head, plus one for every 64 KiB of it; of an import, each 64 KiB too.");

pub(super) const WRITE_TIMEOUT_SECS: Setting = Setting::new(
    Connections,
    "WRITE_TIMEOUT_SECS",
    "Response Write",
    "30",
    seconds(1, 600, |c, it| c.limits.write_timeout = Duration::from_secs(it)),
)
.doc("Seconds after which a client that reads nothing is disconnected.");

pub(super) const MAX_BODY_BYTES: Setting = Setting::new(
    Connections,
    "MAX_BODY_BYTES",
    "Max Body",
    "25MiB",
    Value::Bytes { min: KIB, max: MESSAGE_MAX, put: |c, it| c.limits.max_body_bytes = count(it) },
)
.doc("Largest request body that carries a message; bodies of other requests have smaller limits.");

pub(super) const IMPORT_MAX_BYTES: Setting = Setting::new(
    Connections,
    "IMPORT_MAX_BYTES",
    "Max Import",
    "4GiB",
    Value::Bytes { min: KIB, max: IMPORT_MAX, put: |c, it| c.limits.import_max_bytes = it },
)
.doc(
    "Largest import of an exported history. It is written to the disk as it arrives and needs about as much room \
     there; the memory that it takes does not grow with it.",
);

pub(super) const MAX_WS_MESSAGE_BYTES: Setting = Setting::new(
    Connections,
    "MAX_WS_MESSAGE_BYTES",
    "Max WebSocket Message",
    "25MiB",
    Value::Bytes { min: KIB, max: MESSAGE_MAX, put: |c, it| c.limits.max_ws_message_bytes = count(it) },
)
.doc("Largest WebSocket message that a client may send.");

pub(super) const WS_PING_SECS: Setting = Setting::new(
    Connections,
    "WS_PING_SECS",
    "WebSocket Ping",
    "20",
    seconds(1, 3600, |c, it| c.limits.ws_ping = Duration::from_secs(it)),
)
.doc("Seconds between two pings of a WebSocket, which is closed when two pings go unanswered.");

pub(super) const SUBSCRIBER_QUEUE_BYTES: Setting = Setting::new(
    Connections,
    "SUBSCRIBER_QUEUE_BYTES",
    "Subscriber Queue",
    "1MiB",
    Value::Bytes { min: 64 * KIB, max: 64 * MIB, put: |c, it| c.limits.subscriber_queue_bytes = count(it) },
)
.doc("Bytes that may wait in memory for one client; a client that lags further is served from the journal.");
