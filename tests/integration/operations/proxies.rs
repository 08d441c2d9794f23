//! Behind a trusted proxy, guessing tokens throttles the client that guesses, and no other.

use crate::support::server::TestServer;
use crate::wire::builder;

const TOKEN: &str = "the-right-token-for-all";
/// More than an address may guess without being throttled.
const GUESSES: usize = 7;
const GUESSER: &str = "198.51.100.1";
const NEIGHBOUR: &str = "198.51.100.2";

/// Returns the status for a client whose address the proxy forwards.
fn status(server: &TestServer, forwarded: &str, token: &str) -> u16 {
    let client = server.client.with("Authorization", &format!("Bearer {token}")).with("X-Forwarded-For", forwarded);
    client.get("/api/workers").status
}

fn guess(server: &TestServer, forwarded: &str) -> Vec<u16> {
    (0..GUESSES).map(|number| status(server, forwarded, &format!("a wrong token {number}"))).collect()
}

#[test]
fn a_guesser_behind_a_trusted_proxy_is_slowed_down_alone() {
    let server = builder().env("AUTH_TOKEN", TOKEN).env("TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1").start();
    let guessed = guess(&server, GUESSER);
    assert_eq!((guessed[0], guessed[GUESSES - 1]), (401, 429), "{guessed:?}");
    assert_eq!(status(&server, NEIGHBOUR, TOKEN), 200);
    // The client's own value comes before the proxy's.
    for spoofed in [format!("{NEIGHBOUR}, {GUESSER}"), format!("10.0.0.1, {GUESSER}, 10.0.0.2")] {
        assert_eq!(status(&server, &spoofed, TOKEN), 429, "{spoofed}");
    }
    assert_eq!(status(&server, &format!("{GUESSER}, {NEIGHBOUR}"), TOKEN), 200, "it was somebody else's to write");
}

#[test]
fn untrusted_header_is_ignored_and_the_proxy_is_throttled() {
    let server = builder().env("AUTH_TOKEN", TOKEN).env("TRUSTED_PROXIES", "10.0.0.1").start();
    assert_eq!(guess(&server, GUESSER)[GUESSES - 1], 429);
    assert_eq!(status(&server, NEIGHBOUR, TOKEN), 429);
    let (code, output) = builder().env("TRUSTED_PROXIES", "everybody").prepare().start_in_vain();
    assert_eq!(code.code(), Some(1));
    assert!(output.contains("IP addresses, and networks like `10.0.0.0/8`"), "{output}");
}
