//! The hub under stress: one publisher per topic, subscribers on real sockets that come, go, stall and read slowly,
//! with delays at points of contention. Each sees every event after its cursor once, in order, and every piece of each
//! unfinished message once, in order, from its first.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rs_worker::testing::hub::{
    Batch, BatchFrames, FrameDemand, FrameKind, JournalSource, MissedText, Outbox, PublishedMessage, Replay, Topic,
    UnfinishedChange,
};

use crate::support::wait::{DEADLINE, eventually, pace};

/// Duration of the test, in seconds.
const SECS: &str = "RS_WORKER_STRESS_SECS";
const SECS_DEFAULT: f64 = 2.0;
const TOPICS: usize = 3;
const SUBSCRIBERS: usize = 8;
/// Bytes of one event on the wire: topic, number, and padding, so that sockets and queues fill.
const EVENT: usize = 256;
/// Small, so that it is always full.
const QUEUE_BYTES: usize = 16 * 1024;
/// Maximum number of events in one step of a replay.
const PAGE: u64 = 40;
/// A frame that is not an event.
const MARK: u8 = 0xff;
/// Marks a piece of a message, in the byte of the topic.
const PIECE: u8 = 0x40;

/// xorshift64, which is good enough for delays.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Usually does nothing, or waits a little, at points of contention.
    fn pause(&mut self) {
        match self.roll(60) {
            0 => pace(Duration::from_micros(self.roll(2_000))),
            1..=5 => thread::yield_now(),
            _ => {}
        }
    }
}

fn event(topic: u8, number: u64, frames: &mut Vec<u8>) {
    let begin = frames.len();
    frames.push(topic);
    frames.extend(number.to_be_bytes());
    frames.resize(begin + EVENT, 0);
}

/// A piece of the message `serial`, of `len` characters after `offset`.
fn piece(topic: u8, [serial, offset, len]: [u64; 3], frames: &mut Vec<u8>) {
    let begin = frames.len();
    frames.push(topic | PIECE);
    [serial, offset, len].iter().for_each(|number| frames.extend(number.to_be_bytes()));
    frames.resize(begin + EVENT, 0);
}

/// An unfinished message.
struct StressMessage {
    topic: u8,
    serial: u64,
}

impl PublishedMessage for StressMessage {
    fn piece(&self, offset: u64, text: &str, _time: u64, frames: &mut Vec<u8>) {
        piece(self.topic, [self.serial, offset, text.len() as u64], frames);
    }

    fn piece_with_blocks(&self, missed: &MissedText, seen: u64, frames: &mut Vec<u8>) -> u64 {
        self.piece(missed.offset, &missed.text, missed.time, frames);
        seen + 1
    }

    fn forget_blocks(&self) {}
}

/// The tools with which a publisher writes its messages.
struct PieceWriter {
    topic: u8,
    serial: u64,
    chars: u64,
}

impl PieceWriter {
    /// Returns the next piece: its frame, and the change of the message.
    fn next(&mut self, len: u64, frames: &mut Vec<u8>) -> UnfinishedChange {
        let Self { topic, serial, chars } = *self;
        piece(topic, [serial, chars, len], frames);
        self.chars += len;
        let text = "x".repeat(usize::try_from(len).unwrap());
        UnfinishedChange::Piece {
            serial,
            message: Arc::new(StressMessage { topic, serial }),
            offset: chars,
            text,
            time: 0,
        }
    }

    fn end(&mut self) -> UnfinishedChange {
        (self.serial, self.chars) = (self.serial + 1, 0);
        UnfinishedChange::End(self.serial - 1)
    }
}

/// The frames for the subscribers at that time; `events` of their bytes are events, and only those go to simple
/// subscribers.
fn of_all(listening: FrameDemand, frames: &[u8], events: usize) -> BatchFrames<'_> {
    let FrameDemand { plain, raw, simple } = listening;
    let to = |listens: bool, frames| listens.then_some(frames);
    BatchFrames { plain: to(plain, frames), raw: to(raw, frames), simple: to(simple, &frames[..events]) }
}

