use super::*;

#[test]
fn byte_counts_take_units_and_show_the_largest_that_fits() {
    for (text, count) in [("0", 0), ("1000", 1000), ("64KiB", 65_536), ("10 MiB", 10_485_760), ("1GiB", 1 << 30)] {
        assert_eq!(byte_count(text), Some(count), "{text}");
    }
    for text in ["", "MiB", "-1", "1.5MiB", "1MB", "99999999999GiB", "1 KiB x"] {
        assert_eq!(byte_count(text), None, "{text}");
    }
    assert_eq!([bytes(1000), bytes(65_536), bytes(10_485_760)], ["1000", "64KiB", "10MiB"]);
}

#[test]
fn addresses_are_ip_addresses_or_localhost() {
    assert_eq!(address("LocalHost"), Some("127.0.0.1".parse().unwrap()));
    assert_eq!(address("[::1]"), Some("::1".parse().unwrap()));
    assert_eq!(address("::"), Some("::".parse().unwrap()));
    for text in ["example.org", "127.0.0", "127.0.0.1:80", "*", "[::1"] {
        assert_eq!(address(text), None, "{text}");
    }
}

#[test]
fn flags_are_the_words_that_people_write() {
    for text in ["true", "True", "1", "yes", "ON"] {
        assert_eq!(flag(text), Some(true), "{text}");
    }
    for text in ["false", "FALSE", "0", "no", "off"] {
        assert_eq!(flag(text), Some(false), "{text}");
    }
    assert_eq!(flag("*"), None);
}

#[test]
fn host_names_are_kept_as_a_host_header_writes_them() {
    assert_eq!(host_name("Box.Example.ORG").as_deref(), Some("box.example.org"));
    assert_eq!(host_name("192.168.0.7").as_deref(), Some("192.168.0.7"));
    assert_eq!(host_name("FE80::1").as_deref(), Some("[fe80::1]"));
    assert_eq!(host_name("[fe80::1]").as_deref(), Some("[fe80::1]"));
    for text in ["*", "*.example.org", "http://box", "box:80", "a..b", "box/", "büro", "a b"] {
        assert_eq!(host_name(text), None, "{text}");
    }
}

#[test]
fn origins_are_kept_as_a_browser_writes_them() {
    assert_eq!(origin("HTTPS://Box.example:8443").as_deref(), Some("https://box.example:8443"));
    assert_eq!(origin("https://box.example:443").as_deref(), Some("https://box.example"));
    assert_eq!(origin("http://[::1]:3000").as_deref(), Some("http://[::1]:3000"));
    assert_eq!(origin("http://[::1]").as_deref(), Some("http://[::1]"));
    for text in
        ["*", "null", "box.example", "ftp://box", "https://box/", "https://box:x", "https://u@box", "http://::1"]
    {
        assert_eq!(origin(text), None, "{text}");
    }
}

#[test]
fn urls_have_no_user_name_in_them() {
    assert!(url("https://api.opencode.com").is_some());
    assert!(url("http://127.0.0.1:8080/v1?a=b@c").is_some());
    for text in ["api.opencode.com", "ftp://x", "https://", "https://u:p@host/", "https://a b", "http:///x"] {
        assert_eq!(url(text), None, "{text}");
    }
}

#[test]
fn lists_skip_duplicates_and_refuse_a_wrong_entry() {
    assert_eq!(list("a, b ,,a", ',', cli_name), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(list("a,B", ',', cli_name), None);
    assert_eq!(list(" , ", ',', cli_name), None);
    assert_eq!(list("AWS_*,HOME", ',', name_pattern), Some(vec!["AWS_*".to_owned(), "HOME".to_owned()]));
    assert_eq!(list("*", ',', name_pattern), None);
    assert_eq!(list("A-B", ',', name_pattern), None);
    assert_eq!(list(&"a,".repeat(3000), ',', cli_name), Some(vec!["a".to_owned()]));
}

#[test]
fn paths_are_made_absolute_and_lose_their_dots() {
    let cwd = Path::new("/srv/rs");
    assert_eq!(absolute(cwd, Path::new("./data//workers/")), Path::new("/srv/rs/data/workers"));
    assert_eq!(absolute(cwd, Path::new("../x")), Path::new("/srv/rs/../x"));
    assert_eq!(absolute(cwd, Path::new("/x")), Path::new("/x"));
    assert_eq!(program(cwd, "claude"), "claude");
    assert_eq!(program(cwd, "./bin/claude"), "/srv/rs/bin/claude");
}
