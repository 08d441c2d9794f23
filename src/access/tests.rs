//! Tokens are made, found, end, and outlive the server.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use super::token::NAME_CHARS_MAX;
use super::*;
use crate::scratch::Scratch;

const NOW: Micros = Micros(1_700_000_000_000_000);
const HERE: TokenOrigin<'static> = TokenOrigin { address: "192.0.2.1", connection: None };

fn new(name: &str) -> NewToken {
    NewToken { name: name.to_owned(), scope: Scope::Answer, reach: Reach::default(), expires: None }
}

fn refusal(tokens: &Tokens, new: NewToken) -> String {
    tokens.add(new, NOW).unwrap_err().to_string()
}

#[test]
fn tokens_outlive_the_server_as_hashes_in_a_private_file() {
    let folder = Scratch::new();
    let first = Tokens::open(folder.path());
    let reach = Reach { workers: vec!["w".to_owned()], projects: vec!["/srv/a".into()], below: None };
    let (token, secret) = first.add(NewToken { reach, expires: Some(NOW.0 + 5), ..new("phone") }, NOW).unwrap();
    assert_eq!(secret.len(), SECRET_PREFIX.len() + 2 * SECRET_BYTES);
    assert_eq!(first.find(&secret, &HERE, NOW), Some(Arc::clone(&token)));
    let file = folder.path().join(FILE);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("phone") && text.contains("192.0.2.1") && !text.contains(&secret), "{text}");
    assert!(!text.contains(&secret[SECRET_PREFIX.len()..]), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let second = Tokens::open(folder.path());
    assert_eq!(second.find(&secret, &HERE, NOW), Some(Arc::clone(&token)));
    assert_eq!(second.list()[0].1.address.as_deref(), Some("192.0.2.1"));
    for wrong in ["", SECRET_PREFIX, &secret[1..], &secret[..secret.len() - 1], &secret.to_uppercase()] {
        assert_eq!(second.find(wrong, &HERE, NOW), None, "{wrong}");
    }
    assert!(second.remove(&token.id, None).unwrap() && !second.remove(&token.id, None).unwrap());
    assert_eq!(second.find(&secret, &HERE, NOW), None);
    assert_eq!(Tokens::open(folder.path()).find(&secret, &HERE, NOW), None);
}

#[test]
fn expired_tokens_let_nobody_in_and_lose_their_connections() {
    let tokens = Tokens::in_memory();
    let (token, secret) = tokens.add(NewToken { expires: Some(NOW.0 + 1), ..new("a") }, NOW).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let server = Arc::new(listener.accept().unwrap().0);
    let from = TokenOrigin { connection: Some(&server), ..HERE };
    assert!(tokens.find(&secret, &from, NOW).is_some());
    tokens.close_expired(NOW);
    assert!(client.read(&mut [0]).is_err(), "still open");
    let later = Micros(NOW.0 + 1);
    assert_eq!((tokens.find(&secret, &HERE, later), tokens.of_login(&token.id, &HERE, later)), (None, None));
    assert_eq!(tokens.get(&token.id, later), None);
    tokens.close_expired(later);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed");
    assert_eq!(tokens.list().len(), 1, "it is listed until it is removed");
}

#[test]
fn removed_token_closes_its_connections_but_the_one_that_asks() {
    let tokens = Tokens::in_memory();
    let (token, secret) = tokens.add(new("a"), NOW).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let pair = || {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let server = Arc::new(listener.accept().unwrap().0);
        assert!(tokens.find(&secret, &TokenOrigin { connection: Some(&server), ..HERE }, NOW).is_some());
        (client, server)
    };
    let ((mut other, _other), (mut asking, server)) = (pair(), pair());
    tokens.remove(&token.id, Some(&server)).unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 0, "closed");
    assert!(asking.read(&mut [0]).is_err(), "still open");
}

#[test]
fn hostile_wishes_for_tokens_are_refused() {
    let tokens = Tokens::in_memory();
    let long = "n".repeat(NAME_CHARS_MAX + 1);
    for name in ["", " ", " a", "a\n", "a\u{1b}[31mb", &long] {
        assert!(refusal(&tokens, new(name)).starts_with("a name has "), "{name:?}");
    }
    let reach = |workers: Vec<String>, projects: Vec<PathBuf>| NewToken {
        reach: Reach { workers, projects, below: None },
        ..new("a")
    };
    for (wish, said) in [
        (reach(vec!["w".to_owned(); 65], vec![]), "narrowed to 64 workers"),
        (reach(vec![String::new()], vec![]), "an id has from 1"),
        (reach(vec!["w".repeat(5_000)], vec![]), "an id has from 1"),
        (reach(vec![], vec!["/a".into(); 17]), "narrowed to 16 projects"),
        (reach(vec![], vec!["a".into()]), "an absolute path"),
        (reach(vec![], vec![format!("/{}", "a".repeat(5_000)).into()]), "an absolute path"),
        (NewToken { expires: Some(NOW.0), ..new("a") }, "in the past"),
    ] {
        let refused = refusal(&tokens, wish);
        assert!(refused.contains(said), "{refused}");
    }
    tokens.add(new("a"), NOW).unwrap();
    assert!(refusal(&tokens, new("a")).contains("there is a token of this name: a"));
    (1..TOKENS_MAX).for_each(|at| drop(tokens.add(new(&format!("t{at}")), NOW).unwrap()));
    assert!(refusal(&tokens, new("one more")).contains("there are 256 tokens"));
}

#[test]
fn damaged_or_open_file_lets_nobody_in() {
    let folder = Scratch::new();
    let (_, secret) = Tokens::open(folder.path()).add(new("a"), NOW).unwrap();
    let file = folder.path().join(FILE);
    let good = fs::read_to_string(&file).unwrap();
    let newer = good.replace("\"version\": 1", "\"version\": 2");
    let wider = good.replace("\"answer\"", "\"owner\"");
    for text in ["", "{", "[]", newer.as_str(), wider.as_str()] {
        fs::write(&file, text).unwrap();
        assert_eq!(Tokens::open(folder.path()).find(&secret, &HERE, NOW), None, "{text}");
    }
    fs::write(&file, good).unwrap();
    assert!(Tokens::open(folder.path()).find(&secret, &HERE, NOW).is_some());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(Tokens::open(folder.path()).find(&secret, &HERE, NOW), None);
}

#[test]
fn scopes_are_ordered_and_named() {
    assert!(Scope::ALL.is_sorted());
    assert!(Scope::ALL.iter().all(|scope| Scope::parse(scope.as_str()) == Some(*scope)));
    assert_eq!(Scope::parse("owner"), None);
}
