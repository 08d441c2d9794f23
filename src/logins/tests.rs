//! Logins begin, are found, end, and outlive the server.

use std::fs;
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::login::DAY;
use super::*;
use crate::config::Secret;
use crate::scratch::Scratch;

const NOW: Micros = Micros(1_700_000_000_000_000);

fn token(text: &str) -> AuthToken {
    AuthToken::chosen(Secret::new(text))
}

fn later(days: u64) -> Micros {
    Micros(NOW.0 + days * DAY)
}

#[test]
fn logins_outlive_the_server_as_hashes_in_a_private_file() {
    let folder = Scratch::new();
    let first = Logins::open(folder.path(), Some(&token("0123456789abcdef")));
    let secret = first.begin("192.0.2.1", "a browser", None, NOW).unwrap().secret;
    assert_eq!(secret.len(), 2 * SECRET_BYTES);
    let file = folder.path().join(FILE);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&secret) && text.contains("a browser") && !text.contains("0123456789abcdef"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let second = Logins::open(folder.path(), Some(&token("0123456789abcdef")));
    let id = second.find(&secret, NOW).unwrap().id;
    assert_eq!(second.list(NOW)[0].id, id);
    assert_eq!(second.find("somebody else's", NOW), None);
    assert!(second.end(&id, None).unwrap() && !second.end(&id, None).unwrap());
    assert_eq!(second.find(&secret, NOW), None);
    assert_eq!(Logins::open(folder.path(), Some(&token("0123456789abcdef"))).find(&secret, NOW), None);
}

#[test]
fn new_token_ends_all_logins() {
    let folder = Scratch::new();
    let secret =
        Logins::open(folder.path(), Some(&token("0123456789abcdef"))).begin("::1", "", None, NOW).unwrap().secret;
    let other = Logins::open(folder.path(), Some(&token("0123456789abcdeF")));
    assert_eq!((other.find(&secret, NOW), other.list(NOW).len()), (None, 0));
}

#[test]
fn logins_end_after_their_days() {
    let logins = Logins::in_memory();
    let secret = logins.begin("::1", "", None, NOW).unwrap().secret;
    assert!(logins.find(&secret, later(LOGIN_DAYS - 1)).is_some(), "use does not lengthen it");
    assert_eq!(logins.find(&secret, later(LOGIN_DAYS)), None);
    assert_eq!(logins.list(later(LOGIN_DAYS)).len(), 0);
}

#[test]
fn number_of_logins_is_bounded_and_the_least_used_ends() {
    let logins = Logins::in_memory();
    let secrets: Vec<String> =
        (0..LOGINS_MAX as u64).map(|at| logins.begin("::1", "", None, Micros(NOW.0 + at)).unwrap().secret).collect();
    assert!(logins.find(&secrets[0], Micros(NOW.0 + 1_000)).is_some());
    logins.begin("::1", "", None, Micros(NOW.0 + 2_000)).unwrap();
    assert!(logins.find(&secrets[0], NOW).is_some());
    assert_eq!(logins.find(&secrets[1], NOW), None);
    assert_eq!(logins.list(NOW).len(), LOGINS_MAX);
}

#[test]
fn ended_login_closes_its_connections_but_the_one_that_asks() {
    let logins = Logins::in_memory();
    let secret = logins.begin("::1", "", None, NOW).unwrap().secret;
    let id = logins.find(&secret, NOW).unwrap().id;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pair = || {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let server = Arc::new(listener.accept().unwrap().0);
        logins.bind(&id, &server);
        (client, server)
    };
    let ((mut other, _other), (mut asking, server)) = (pair(), pair());
    logins.end(&id, Some(&server)).unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 0, "closed");
    assert!(asking.read(&mut [0]).is_err(), "still open");
    let (mut late, _late) = pair();
    assert_eq!(late.read(&mut [0]).unwrap(), 0, "what comes after the end is closed at once");
}

