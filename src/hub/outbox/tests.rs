//! The outbox against a peer that reads only on request.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::*;
use crate::access::Reach;
use crate::hub::feed::{Feed, FeedSubject, Snapshot};

/// Time that the peer waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);
/// Bytes of batches that may wait.
const QUEUE: usize = 1_000;

/// Both ends of a connection.
fn pair() -> (Arc<Outbox>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    let (socket, _) = listener.accept().unwrap();
    (Arc::new(Outbox::new(Arc::new(socket), QUEUE)), peer)
}

/// Writes to the socket until it takes nothing more; how much that was.
fn fill(outbox: &Outbox) -> usize {
    let (mut filled, mut refused) = (0, 0);
    outbox.socket.set_nonblocking(true).unwrap();
    // The system moves bytes on to the peer's buffer a little later.
    while refused < 50 {
        match (&*outbox.socket).write(&[b'.'; 64 * 1024]) {
            Ok(count) => (filled, refused) = (filled + count, 0),
            Err(_) => {
                refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    outbox.socket.set_nonblocking(false).unwrap();
    filled
}

fn read(peer: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    peer.read_exact(&mut bytes).unwrap();
    bytes
}

fn read_to_end(peer: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that is reset has ended too.
    let _ = peer.read_to_end(&mut bytes);
    bytes
}

fn offer(outbox: &Outbox, bytes: &[u8]) -> Offer {
    outbox.offer(&Frames::new(bytes))
}

fn writer(outbox: &Arc<Outbox>) -> thread::JoinHandle<()> {
    let outbox = Arc::clone(outbox);
    thread::spawn(move || outbox.run_writer())
}

fn wait_drained(outbox: &Outbox) {
    while !outbox.is_drained() {
        thread::yield_now();
    }
}

/// Something to catch up with: one step for each piece, and then another end.
struct Pieces {
    steps: AtomicUsize,
    pieces: Vec<&'static [u8]>,
    end: CatchUpStep,
}

impl Pieces {
    fn new(pieces: &[&'static [u8]], end: CatchUpStep) -> Arc<Self> {
        Arc::new(Self { steps: AtomicUsize::new(0), pieces: pieces.to_vec(), end })
    }
}

impl CatchUp for Pieces {
    fn step(&self, frames: &mut Vec<u8>) -> CatchUpStep {
        let at = self.steps.fetch_add(1, Ordering::SeqCst);
        frames.extend_from_slice(self.pieces.get(at).copied().unwrap_or_default());
        if at + 1 < self.pieces.len() { CatchUpStep::More } else { self.end }
    }
}

#[test]
fn frames_and_replies_go_out_at_once_when_nothing_waits() {
    let (outbox, mut peer) = pair();
    assert_eq!(offer(&outbox, b"frame "), Offer::Taken);
    outbox.reply(b"reply");
    // No writer runs: the caller of `offer` has written it.
    assert_eq!(read(&mut peer, 11), b"frame reply");
    assert_eq!((outbox.queued_bytes(), outbox.is_drained()), (0, true));
    assert!(Frames::new(b"").is_empty() && !Frames::new(b"x").is_empty());
}

#[test]
fn unsent_bytes_wait_within_the_bound_and_keep_order() {
    let (outbox, mut peer) = pair();
    let filled = fill(&outbox);
    assert_eq!(offer(&outbox, &[b'a'; 600]), Offer::Taken);
    assert_eq!((outbox.queued_bytes(), outbox.is_drained()), (600, false));
    assert_eq!(offer(&outbox, &[b'b'; 400]), Offer::Taken, "the bound itself is allowed");
    assert_eq!(offer(&outbox, b"c"), Offer::Full);
    outbox.reply(b"reply");
    assert_eq!(outbox.queued_bytes(), QUEUE + 5);
    let writer = writer(&outbox);
    read(&mut peer, filled);
    assert_eq!(read(&mut peer, QUEUE + 5), [&[b'a'; 600][..], &[b'b'; 400], b"reply"].concat());
    wait_drained(&outbox);
    assert_eq!(outbox.queued_bytes(), 0);
    assert_eq!(offer(&outbox, b"d"), Offer::Taken);
    assert_eq!(read(&mut peer, 1), b"d");
    outbox.finish();
    assert_eq!(read_to_end(&mut peer), b"");
    writer.join().unwrap();
}

#[test]
fn backlog_goes_first_when_the_socket_has_room_again() {
    let (outbox, mut peer) = pair();
    let filled = fill(&outbox);
    assert_eq!(offer(&outbox, b"waits "), Offer::Taken);
    read(&mut peer, filled);
    // There is room now, and no writer yet.
    outbox.reply(b"reply ");
    assert_eq!(offer(&outbox, b"frame"), Offer::Taken);
    assert_eq!(outbox.queued_bytes(), 17);
    let writer = writer(&outbox);
    assert_eq!(read(&mut peer, 17), b"waits reply frame");
    outbox.finish();
    writer.join().unwrap();
}

#[test]
fn batch_over_the_bound_is_taken_when_nothing_waits() {
    let (outbox, mut peer) = pair();
    // More than the buffers of both sides hold.
    let large: Vec<u8> = (0..32 * 1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    assert_eq!(offer(&outbox, &large), Offer::Taken);
    let rest = outbox.queued_bytes();
    assert!(rest > QUEUE && rest < large.len(), "{rest} bytes wait");
    assert_eq!(offer(&outbox, b"x"), Offer::Full);
    let writer = writer(&outbox);
    assert!(read(&mut peer, large.len()) == large, "all of it, once and in order");
    outbox.finish();
    assert_eq!(read_to_end(&mut peer), b"");
    writer.join().unwrap();
}

#[test]
fn concurrent_writers_do_not_interleave() {
    let (outbox, mut peer) = pair();
    let large = vec![b'a'; 32 * 1024 * 1024];
    outbox.fall_behind(Pieces::new(&[b"behind "], CatchUpStep::Done));
    assert!(!outbox.is_drained(), "something is to be caught up with");
    assert_eq!(offer(&outbox, &large), Offer::Taken);
    let writer = writer(&outbox);
    // The writer has taken the rest out of the queue, and is in the middle of it.
    while outbox.queued_bytes() > 0 {
        thread::yield_now();
    }
    assert!(!outbox.is_drained());
    assert_eq!(offer(&outbox, b"b"), Offer::Taken);
    outbox.reply(b"c");
    assert_eq!(outbox.queued_bytes(), 2);
    assert!(read(&mut peer, large.len()).iter().all(|&byte| byte == b'a'));
    assert_eq!(read(&mut peer, 9), b"bcbehind ", "what was behind comes when nothing else waits");
    outbox.finish();
    writer.join().unwrap();
}

#[test]
fn client_with_unread_replies_is_closed_at_the_bound() {
    let (outbox, mut peer) = pair();
    let writer_thread = writer(&outbox);
    for _ in 0..3 {
        // Written bytes do not count any more.
        let filled = fill(&outbox);
        outbox.reply(&vec![b'r'; REPLIES_BYTES_MAX]);
        read(&mut peer, filled + REPLIES_BYTES_MAX);
        wait_drained(&outbox);
    }
    outbox.finish();
    writer_thread.join().unwrap();

    let (outbox, mut peer) = pair();
    let filled = fill(&outbox);
    outbox.reply(&vec![b'r'; REPLIES_BYTES_MAX]);
    assert_eq!(outbox.queued_bytes(), REPLIES_BYTES_MAX);
    outbox.reply(b"x");
    assert_eq!(offer(&outbox, b"frame"), Offer::Closed);
    assert!(read_to_end(&mut peer).len() <= filled);
    outbox.run_writer();
}

#[test]
fn a_close_comes_last_whatever_waits_and_whatever_is_behind() {
    let (outbox, mut peer) = pair();
    let filled = fill(&outbox);
    let behind = Pieces::new(&[b"behind"], CatchUpStep::Done);
    offer(&outbox, b"frame ");
    outbox.fall_behind(Arc::clone(&behind) as Arc<dyn CatchUp>);
    outbox.finish_with(b"close");
    assert_eq!(offer(&outbox, b"frame"), Offer::Closed);
    outbox.reply(b"reply");
    outbox.fall_behind(Arc::clone(&behind) as Arc<dyn CatchUp>);
    let writer = writer(&outbox);
    assert_eq!(read_to_end(&mut peer)[filled..], *b"frame close");
    writer.join().unwrap();
    assert_eq!(behind.steps.load(Ordering::SeqCst), 0);
}

#[test]
fn lagging_subscribers_take_turns_and_a_failing_one_ends_all() {
    let (outbox, mut peer) = pair();
    outbox.fall_behind(Pieces::new(&[b"a1 ", b"a2 ", b"a3 "], CatchUpStep::Done));
    outbox.fall_behind(Pieces::new(&[b"b1 ", b"b2 "], CatchUpStep::Done));
    let writer_thread = writer(&outbox);
    assert_eq!(read(&mut peer, 15), b"a1 b1 a2 b2 a3 ");
    wait_drained(&outbox);
    outbox.fall_behind(Pieces::new(&[b"c1 ", b"c2 "], CatchUpStep::Failed));
    assert_eq!(read_to_end(&mut peer), b"c1 c2 ");
    writer_thread.join().unwrap();
    assert_eq!(offer(&outbox, b"x"), Offer::Closed);
}

/// Something that never ends by itself; the connection ends while it is served.
struct Ends {
    outbox: std::sync::Weak<Outbox>,
    how: fn(&Outbox),
}

impl CatchUp for Ends {
    fn step(&self, _frames: &mut Vec<u8>) -> CatchUpStep {
        (self.how)(&self.outbox.upgrade().unwrap());
        CatchUpStep::More
    }
}

#[test]
fn ended_connection_keeps_no_backlog() {
    for how in [Outbox::abort as fn(&Outbox), Outbox::finish] {
        let (outbox, _peer) = pair();
        let what = Arc::new(Ends { outbox: Arc::downgrade(&outbox), how });
        outbox.fall_behind(Arc::clone(&what) as Arc<dyn CatchUp>);
        outbox.run_writer();
        assert_eq!(Arc::strong_count(&what), 1);
    }
}

#[test]
fn an_aborted_connection_ends_at_once_for_both_sides() {
    let (outbox, mut peer) = pair();
    let filled = fill(&outbox);
    offer(&outbox, b"waits");
    let writer = writer(&outbox);
    outbox.abort();
    writer.join().unwrap();
    assert!(read_to_end(&mut peer).len() <= filled);
    assert_eq!(offer(&outbox, b"x"), Offer::Closed);
    outbox.reply(b"x");
    outbox.fall_behind(Pieces::new(&[b"a"], CatchUpStep::Done));
    assert!(outbox.is_drained());

    // The other side has ended: that is seen at the latest with the second write.
    let (outbox, peer) = pair();
    drop(peer);
    let deadline = std::time::Instant::now() + DEADLINE;
    while offer(&outbox, b"x") != Offer::Closed {
        assert!(std::time::Instant::now() < deadline);
    }
}

const SUBJECT: FeedSubject<'static> = FeedSubject { worker: "w", project: "/srv/a", narrowed: None };

/// A list of one word.
struct Word;

impl Snapshot for Word {
    fn snapshot(&self, _: &Reach, frames: &mut Vec<u8>) {
        frames.extend_from_slice(b"snapshot ");
    }
}

#[test]
fn feed_member_gets_the_list_then_every_change() {
    let feed = Feed::default();
    let (stays, mut peer) = pair();
    let (leaves, mut gone) = pair();
    let writers = [writer(&stays), writer(&leaves)];
    feed.join(&stays, Arc::new(Word), Reach::default());
    let member = feed.join(&leaves, Arc::new(Word), Reach::default());
    assert_eq!(read(&mut peer, 9), b"snapshot ");
    assert_eq!(read(&mut gone, 9), b"snapshot ");
    feed.publish(SUBJECT, b"one ");
    assert_eq!(read(&mut gone, 4), b"one ");
    feed.leave(&member);
    feed.publish(SUBJECT, b"two ");
    feed.close(b"close");
    assert_eq!(read_to_end(&mut peer), b"one two close");
    leaves.finish();
    assert_eq!(read_to_end(&mut gone), b"", "it has left");
    writers.into_iter().for_each(|writer| writer.join().unwrap());
}

#[test]
fn narrowed_member_of_a_feed_gets_its_workers_alone() {
    let feed = Feed::default();
    let (outbox, mut peer) = pair();
    let writer = writer(&outbox);
    feed.join(
        &outbox,
        Arc::new(Word),
        Reach { workers: vec!["mine".to_owned()], projects: vec!["/srv/b".into()], below: None },
    );
    assert_eq!(read(&mut peer, 9), b"snapshot ");
    feed.publish(SUBJECT, b"other ");
    feed.publish(FeedSubject { worker: "mine", ..SUBJECT }, b"mine ");
    feed.publish(FeedSubject { project: "/srv/b/c", ..SUBJECT }, b"near ");
    outbox.finish();
    assert_eq!(read_to_end(&mut peer), b"mine near ");
    writer.join().unwrap();
}

#[test]
fn lagging_feed_member_gets_the_list_again() {
    let feed = Feed::default();
    let (outbox, mut peer) = pair();
    feed.join(&outbox, Arc::new(Word), Reach::default());
    let filled = fill(&outbox);
    // Its list is to come still: it has every change in it.
    feed.publish(SUBJECT, b"before ");
    let writer = writer(&outbox);
    read(&mut peer, filled);
    assert_eq!(read(&mut peer, 9), b"snapshot ");
    wait_drained(&outbox);
    let filled = fill(&outbox);
    feed.publish(SUBJECT, &[b'a'; QUEUE]);
    while outbox.queued_bytes() > 0 {
        thread::yield_now();
    }
    // The writer is stuck in the first: of the next ones one waits, and then there is no room.
    for _ in 0..3 {
        feed.publish(SUBJECT, &[b'b'; QUEUE]);
    }
    read(&mut peer, filled + QUEUE);
    assert_eq!(read(&mut peer, QUEUE + 9), [&[b'b'; QUEUE][..], b"snapshot "].concat());
    outbox.finish();
    writer.join().unwrap();
}

/// Puts each frame of one byte between brackets.
struct Brackets;

impl Translate for Brackets {
    fn translate(&mut self, frames: &[u8], out: &mut Vec<u8>) {
        for byte in frames {
            out.extend_from_slice(&[b'[', *byte, b']']);
        }
    }
}

#[test]
fn translated_frames_are_written_in_order() {
    let (plain, mut peer) = pair();
    let outbox = Arc::new(Outbox::translated(Arc::clone(&plain.socket), QUEUE, Box::new(Brackets)));
    assert_eq!(offer(&outbox, b"a"), Offer::Taken);
    outbox.reply(b"b");
    let writing = writer(&outbox);
    assert_eq!(offer(&outbox, b"c"), Offer::Taken);
    outbox.finish_with(b"d");
    writing.join().unwrap();
    assert_eq!(read_to_end(&mut peer), b"[a][b][c][d]");
}
