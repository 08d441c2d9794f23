//! Subscribers that get simple frames.

use super::*;

const SIMPLE: FrameKind = FrameKind { raw: false, blocks: false, simple: true };

#[test]
fn simple_subscribers_get_no_pieces_live_or_missed() {
    let topic = Arc::new(Topic::new(0, 0));
    publish_piece(&topic, 1, "a", "before ");
    let client = Client::new();
    topic.subscribe(&client.outbox, Arc::new(Journal::default()), 0, SIMPLE, false);
    wait_live(&topic);
    assert_eq!(topic.listening(), FrameDemand { plain: false, raw: false, simple: true });
    publish_piece(&topic, 1, "a", "live ");
    publish(&topic, 0);
    publish_unheard(&topic, 10, &[more(1, "a", "missed ")]);
    wait_live(&topic);
    client.has_got("<0><10>");
}

#[test]
fn each_kind_of_frames_is_made_while_somebody_gets_it() {
    let topic = Arc::new(Topic::new(0, 0));
    let (simple, plain) = (Client::new(), Client::new());
    let first = topic.subscribe(&simple.outbox, Arc::new(Journal::default()), 0, SIMPLE, false);
    plain.subscribe(&topic, 0);
    wait_live(&topic);
    assert_eq!(topic.listening(), FrameDemand { plain: true, raw: false, simple: true });
    first.cancel();
    assert_eq!(topic.listening(), FrameDemand { plain: true, raw: false, simple: false });
}
