//! A topic with subscribers on real connections, and a journal in memory.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::*;

/// How long a client waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// Bytes of batches that may wait for a client.
const QUEUE: usize = 1_000;
/// Bytes of a journal's record.
const RECORD: u64 = 10;

/// A journal whose records are numbered; the frame of the record at offset 20 is `<20>`, and `<raw 20>` with raw lines.
/// Each page has one record.
#[derive(Default)]
struct Journal {
    is_broken: bool,
}

impl Source for Journal {
    fn replay(&self, from: u64, raw: bool) -> io::Result<Box<dyn Replay>> {
        if self.is_broken {
            return Err(io::Error::other("broken"));
        }
        // An event may stand anywhere in its record.
        Ok(Box::new(Pages { at: from.next_multiple_of(RECORD), raw }))
    }

    fn replay_complete(&self, seq: u64, frames: &mut Vec<u8>) {
        frames.extend_from_slice(format!("(complete {seq})").as_bytes());
    }
}

struct Pages {
    at: u64,
    raw: bool,
}

impl Replay for Pages {
    fn page(&mut self, until: u64, frames: &mut Vec<u8>) -> io::Result<u64> {
        if self.at < until {
            frames.extend_from_slice(frame(self.at, self.raw).as_bytes());
            self.at += RECORD;
        }
        Ok(self.at)
    }
}

fn frame(at: u64, raw: bool) -> String {
    if raw { format!("<raw {at}>") } else { format!("<{at}>") }
}

/// Publishes the record at `first`.
fn publish(topic: &Topic, first: u64) {
    let text = frame(first, false);
    let frames = topic.has_live().then_some(text.as_bytes());
    topic.publish(&Batch { first, end: first + RECORD, frames, ends_message: false, pieces: b"" });
}

/// A connection whose other end reads when a test says so.
struct Client {
    outbox: Arc<Outbox>,
    peer: TcpStream,
    writer: Option<JoinHandle<()>>,
}

impl Client {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(DEADLINE)).unwrap();
        let outbox = Arc::new(Outbox::new(Arc::new(listener.accept().unwrap().0), QUEUE));
        let served = Arc::clone(&outbox);
        Self { outbox, peer, writer: Some(thread::spawn(move || served.run_writer())) }
    }

    fn subscribe(&self, topic: &Arc<Topic>, from: u64) -> Arc<Subscription> {
        topic.subscribe(&self.outbox, Arc::new(Journal::default()), from, false, false)
    }

    #[track_caller]
    fn gets(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        let read = self.peer.read_exact(&mut bytes);
        let got = String::from_utf8_lossy(&bytes);
        assert!(read.is_ok() && got == text, "{text:?}, not {got:?} ({read:?})");
    }

    /// All that comes until the connection ends.
    #[track_caller]
    fn ends_with(mut self, text: &str) {
        let mut got = String::new();
        self.peer.read_to_string(&mut got).unwrap();
        assert_eq!(got, text);
        self.writer.take().unwrap().join().unwrap();
    }

    /// The same, after its connection was ended from this side.
    #[track_caller]
    fn has_got(self, text: &str) {
        self.outbox.finish();
        self.ends_with(text);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.outbox.abort();
    }
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        thread::yield_now();
    }
}

fn wait_live(topic: &Topic) {
    wait_until("all keep up", || {
        let subscribers = topic.subscribers();
        topic.has_live() && subscribers.behind == 0
    });
}

#[test]
fn a_cursor_gives_every_event_from_it_on_once_and_then_what_is_new() {
    let topic = Arc::new(Topic::new(50));
    let mut clients: Vec<(Client, u64)> = [0, 20, 21, 50].map(|from| (Client::new(), from)).into();
    for (client, from) in &clients {
        client.subscribe(&topic, *from);
    }
    wait_live(&topic);
    assert_eq!(topic.subscribers(), Subscribers { count: 4, behind: 0, fullest: 0 });
    publish(&topic, 50);
    assert_eq!(topic.end(), 60);
    for (client, from) in &mut clients {
        let all: String = (0..6).map(|at| at * RECORD).filter(|at| at >= from).map(|at| frame(at, false)).collect();
        client.gets(&all);
    }
}