/// A journal in which event `n` is at offset `n`. Only published events may be read.
struct Numbers {
    topic: u8,
    written: AtomicU64,
    seed: Mutex<Dice>,
}

struct NumberReplay {
    numbers: Arc<Numbers>,
    next: u64,
}

impl JournalSource for NumberSource {
    fn replay(&self, from: u64, _kind: FrameKind) -> io::Result<Box<dyn Replay>> {
        Ok(Box::new(NumberReplay { numbers: Arc::clone(&self.0), next: from }))
    }

    fn replay_complete(&self, _seq: u64, _time: u64, frames: &mut Vec<u8>) {
        let begin = frames.len();
        frames.push(MARK);
        frames.resize(begin + EVENT, 0);
    }
}

struct NumberSource(Arc<Numbers>);

impl Replay for NumberReplay {
    fn page(&mut self, until: u64, frames: &mut Vec<u8>) -> io::Result<u64> {
        assert!(until <= self.numbers.written.load(Ordering::SeqCst), "asked for what is not in the journal");
        let end = until.min(self.next + PAGE);
        for number in self.next..end {
            event(self.numbers.topic, number, frames);
        }
        self.next = self.next.max(end);
        self.numbers.seed.lock().unwrap().pause();
        Ok(self.next)
    }
}

/// A connection from the server's side, and the client's end.
fn connection(listener: &TcpListener) -> (Arc<Outbox>, thread::JoinHandle<()>, TcpStream) {
    /// Held while connecting, so that no other thread accepts the connection.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(one);
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let outbox = Arc::new(Outbox::new(Arc::new(server), QUEUE_BYTES));
    let writing = Arc::clone(&outbox);
    (outbox, thread::spawn(move || writing.run_writer()), client)
}

