//! Lines are written, merged, paged, bounded, and private.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::access::Identity;
use crate::scratch::Scratch;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn actor() -> Actor {
    Actor::new(Some(&Identity::Local), ADDRESS, Some(1000))
}

fn all(limit: usize) -> AuditQuery {
    AuditQuery { limit, ..AuditQuery::default() }
}

#[test]
fn actions_are_written_before_and_after_their_effect() {
    let folder = Scratch::new();
    let audit = Audit::open(folder.path());
    let begun = audit.begin(&actor(), "POST /api/workers/{id}/stop", Some("w"));
    let shown = || audit.page(&all(10)).unwrap().entries[0].clone();
    assert_eq!((shown().status, shown().worker.as_deref()), (None, Some("w")), "under way");
    audit.end(begun, 200, None, None);
    let entry = shown();
    assert_eq!((entry.status, entry.refused, entry.name.as_deref()), (Some(200), false, Some("uid 1000")));
    assert_eq!((entry.by.as_deref(), entry.address.as_deref()), (Some("local"), Some("192.0.2.1")));
    let file = folder.path().join(FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 2);
}

#[test]
fn outcome_names_who_was_not_known_at_the_beginning() {
    let folder = Scratch::new();
    let audit = Audit::open(folder.path());
    let begun = audit.begin(&Actor::new(None, ADDRESS, None), "POST /api/login", None);
    let login = Actor::new(Some(&Identity::Login("l".to_owned())), ADDRESS, None);
    audit.end(begun, 200, Some(&login), Some("new"));
    let entry = audit.page(&all(10)).unwrap().entries.remove(0);
    assert_eq!((entry.by.as_deref(), entry.login.as_deref()), (Some("login"), Some("l")));
    assert_eq!(entry.worker.as_deref(), Some("new"));
}

#[test]
fn pages_are_newest_first_and_filtered() {
    let folder = Scratch::new();
    let audit = Audit::open(folder.path());
    for at in 0..5 {
        let begun = audit.begin(&actor(), "POST /a", Some(if at % 2 == 0 { "even" } else { "odd" }));
        audit.end(begun, 200 + at, None, None);
    }
    let statuses = |query: &AuditQuery| {
        let page = audit.page(query).unwrap();
        (page.entries.iter().filter_map(|entry| entry.status).collect::<Vec<_>>(), page.next)
    };
    let (first, next) = statuses(&all(3));
    assert_eq!(first, [204, 203, 202]);
    assert_eq!(statuses(&AuditQuery { before: next, ..all(3) }), (vec![201, 200], None));
    let even = AuditQuery { worker: Some("even".to_owned()), ..all(10) };
    assert_eq!(statuses(&even).0, [204, 202, 200]);
    for (who, count) in [("uid 1000", 5), ("local", 5), ("uid 1", 0)] {
        assert_eq!(statuses(&AuditQuery { who: Some(who.to_owned()), ..all(10) }).0.len(), count, "{who}");
    }
}

#[test]
fn ids_grow_across_servers_even_when_clocks_go_back() {
    let folder = Scratch::new();
    let far = 4_000_000_000_000_000_u64;
    fs::write(folder.path().join(FILE), format!("{{\"id\":{far},\"action\":\"POST /a\"}}\nhalf a li")).unwrap();
    assert_eq!(Audit::open(folder.path()).begin(&actor(), "POST /b", None), far + 1);
}

#[test]
fn refusals_are_bounded_and_counted() {
    let folder = Scratch::new();
    let audit = Audit::open(folder.path());
    for _ in 0..REFUSALS_MAX + 7 {
        audit.refuse(&Actor::new(None, ADDRESS, None), "POST /api/workers", None, 401);
    }
    let before = audit.page(&all(1_000)).unwrap().entries;
    assert_eq!(before.len(), REFUSALS_MAX as usize);
    assert!(before.iter().all(|entry| entry.refused && entry.status == Some(401)));
    audit.lock().refusals.0 = Instant::now().checked_sub(REFUSALS_TIME).unwrap();
    audit.refuse(&Actor::new(None, ADDRESS, None), "POST /api/workers", None, 401);
    let after = audit.page(&all(2)).unwrap().entries;
    assert_eq!((after[0].status, after[1].more_refusals), (Some(401), Some(7)));
}

#[test]
fn files_are_rotated_and_texts_of_clients_are_short() {
    let folder = Scratch::new();
    let file = folder.path().join(FILE);
    let line = format!("{{\"id\":1,\"action\":\"{}\"}}\n", "a".repeat(1_000));
    fs::write(&file, line.repeat(FILE_BYTES_MAX as usize / line.len())).unwrap();
    let audit = Audit::open(folder.path());
    let begun = audit.begin(&actor(), "POST /a", Some(&"w".repeat(100_000)));
    audit.end(begun, 200, None, None);
    assert!(fs::metadata(&file).unwrap().len() < 1_000);
    assert!(folder.path().join(format!("{FILE}.1")).exists());
    let page = audit.page(&all(2)).unwrap();
    assert_eq!(page.entries[0].worker.as_deref().map(str::len), Some(64));
    assert_eq!(page.entries[1].id, 1, "older files are read too");
}