#[test]
fn a_client_that_asks_is_told_when_it_has_all_that_was_there() {
    let topic = Arc::new(Topic::new(20));
    let client = Client::new();
    topic.subscribe(&client.outbox, Arc::new(Journal::default()), 0, false, true);
    wait_live(&topic);
    publish(&topic, 20);
    // It is told once, though it falls behind again: nobody made frames of this batch.
    topic.publish(&Batch { first: 30, end: 40, frames: None, ends_message: false, pieces: b"" });
    wait_live(&topic);
    client.has_got("<0><10>(complete 19)<20><30>");
}

#[test]
fn a_client_that_wants_raw_lines_gets_all_of_them_from_the_journal() {
    let topic = Arc::new(Topic::new(20));
    let mut client = Client::new();
    topic.subscribe(&client.outbox, Arc::new(Journal::default()), 10, true, true);
    client.gets("<raw 10>(complete 19)");
    wait_until("it rests", || topic.subscribers().behind == 0);
    assert!(!topic.has_live(), "no frames are made for it");
    topic.publish_volatile(b"piece");
    for at in [20, 30] {
        publish(&topic, at);
        client.gets(&frame(at, true));
    }
    client.has_got("");
}

#[test]
fn a_client_that_cannot_keep_up_reads_the_journal_and_misses_nothing() {
    let topic = Arc::new(Topic::new(0));
    let mut client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    let large = [b'.'; 64 * 1024];
    let mut count = 0;
    while topic.subscribers().behind == 0 {
        assert!(count < 10_000, "it takes everything");
        let first = count * RECORD;
        topic.publish(&Batch { first, end: first + RECORD, frames: Some(&large), ends_message: false, pieces: b"" });
        count += 1;
    }
    let subscribers = topic.subscribers();
    assert_eq!((subscribers.count, subscribers.behind), (1, 1));
    // The pieces of the message that is being written come once it has caught up.
    topic.publish_volatile(b"piece");
    let mut taken = 0;
    let mut text = Vec::new();
    while !text.ends_with(b"piece") {
        let mut piece = [0; 64 * 1024];
        let read = client.peer.read(&mut piece).unwrap();
        taken += piece[..read].iter().filter(|&&byte| byte == b'.').count();
        text.extend(piece[..read].iter().filter(|&&byte| byte != b'.'));
    }
    let lost = count as usize - taken / large.len();
    assert_eq!(taken % large.len(), 0, "batches are taken whole");
    let rest: String = (count - lost as u64..count).map(|at| frame(at * RECORD, false)).collect();
    assert_eq!(String::from_utf8(text).unwrap(), rest + "piece");
    client.has_got("");
}

#[test]
fn the_fullest_queue_is_told() {
    let topic = Arc::new(Topic::new(0));
    let (full, empty) = (Client::new(), Client::new());
    full.subscribe(&topic, 0);
    empty.subscribe(&topic, 0);
    wait_live(&topic);
    let large = vec![b'.'; 32 * 1024 * 1024];
    full.outbox.reply(b"x");
    assert_eq!(topic.subscribers().fullest, 0);
    assert_eq!(full.outbox.offer(&Frames::new(&large)), Offer::Taken);
    full.outbox.reply(&[b'y'; 700]);
    assert!(topic.subscribers().fullest >= 700);
}

#[test]
fn a_subscription_that_is_cancelled_and_a_connection_that_ended_leave_the_others_alone() {
    let topic = Arc::new(Topic::new(0));
    let (stays, mut leaves, dies) = (Client::new(), Client::new(), Client::new());
    stays.subscribe(&topic, 0);
    let leaving = leaves.subscribe(&topic, 0);
    dies.subscribe(&topic, 0);
    wait_live(&topic);
    publish(&topic, 0);
    leaves.gets("<0>");
    leaving.cancel();
    dies.outbox.abort();
    publish(&topic, 10);
    assert_eq!(topic.subscribers().count, 1);
    stays.has_got("<0><10>");
    topic.publish_volatile(b"piece");
    assert_eq!(topic.subscribers().count, 0);
    leaves.has_got("");
}

#[test]
fn a_topic_that_closes_tells_everybody_and_ends_the_connections_if_it_is_to() {
    for last in [false, true] {
        let topic = Arc::new(Topic::new(0));
        let client = Client::new();
        client.subscribe(&topic, 0);
        wait_live(&topic);
        topic.close(b"(gone)", last);
        assert_eq!(topic.subscribers().count, 0);
        if last {
            client.ends_with("(gone)");
        } else {
            client.outbox.reply(b"more");
            client.has_got("(gone)more");
        }
    }
}

