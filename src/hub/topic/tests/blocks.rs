//! Subscribers that get the blocks of messages.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const BLOCKS: FrameKind = FrameKind { raw: false, blocks: true, simple: false };

fn subscribe(client: &Client, topic: &Arc<Topic>) -> Arc<Subscription> {
    topic.subscribe(&client.outbox, Arc::new(Journal::default()), 0, BLOCKS, false)
}

fn wait_served(topic: &Topic) {
    wait_until("all are served", || topic.subscribers().behind == 0);
}

#[test]
fn nobody_makes_frames_for_subscribers_with_blocks() {
    let topic = Arc::new(Topic::new(0, 0));
    let (with, plain) = (Client::new(), Client::new());
    subscribe(&with, &topic);
    wait_served(&topic);
    assert_eq!(topic.listening(), FrameDemand::default());
    plain.subscribe(&topic, 0);
    wait_live(&topic);
    assert_eq!(topic.listening(), FrameDemand { plain: true, raw: false, simple: false });
    publish(&topic, 0);
    wait_served(&topic);
    publish_piece(&topic, 1, "a", "one ");
    wait_served(&topic);
    publish_piece(&topic, 1, "a", "two ");
    wait_served(&topic);
    publish(&topic, 10);
    wait_served(&topic);
    with.has_got("<0>{a 0 one |0}{a 4 two |4}<10>");
    plain.has_got("<0>one two <10>");
}

#[test]
fn subscribers_with_blocks_that_come_again_begin_with_all_blocks() {
    let topic = Arc::new(Topic::new(0, 0));
    publish_piece(&topic, 1, "a", "one ");
    let first = Client::new();
    subscribe(&first, &topic);
    wait_served(&topic);
    publish_piece(&topic, 2, "b", "x");
    wait_served(&topic);
    first.has_got("{a 0 one |0}{b 0 x|0}");
    let again = Client::new();
    subscribe(&again, &topic);
    wait_served(&topic);
    again.has_got("{a 0 one |0}{b 0 x|0}");
}

#[test]
fn lagging_subscriber_with_blocks_gets_its_backlog_in_one_piece() {
    let topic = Arc::new(Topic::new(0, 0));
    let mut client = Client::new();
    subscribe(&client, &topic);
    wait_served(&topic);
    publish_piece(&topic, 1, "a", "one ");
    client.gets("{a 0 one |0}");
    // More than the sockets hold.
    let large = "x".repeat(4 * 1024 * 1024);
    let changes: Vec<UnfinishedChange> = (2..10).map(|serial| more(serial, "b", &large)).collect();
    topic.publish_volatile(BatchFrames::default(), &changes);
    // Its writer waits for it to read; pieces that arrive meanwhile share a frame.
    wait_until("it is served", || topic.subscribers().behind == 0);
    for word in ["two ", "three ", "four "] {
        publish_piece(&topic, 1, "a", word);
    }
    assert_eq!(topic.subscribers().behind, 1);
    for _ in &changes {
        client.gets(&format!("{{b 0 {large}|0}}"));
    }
    client.gets("{a 4 two three four |4}");
    wait_served(&topic);
    client.has_got("");
}

/// A message that notices when its blocks are dropped.
struct WatchedMessage(Arc<AtomicBool>);

impl PublishedMessage for WatchedMessage {
    fn piece(&self, _offset: u64, _text: &str, _time: u64, _frames: &mut Vec<u8>) {}

    fn piece_with_blocks(&self, _piece: &MissedText, seen: u64, _frames: &mut Vec<u8>) -> u64 {
        seen
    }

    fn forget_blocks(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn blocks_go_with_the_last_subscriber_that_gets_them() {
    let topic = Arc::new(Topic::new(0, 0));
    let forgotten = Arc::new(AtomicBool::new(false));
    let message = Arc::new(WatchedMessage(Arc::clone(&forgotten)));
    let piece = UnfinishedChange::Piece { serial: 1, message, offset: 0, text: "x".to_owned(), time: 0 };
    topic.publish_volatile(BatchFrames::default(), &[piece]);
    let (one, two, plain) = (Client::new(), Client::new(), Client::new());
    let subscriptions = [&one, &two].map(|client| subscribe(client, &topic));
    plain.subscribe(&topic, 0);
    wait_served(&topic);
    subscriptions[0].cancel();
    assert!(!forgotten.load(Ordering::Relaxed));
    subscriptions[1].cancel();
    assert!(forgotten.load(Ordering::Relaxed));
}
