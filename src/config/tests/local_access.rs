//! Requests over loopback: which need a token.

use super::*;

#[test]
fn isolated_agents_need_a_token_and_nothing_else_is_allowed() {
    use LocalAccess::{Open, SameUser, Token};
    for (settings, access, needed) in [
        ("", SameUser, false),
        ("RUNNER=none", SameUser, false),
        ("LOCAL_ACCESS=open", Open, false),
        ("LOCAL_ACCESS=token", Token, true),
        ("RUNNER=bwrap", Token, true),
        ("RUNNER=none, ssh:build", Token, true),
        ("RUNNER=bwrap\nLOCAL_ACCESS=token", Token, true),
        ("HOST=0.0.0.0", Token, true),
        ("HOST=0.0.0.0\nLOCAL_ACCESS=same-user", SameUser, true),
        ("AUTH_TOKEN=0123456789abcdef", Token, true),
        ("AUTH_TOKEN=0123456789abcdef\nLOCAL_ACCESS=open", Open, true),
    ] {
        let config = good(settings, &[]);
        assert_eq!((config.local_access, config.needs_token()), (access, needed), "{settings}");
        let shown = match access {
            SameUser => "same-user",
            Token => "token",
            Open => "open",
        };
        assert_eq!(config.shown("LOCAL_ACCESS"), shown, "{settings}");
    }
    for access in ["open", "same-user"] {
        let refused = problems(&format!("RUNNER=none,bwrap-offline\nLOCAL_ACCESS={access}"), &[]);
        let expected =
            format!("LOCAL_ACCESS is {access:?} (.env, line 2), but must be `token` while RUNNER allows bwrap-offline");
        assert!(refused.len() == 1 && refused[0].starts_with(&expected), "{refused:?}");
    }
}