#[test]
fn a_journal_that_goes_less_far_than_was_read_closes_those_who_got_what_was_taken_back() {
    let topic = Arc::new(Topic::new(0));
    let client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    topic.publish_volatile(b"piece");
    publish(&topic, 0);
    topic.reset(0);
    assert_eq!((topic.end(), topic.subscribers().count), (0, 0));
    client.ends_with("piece<0>");
    // Who comes again gets nothing of the message that was taken back.
    let again = Client::new();
    again.subscribe(&topic, 0);
    wait_live(&topic);
    publish(&topic, 0);
    again.has_got("<0>");
}

#[test]
fn a_journal_that_cannot_be_read_ends_the_connection_that_needs_it() {
    let topic = Arc::new(Topic::new(10));
    let client = Client::new();
    topic.subscribe(&client.outbox, Arc::new(Journal { is_broken: true }), 0, false, true);
    client.ends_with("");
}

#[test]
fn who_waits_is_told_at_once_what_is_new_and_that_nothing_more_comes() {
    let topic = Arc::new(Topic::new(30));
    assert_eq!(topic.wait_past(29, FOREVER), Some(30), "it is there");
    assert_eq!(topic.wait_past(30, Duration::from_millis(1)), Some(30), "nothing came in time");
    let waits = |from| {
        let topic = Arc::clone(&topic);
        thread::spawn(move || topic.wait_past(from, FOREVER))
    };
    let (near, far) = (waits(30), waits(45));
    wait_until("both wait", || topic.lock().waiting == 2);
    publish(&topic, 30);
    assert_eq!(near.join().unwrap(), Some(40));
    publish(&topic, 40);
    assert_eq!(far.join().unwrap(), Some(50));
    let last = waits(50);
    wait_until("one waits", || topic.lock().waiting == 1);
    topic.close(b"", false);
    assert_eq!(last.join().unwrap(), None);
    assert_eq!(topic.wait_past(40, FOREVER), Some(50), "the rest can still be read");
    assert_eq!(topic.wait_past(50, FOREVER), None);
}

#[test]
fn pieces_are_kept_for_who_comes_in_the_middle_up_to_their_bound() {
    let topic = Arc::new(Topic::new(0));
    topic.publish_volatile(&[b'a'; PARTIAL_BYTES_MAX - 1]);
    topic.publish_volatile(b"too much");
    topic.publish_volatile(b"b");
    topic.publish_volatile(b"c");
    let mut client = Client::new();
    client.subscribe(&topic, 0);
    client.gets(&"a".repeat(PARTIAL_BYTES_MAX - 1));
    wait_live(&topic);
    client.has_got("b");
}

#[test]
fn a_subscriber_that_falls_behind_in_mid_message_gets_each_piece_once() {
    let topic = Arc::new(Topic::new(0));
    let client = Client::new();
    topic.publish_volatile(b"one ");
    client.subscribe(&topic, 0);
    wait_live(&topic);
    topic.publish_volatile(b"two ");
    // Nobody listened, as far as this batch knows: it has to be read from the journal.
    topic.publish(&Batch { first: 0, end: 10, frames: None, ends_message: false, pieces: b"three " });
    wait_live(&topic);
    topic.publish_volatile(b"four ");
    let whole = Batch { first: 10, end: 20, frames: Some(b"whole "), ends_message: true, pieces: b"" };
    topic.publish(&whole);
    // Falls behind once more, now in the middle of the next message.
    topic.publish_volatile(b"next ");
    topic.publish(&Batch { first: 20, end: 30, frames: None, ends_message: false, pieces: b"word" });
    wait_live(&topic);
    client.has_got("one two <0>three four whole next <20>word");
}

#[test]
fn a_batch_without_frames_for_clients_is_no_news_for_them() {
    let topic = Arc::new(Topic::new(0));
    let client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    client.outbox.abort();
    topic.publish(&Batch { first: 0, end: 10, frames: Some(b""), ends_message: false, pieces: b"" });
    assert_eq!((topic.end(), topic.subscribers().count), (10, 1), "nothing was written, so nothing was noticed");
}