#[test]
fn every_subscriber_sees_each_later_event_once_in_order() {
    let secs = std::env::var(SECS).map_or(SECS_DEFAULT, |text| text.parse().expect("seconds"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let over = AtomicBool::new(false);
    let topics: Vec<(Arc<Topic>, Arc<Numbers>)> = (0..TOPICS)
        .map(|topic| {
            let seed = Mutex::new(Dice(topic as u64 + 77));
            let numbers = Numbers { topic: topic as u8, written: AtomicU64::new(1), seed };
            (Arc::new(Topic::new(1, 0)), Arc::new(numbers))
        })
        .collect();
    let end = Instant::now() + Duration::from_secs_f64(secs);
    let seen: u64 = thread::scope(|scope| {
        for (topic, numbers) in &topics {
            scope.spawn(|| publish(topic, numbers, &over));
        }
        let subscribers: Vec<_> = (0..SUBSCRIBERS)
            .map(|number| {
                let (topics, listener) = (&topics, &listener);
                scope.spawn(move || {
                    let mut dice = Dice(number as u64 * 1_000_003 + 1);
                    // Once in any case, however late this thread begins.
                    let mut seen = subscribe(topics, listener, &mut dice);
                    while Instant::now() < end {
                        seen += subscribe(topics, listener, &mut dice);
                    }
                    seen
                })
            })
            .collect();
        // The publishers end when the last subscriber has ended in any way.
        let seen: Vec<_> = subscribers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::SeqCst);
        seen.into_iter().map(Result::unwrap).sum()
    });
    for (topic, _) in &topics {
        eventually(DEADLINE, "those who have left are forgotten", || {
            // A closed subscriber is detected at the next event.
            (topic.subscribers().count == 0).then_some(())
        });
    }
    eprintln!("{seen} events seen of {} published", topics.iter().map(|(topic, _)| topic.end()).sum::<u64>());
    assert!(seen > 1_000, "{seen}");
}

fn publish(topic: &Topic, numbers: &Numbers, over: &AtomicBool) {
    let mut dice = Dice(u64::from(numbers.topic) + 4711);
    let mut next = 1;
    let mut writing = PieceWriter { topic: numbers.topic, serial: 1, chars: 0 };
    while !over.load(Ordering::SeqCst) {
        let count = dice.roll(20) + 1;
        let (mut frames, mut changes) = (Vec::new(), Vec::new());
        let listening = topic.listening();
        (next..next + count).for_each(|number| event(numbers.topic, number, &mut frames));
        let events = frames.len();
        if dice.roll(3) == 0 {
            changes.push(writing.end());
        }
        (0..dice.roll(3)).for_each(|_| changes.push(writing.next(dice.roll(300) + 1, &mut frames)));
        // In the journal before it is published.
        numbers.written.store(next + count, Ordering::SeqCst);
        dice.pause();
        let frames = of_all(listening, &frames, events);
        topic.publish(&Batch { first: next, end: next + count, time: 0, frames, changes: &changes });
        for _ in 0..dice.roll(4) {
            let (mut frames, listening) = (Vec::new(), topic.listening());
            let change = writing.next(dice.roll(30) + 1, &mut frames);
            dice.pause();
            topic.publish_volatile(of_all(listening, &frames, 0), &[change]);
        }
        next += count;
        dice.pause();
        if dice.roll(30) == 0 {
            // A short pause, so that some catch up.
            pace(Duration::from_millis(3));
        }
    }
}

/// One connection with subscriptions to some topics, for a while; returns the number of events that it has seen.
fn subscribe(topics: &[(Arc<Topic>, Arc<Numbers>)], listener: &TcpListener, dice: &mut Dice) -> u64 {
    let (outbox, writer, mut client) = connection(listener);
    let mut next = vec![None; topics.len()];
    let mut simple = vec![false; topics.len()];
    let mut subscriptions = Vec::new();
    for (at, (topic, numbers)) in topics.iter().enumerate() {
        if dice.roll(4) == 0 {
            continue;
        }
        let end = topic.end();
        let from = if dice.roll(2) == 0 { end } else { (end - end.min(dice.roll(5_000))).max(1) };
        let source = Arc::new(NumberSource(Arc::clone(numbers)));
        let kind = FrameKind { raw: dice.roll(4) == 0, blocks: dice.roll(3) == 0, simple: dice.roll(5) == 0 };
        subscriptions.push(topic.subscribe(&outbox, source, from, kind, dice.roll(2) == 0));
        (next[at], simple[at]) = (Some(from), kind.simple);
        dice.pause();
    }
    let wanted = if subscriptions.is_empty() { 0 } else { dice.roll(3_000) };
    let mut seen = 0;
    let mut pieces = vec![(0, 0); topics.len()];
    let mut frame = [0; EVENT];
    while seen < wanted {
        client.read_exact(&mut frame).unwrap();
        if frame[0] == MARK {
            continue;
        }
        let number = u64::from_be_bytes(frame[1..9].try_into().unwrap());
        if frame[0] & PIECE != 0 {
            let [offset, len] = [9, 17].map(|at| u64::from_be_bytes(frame[at..at + 8].try_into().unwrap()));
            assert!(!simple[usize::from(frame[0] & !PIECE)], "a piece for one who gets none");
            let (serial, chars) = &mut pieces[usize::from(frame[0] & !PIECE)];
            if number > *serial {
                (*serial, *chars) = (number, 0);
            }
            assert_eq!((number, offset), (*serial, *chars), "a piece of topic {}", frame[0] & !PIECE);
            *chars += len;
            continue;
        }
        let expected = next[usize::from(frame[0])].as_mut().expect("an event of a topic that was asked for");
        assert_eq!(number, *expected, "of topic {}", frame[0]);
        *expected += 1;
        seen += 1;
        dice.pause();
        if dice.roll(500) == 0 {
            pace(Duration::from_millis(dice.roll(30)));
        }
    }
    // Some close cleanly, some just disconnect.
    match dice.roll(3) {
        0 => outbox.finish_with(b"the end"),
        1 => drop(client),
        _ => {
            subscriptions.iter().for_each(|subscription| subscription.cancel());
            outbox.abort();
        }
    }
    subscriptions.iter().for_each(|subscription| subscription.cancel());
    outbox.abort();
    writer.join().unwrap();
    seen
}
