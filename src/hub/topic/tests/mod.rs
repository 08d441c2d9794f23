//! A topic with subscribers on real connections, and a journal in memory.

mod blocks;
mod simple;

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use super::*;
use crate::hub::PublishedMessage;

/// Time that a client waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);
/// Bytes of batches that may wait for a client.
const QUEUE: usize = 1_000;
const PLAIN: FrameKind = FrameKind { raw: false, blocks: false, simple: false };
/// Bytes of a journal's record.
const RECORD: u64 = 10;

/// A journal whose records are numbered; the frame of the record at offset 20 is `<20>`, and `<raw 20>` with raw lines.
/// Each page has one record.
#[derive(Default)]
struct Journal {
    is_broken: bool,
}

impl JournalSource for Journal {
    fn replay(&self, from: u64, kind: FrameKind) -> io::Result<Box<dyn Replay>> {
        if self.is_broken {
            return Err(io::Error::other("broken"));
        }
        // An event may be anywhere in its record.
        Ok(Box::new(Pages { at: from.next_multiple_of(RECORD), raw: kind.raw }))
    }

    fn replay_complete(&self, seq: u64, _time: u64, frames: &mut Vec<u8>) {
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

/// The frames for those who listen.
fn listened<'f>(topic: &Topic, [plain, raw, simple]: [&'f str; 3]) -> BatchFrames<'f> {
    let listening = topic.listening();
    let of = |listens: bool, text: &'f str| listens.then_some(text.as_bytes());
    BatchFrames { plain: of(listening.plain, plain), raw: of(listening.raw, raw), simple: of(listening.simple, simple) }
}

/// Publishes the record at `first`.
fn publish(topic: &Topic, first: u64) {
    let (plain, raw) = (frame(first, false), frame(first, true));
    let frames = listened(topic, [&plain, &raw, &plain]);
    topic.publish(&Batch { first, end: first + RECORD, time: 0, frames, changes: &[] });
}

/// Publishes the record at `first`, of which nobody listened to frames as far as the publisher knew.
fn publish_unheard(topic: &Topic, first: u64, changes: &[UnfinishedChange]) {
    topic.publish(&Batch { first, end: first + RECORD, time: 0, frames: BatchFrames::default(), changes });
}

/// A message whose piece at the character 4 is `{a 4 text}`.
struct NamedMessage(&'static str);

impl PublishedMessage for NamedMessage {
    fn piece(&self, offset: u64, text: &str, _time: u64, frames: &mut Vec<u8>) {
        frames.extend_from_slice(format!("{{{} {offset} {text}}}", self.0).as_bytes());
    }

    fn piece_with_blocks(&self, piece: &MissedText, seen: u64, frames: &mut Vec<u8>) -> u64 {
        let MissedText { bytes, offset, text, .. } = piece;
        frames.extend_from_slice(format!("{{{} {offset} {text}|{seen}}}", self.0).as_bytes());
        (bytes + text.len()) as u64
    }

    fn forget_blocks(&self) {}
}

/// More of the message `serial`, which is called `name`.
fn more(serial: u64, name: &'static str, text: &str) -> UnfinishedChange {
    UnfinishedChange::Piece { serial, message: Arc::new(NamedMessage(name)), offset: 0, text: text.to_owned(), time: 0 }
}

/// Publishes a piece whose frame is its text, as a volatile line brings it.
fn publish_piece(topic: &Topic, serial: u64, name: &'static str, text: &str) {
    let frames = listened(topic, [text, text, ""]);
    topic.publish_volatile(frames, &[more(serial, name, text)]);
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
        topic.subscribe(&self.outbox, Arc::new(Journal::default()), from, PLAIN, false)
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
        topic.listening() != FrameDemand::default() && subscribers.behind == 0
    });
}