#[test]
fn damaged_or_open_file_counts_as_empty() {
    let folder = Scratch::new();
    let file = folder.path().join(FILE);
    for text in ["", "{", "[]", "{\"version\":3,\"token_mark\":\"\",\"logins\":[]}"] {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let logins = Logins::open(folder.path(), Some(&token("0123456789abcdef")));
        assert_eq!(logins.list(NOW).len(), 0, "{text:?}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let logins = Logins::open(folder.path(), Some(&token("0123456789abcdef")));
    logins.begin("::1", "", None, NOW).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "it is made anew");
}

/// Uses a code up, and gives the token that it is for, or an empty text.
fn redeem(codes: &mut LoginCodes, code: &str, now: Instant) -> Option<String> {
    codes.redeem(code, now, |token| Ok(Some(token.unwrap_or_default().to_owned()))).unwrap()
}

#[test]
fn codes_are_good_once_and_for_ten_minutes() {
    let (mut codes, now) = (LoginCodes::default(), Instant::now());
    let code = codes.make(now).unwrap().text;
    assert_eq!(redeem(&mut codes, "another", now), None);
    assert_eq!((redeem(&mut codes, &code, now), redeem(&mut codes, &code, now)), (Some(String::new()), None));
    for code in [codes.make(now), codes.make_pairing("t", now)] {
        let later = now + Duration::from_secs(CODE_MINUTES * 60);
        assert_eq!(redeem(&mut codes, &code.unwrap().text, later), None);
    }
    let made: Vec<String> = (0..=codes::CODES_MAX).map(|_| codes.make(now).unwrap().text).collect();
    assert_eq!(redeem(&mut codes, &made[0], now), None, "the oldest gives its place");
    assert!(made[1..].iter().all(|code| redeem(&mut codes, code, now).is_some()));
}

#[test]
fn five_wrong_codes_end_a_pairing_and_no_other() {
    let (mut codes, now) = (LoginCodes::default(), Instant::now());
    let (mine, other) = (codes.make_pairing("a", now).unwrap().text, codes.make_pairing("b", now).unwrap().text);
    let name = mine.split_once('.').unwrap().0.to_owned();
    for at in 1..codes::WRONG_MAX {
        assert_eq!(redeem(&mut codes, &format!("{name}.wrong-{at}"), now), None);
    }
    assert_eq!(redeem(&mut codes, &mine, now).as_deref(), Some("a"), "four are not enough");
    let mine = codes.make_pairing("a", now).unwrap().text;
    let name = mine.split_once('.').unwrap().0;
    for at in 0..codes::WRONG_MAX {
        assert_eq!(redeem(&mut codes, &format!("{name}.wrong-{at}"), now), None);
    }
    assert_eq!(redeem(&mut codes, &mine, now), None);
    assert_eq!(redeem(&mut codes, &other, now).as_deref(), Some("b"));
}

#[test]
fn failed_exchange_leaves_the_code_usable() {
    let (mut codes, now) = (LoginCodes::default(), Instant::now());
    let code = codes.make_pairing("a", now).unwrap().text;
    assert!(codes.redeem::<()>(&code, now, |_| Err(io::Error::other("no random bytes"))).is_err());
    assert_eq!(codes.redeem::<()>(&code, now, |_| Ok(None)).unwrap(), None);
    assert_eq!(redeem(&mut codes, &code, now).as_deref(), Some("a"));
}

#[test]
fn new_pairing_replaces_the_last_one_of_its_token() {
    let (mut codes, now) = (LoginCodes::default(), Instant::now());
    let first = codes.make_pairing("a", now).unwrap().text;
    let second = codes.make_pairing("a", now).unwrap().text;
    assert_eq!((redeem(&mut codes, &first, now), redeem(&mut codes, &second, now)), (None, Some("a".to_owned())));
}

#[test]
fn logins_of_a_token_end_with_it() {
    let folder = Scratch::new();
    let logins = Logins::open(folder.path(), None);
    let mine = logins.begin("::1", "", Some("t"), NOW).unwrap().secret;
    let other = logins.begin("::1", "", None, NOW).unwrap().secret;
    assert_eq!(logins.find(&mine, NOW).unwrap().token.as_deref(), Some("t"));
    let code = logins.new_pairing("t").unwrap().text;
    logins.end_of_token("t", None).unwrap();
    assert_eq!(logins.find(&mine, NOW), None);
    assert_eq!(logins.redeem(&code, |_| Ok(Some(()))).unwrap(), None, "its codes end too");
    let again = Logins::open(folder.path(), None);
    assert_eq!((again.find(&mine, NOW), again.find(&other, NOW).is_some()), (None, true));
}

#[test]
fn logins_of_one_token_leave_those_of_others() {
    let logins = Logins::in_memory();
    let own = logins.begin("::1", "", None, NOW).unwrap().secret;
    let first = logins.begin("::1", "", Some("a"), NOW).unwrap().secret;
    for _ in 0..2 * LOGINS_MAX {
        logins.begin("::1", "", Some("a"), later(1)).unwrap();
    }
    assert!(logins.find(&own, later(2)).is_some());
    assert!(logins.find(&first, later(2)).is_none(), "the oldest of the token's own has ended");
    assert_eq!(logins.list(later(2)).len(), LOGINS_OF_TOKEN_MAX + 1);
}

#[test]
fn connections_of_expired_logins_are_closed() {
    let logins = Logins::in_memory();
    let begun = logins.begin("::1", "", None, NOW).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = Arc::new(listener.accept().unwrap().0);
    logins.bind(&begun.id, &accepted);
    logins.close_expired(later(LOGIN_DAYS));
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}