#[test]
fn cursor_gives_each_later_event_once_and_then_new_ones() {
    let topic = Arc::new(Topic::new(50, 0));
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
fn client_is_notified_when_the_replay_is_complete() {
    let topic = Arc::new(Topic::new(20, 0));
    let client = Client::new();
    topic.subscribe(&client.outbox, Arc::new(Journal::default()), 0, PLAIN, true);
    wait_live(&topic);
    publish(&topic, 20);
    // It gets one notice, though it falls behind again: nobody made frames of this batch.
    publish_unheard(&topic, 30, &[]);
    wait_live(&topic);
    client.has_got("<0><10>(complete 19)<20><30>");
}

#[test]
fn raw_clients_get_their_own_frames_and_every_piece() {
    let topic = Arc::new(Topic::new(20, 0));
    let (mut raw, mut plain) = (Client::new(), Client::new());
    topic.subscribe(&raw.outbox, Arc::new(Journal::default()), 10, FrameKind { raw: true, ..PLAIN }, true);
    raw.gets("<raw 10>(complete 19)");
    wait_live(&topic);
    assert_eq!(topic.listening(), FrameDemand { plain: false, raw: true, simple: false });
    plain.subscribe(&topic, 10);
    plain.gets("<10>");
    wait_live(&topic);
    publish_piece(&topic, 1, "a", "piece");
    publish(&topic, 20);
    publish_unheard(&topic, 30, &[more(1, "a", " more")]);
    wait_live(&topic);
    raw.has_got("piece<raw 20><raw 30>{a 5  more}");
    plain.has_got("piece<20><30>{a 5  more}");
}

#[test]
fn slow_client_reads_the_journal_and_misses_nothing() {
    let topic = Arc::new(Topic::new(0, 0));
    let mut client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    let large = [b'.'; 64 * 1024];
    let mut count = 0;
    while topic.subscribers().behind == 0 {
        assert!(count < 10_000, "it takes everything");
        let first = count * RECORD;
        let frames = BatchFrames { plain: Some(&large), ..BatchFrames::default() };
        topic.publish(&Batch { first, end: first + RECORD, time: 0, frames, changes: &[] });
        count += 1;
    }
    let subscribers = topic.subscribers();
    assert_eq!((subscribers.count, subscribers.behind), (1, 1));
    // The pieces of the message that is being written come once it has caught up.
    publish_piece(&topic, 1, "a", "pie");
    publish_piece(&topic, 1, "a", "ce");
    let mut taken = 0;
    let mut text = Vec::new();
    while !text.ends_with(b"{a 0 piece}") {
        let mut piece = [0; 64 * 1024];
        let read = client.peer.read(&mut piece).unwrap();
        taken += piece[..read].iter().filter(|&&byte| byte == b'.').count();
        text.extend(piece[..read].iter().filter(|&&byte| byte != b'.'));
    }
    let lost = count as usize - taken / large.len();
    assert_eq!(taken % large.len(), 0, "batches are taken whole");
    let rest: String = (count - lost as u64..count).map(|at| frame(at * RECORD, false)).collect();
    assert_eq!(String::from_utf8(text).unwrap(), rest + "{a 0 piece}");
    client.has_got("");
}

#[test]
fn the_fullest_queue_is_reported() {
    let topic = Arc::new(Topic::new(0, 0));
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
fn cancelled_subscription_and_ended_connection_leave_the_others_alone() {
    let topic = Arc::new(Topic::new(0, 0));
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
    publish_piece(&topic, 1, "a", "piece");
    assert_eq!(topic.subscribers().count, 0);
    leaves.has_got("");
}

#[test]
fn closing_topic_notifies_everybody_and_can_end_connections() {
    for last in [false, true] {
        let topic = Arc::new(Topic::new(0, 0));
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
fn truncated_journal_closes_subscribers_that_read_past_its_end() {
    let topic = Arc::new(Topic::new(0, 0));
    let client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    publish_piece(&topic, 1, "a", "piece");
    publish(&topic, 0);
    topic.reset(0, 0);
    assert_eq!((topic.end(), topic.subscribers().count), (0, 0));
    client.ends_with("piece<0>");
    // A subscriber that returns gets nothing of the withdrawn message.
    let again = Client::new();
    again.subscribe(&topic, 0);
    wait_live(&topic);
    publish(&topic, 0);
    again.has_got("<0>");
}

#[test]
fn unreadable_journal_ends_the_connection_that_needs_it() {
    let topic = Arc::new(Topic::new(10, 0));
    let client = Client::new();
    topic.subscribe(&client.outbox, Arc::new(Journal { is_broken: true }), 0, PLAIN, true);
    client.ends_with("");
}

#[test]
fn waiting_reader_is_woken_by_news_and_by_the_end() {
    let topic = Arc::new(Topic::new(30, 0));
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
fn subscriber_in_mid_message_gets_each_in_one_piece() {
    let topic = Arc::new(Topic::new(0, 0));
    for (serial, name, text) in [(1, "a", "é"), (2, "b", "two "), (1, "a", "🦀 "), (2, "b", "words ")] {
        publish_piece(&topic, serial, name, text);
    }
    let client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    publish_piece(&topic, 1, "a", "live ");
    topic.publish_volatile(BatchFrames::default(), &[UnfinishedChange::End(2)]);
    wait_live(&topic);
    let late = Client::new();
    late.subscribe(&topic, 0);
    wait_live(&topic);
    client.has_got("{a 0 é🦀 }{b 0 two words }live ");
    late.has_got("{a 0 é🦀 live }");
}

#[test]
fn message_over_its_bound_is_read_from_the_journal() {
    let topic = Arc::new(Topic::new(0, 0));
    let piece = "é".repeat(crate::hub::unfinished::TEXT_BYTES_MAX / 4);
    for _ in 0..2 {
        publish_piece(&topic, 1, "a", &piece);
    }
    publish_piece(&topic, 1, "a", "the end");
    let mut late = Client::new();
    late.subscribe(&topic, 0);
    let chars = 2 * piece.chars().count();
    let kept = chars - (2 * piece.len() + 7).div_ceil(2).div_ceil(2);
    late.gets(&format!("{{a {} {}the end}}", chars - kept, "é".repeat(kept)));
}

#[test]
fn subscriber_that_lags_in_mid_message_gets_each_piece_once() {
    let topic = Arc::new(Topic::new(0, 0));
    let client = Client::new();
    publish_piece(&topic, 1, "a", "one ");
    client.subscribe(&topic, 0);
    wait_live(&topic);
    publish_piece(&topic, 1, "a", "two ");
    publish_unheard(&topic, 0, &[more(1, "a", "three ")]);
    wait_live(&topic);
    publish_piece(&topic, 1, "a", "four ");
    let frames = BatchFrames { plain: Some(b"whole "), ..BatchFrames::default() };
    topic.publish(&Batch { first: 10, end: 20, time: 0, frames, changes: &[UnfinishedChange::End(1)] });
    // Falls behind once more, now in the middle of the next message.
    publish_piece(&topic, 2, "b", "next ");
    publish_unheard(&topic, 20, &[more(2, "b", "word")]);
    wait_live(&topic);
    client.has_got("{a 0 one }two <0>{a 8 three }four whole next <20>{b 5 word}");
}

#[test]
fn piece_that_does_not_fit_comes_later_in_order() {
    let topic = Arc::new(Topic::new(0, 0));
    let mut client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    let large = "x".repeat(64 * 1024);
    let mut count = 0_u64;
    while topic.subscribers().behind == 0 {
        assert!(count < 10_000, "it takes everything");
        publish_piece(&topic, 1, "a", &large);
        count += 1;
    }
    // The rest of the message comes in one piece, from the first character that was not sent.
    publish_piece(&topic, 1, "a", "the end");
    let taken = (count - 1) * large.len() as u64;
    client.gets(&"x".repeat(usize::try_from(taken).unwrap()));
    client.gets(&format!("{{a {taken} {large}the end}}"));
}

#[test]
fn batch_without_frames_for_clients_is_no_news_for_them() {
    let topic = Arc::new(Topic::new(0, 0));
    let client = Client::new();
    client.subscribe(&topic, 0);
    wait_live(&topic);
    client.outbox.abort();
    let frames = BatchFrames { plain: Some(b""), ..BatchFrames::default() };
    topic.publish(&Batch { first: 0, end: 10, time: 0, frames, changes: &[] });
    assert_eq!((topic.end(), topic.subscribers().count), (10, 1), "nothing was written, so nothing was noticed");
}
