use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tree::{DEPTH_MAX, NODES_MAX};
use super::{TEXT_BYTES_MAX, blocks_json};

fn blocks(text: &str) -> Vec<Value> {
    serde_json::from_slice(&blocks_json(text).unwrap()).unwrap()
}

/// The spans in one line: `em(a code[b])`.
fn flat(spans: &Value) -> String {
    let one = |node: &Value| match node["t"].as_str().unwrap() {
        "text" => node["v"].as_str().unwrap().to_owned(),
        "code" => format!("code[{}]", node["v"].as_str().unwrap()),
        "break" => "/".to_owned(),
        "math" => format!("math[{}]", node["v"].as_str().unwrap()),
        "link" => format!("link<{}>({})", node["href"].as_str().unwrap(), flat(&node["c"])),
        kind => format!("{kind}({})", flat(&node["c"])),
    };
    spans.as_array().unwrap().iter().map(one).collect()
}

/// The one paragraph of a text.
fn line(text: &str) -> String {
    let blocks = blocks(text);
    assert_eq!((blocks.len(), &blocks[0]["t"]), (1, &json!("paragraph")), "{text}: {blocks:?}");
    flat(&blocks[0]["c"])
}

fn kinds(text: &str) -> Vec<String> {
    blocks(text).iter().map(|block| block["t"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn blocks_are_distinguished() {
    let text =
        "# a\n\ntext\nmore\n\n- x\n- y\n\n1. z\n\n> q\n\n---\n\n```js\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |";
    assert_eq!(kinds(text), ["heading", "paragraph", "list", "list", "quote", "rule", "code", "table"]);
}

#[test]
fn raw_html_is_text() {
    for text in ["<script>alert(1)</script>", "<img src=x onerror=alert(1)> <b>x</b>", "<!-- a -->", "a <br> b"] {
        assert_eq!(line(text), text);
    }
    assert_eq!(flat(&blocks("<div>\n*a*\n\nb")[0]["c"]), "<div>\n*a*");
}

#[test]
fn emphasis_code_and_strikes() {
    assert_eq!(
        line("*a* **b** _c_ __d__ ***e*** ~~f~~ `g*h*` ``i ` j``"),
        "em(a) strong(b) em(c) strong(d) em(strong(e)) strike(f) code[g*h*] code[i ` j]"
    );
    assert_eq!(line("snake_case_name 2 * 3 * 4 **open `tick"), "snake_case_name 2 * 3 * 4 **open `tick");
    assert_eq!(line("\\*not\\* a\\\nb  \nc"), "*not* a/b/c");
    assert_eq!(line("one\ntwo"), "one\ntwo");
}

#[test]
fn links_go_to_safe_addresses_only_and_pictures_are_links() {
    assert_eq!(
        line("[a](https://x.y/z_(1)) <https://q.r> (https://s.t/u_(v)). ![i](https://v.w/p.png) <a@b.c>"),
        "link<https://x.y/z_(1)>(a) link<https://q.r>(https://q.r) (link<https://s.t/u_(v)>(https://s.t/u_(v))). \
         link<https://v.w/p.png>(i) link<mailto:a@b.c>(a@b.c)"
    );
    assert_eq!(
        line("**see https://a.b!**, not xhttp:// or ftp://c"),
        "strong(see link<https://a.b>(https://a.b)!), not xhttp:// or ftp://c"
    );
    assert_eq!(line("[![i](https://a.b/i.png)](https://c.d)"), "link<https://c.d>(span(i))");
    for evil in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//e.vil",
        "&#106;avascript:x",
        "java&Tab;script:x",
        "\u{1}javascript:x",
    ] {
        assert!(!line(&format!("x [a]({evil})")).contains("link<"), "{evil}");
        assert!(!line(&format!("x <{evil}>")).contains("link<"), "{evil}");
        assert!(!flat(&blocks(&format!("[a]\n\n[a]: {evil}"))[0]["c"]).contains("link<"), "{evil}");
    }
}

#[test]
fn lists_nest_number_and_carry_tasks() {
    let list = &blocks("3. a\n   - b\n     - c\n4. d\n\n   more of d")[0];
    assert_eq!((&list["start"], &list["loose"]), (&json!(3), &json!(true)));
    let inner = &list["items"][0]["blocks"][1];
    assert_eq!((&inner["loose"], flat(&inner["items"][0]["blocks"][0]["c"])), (&json!(false), "b".to_owned()));
    assert_eq!(flat(&inner["items"][0]["blocks"][1]["items"][0]["blocks"][0]["c"]), "c");
    assert_eq!(flat(&list["items"][1]["blocks"][1]["c"]), "more of d");
    let tasks = &blocks("- [x] done\n- [ ] open\n- none")[0]["items"];
    assert_eq!([&tasks[0]["done"], &tasks[1]["done"], &tasks[2]["done"]], [&json!(true), &json!(false), &json!(null)]);
}

#[test]
fn fence_keeps_what_it_holds_also_while_it_is_open() {
    assert_eq!(blocks("````md\n```\n# x\n```\n````")[0]["text"], "```\n# x\n```");
    assert_eq!(blocks("```sh title\nls")[0], json!({"t": "code", "language": "sh", "text": "ls"}));
}

#[test]
fn tables_have_as_many_cells_as_their_head() {
    let table = &blocks("| a | b |\n|:-:|--:|\n| `x` | 2 | 3 |\n| 1 |")[0];
    assert_eq!(table["align"], json!(["center", "right"]));
    let rows: Vec<Vec<String>> = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_array().unwrap().iter().map(flat).collect())
        .collect();
    assert_eq!(rows, [["code[x]", "2"], ["1", ""]]);
    assert_eq!(flat(&table["head"][1]), "b");
}

#[test]
fn text_with_excessive_length_or_nodes_is_refused() {
    assert!(blocks_json(&"x".repeat(TEXT_BYTES_MAX)).is_some());
    assert!(blocks_json(&"x".repeat(TEXT_BYTES_MAX + 1)).is_none());
    for evil in ["`a`_b_ ", "- x\n", "> - 1. x\n", "|a|b|c\n|-|-|-\n"] {
        let begin = Instant::now();
        assert!(blocks_json(&evil.repeat(NODES_MAX / 2)).is_none(), "{evil}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{evil}: {:?}", begin.elapsed());
    }
}

#[test]
fn hostile_text_takes_linear_time_and_bounded_depth() {
    let evils = [
        "*",
        "[",
        "`a``b```c",
        "> ",
        "- ",
        "**a ",
        "[a](",
        "<http://",
        "*a_b~~",
        "https://a",
        "![",
        "| a ",
        "1. x\n",
        "\\",
        "]",
        "_a*b",
        "> - 1. ",
        "<!--",
        "<a ",
        "&",
        "http://a) ",
    ];
    for evil in evils {
        let begin = Instant::now();
        let mut count = 20_000.min(TEXT_BYTES_MAX / evil.len());
        let text = loop {
            match blocks_json(&evil.repeat(count)) {
                Some(json) => break String::from_utf8(json).unwrap(),
                // It has too many nodes.
                None => count /= 2,
            }
        };
        assert!(begin.elapsed() < Duration::from_secs(20), "{evil}: {:?}", begin.elapsed());
        let deepest = text.bytes().scan(0_i32, |depth, byte| {
            *depth += i32::from(byte == b'[') - i32::from(byte == b']');
            Some(*depth)
        });
        // Brackets of the text count too, so only what has none is held to a depth.
        if !evil.contains(['[', ']']) {
            assert!(deepest.max().unwrap() < 6 * i32::try_from(DEPTH_MAX).unwrap(), "{evil}");
        }
        serde_json::from_str::<Value>(&text).unwrap();
    }
}

#[test]
fn picture_at_an_address_of_no_scheme_names_it() {
    for address in ["plots/a.png", "/home/me/a.png", "javascript:alert(1)"] {
        let found = &blocks(&format!("![*a* b]({address})"))[0]["c"][0];
        assert_eq!((&found["t"], &found["image"], &found["title"]), (&json!("span"), &json!(true), &json!(address)));
        assert_eq!(flat(&found["c"]), "em(a) b");
    }
    assert_eq!(blocks("[a](plots/a.png)")[0]["c"][0]["image"], Value::Null);
}

#[test]
fn formulas_become_mathml_of_the_allowlist() {
    let blocks = blocks("Area: $\\frac{a^2}{\\sqrt b}$\n\n$$\\sum_{i=1}^n \\text{x<y}$$");
    let inline = &blocks[0]["c"][1];
    assert_eq!((&inline["t"], &inline["block"]), (&json!("math"), &json!(false)));
    let fraction = inline["c"].to_string();
    for name in ["\"math\"", "\"mfrac\"", "\"msup\"", "\"msqrt\""] {
        assert!(fraction.contains(name), "{fraction}");
    }
    let display = &blocks[1]["c"][0];
    assert_eq!((&display["block"], &display["c"]["a"]["display"]), (&json!(true), &json!("block")));
    assert!(display["c"].to_string().contains("x<y"), "{display}");
}

#[test]
fn prices_and_variables_are_not_formulas() {
    for text in [
        "costs $5 and $6",
        "between $5-$6",
        "from US$5 to US$6",
        "5$, 6$",
        "$HOME and $PATH",
        "$HOME:$PATH",
        "a single $",
        "$ x $",
    ] {
        assert_eq!(line(text), text);
    }
    assert_eq!(line("so $x$ and $y$."), "so math[x] and math[y].");
}

#[test]
fn formula_that_cannot_be_shown_stays_its_source() {
    let long = format!("${}$", "x".repeat(1_001));
    let deep = format!("${}x{}$", "\\sqrt{".repeat(200), "}".repeat(200));
    let many = format!("${}$", "\\alpha".repeat(130) + &"{}".repeat(130));
    for text in [
        "$\\nosuchcommand{x}$",
        "$\\frac{a}$",
        "$\\def\\a{\\b\\b}\\a$",
        "$\\gdef\\a{b}\\a$",
        "$\\begin{matrix} a$",
        &long,
        &deep,
        &many,
    ] {
        assert_eq!(line(text), text);
    }
}

#[test]
fn deep_formulas_fit_the_stack() {
    let formulas =
        ["\\sqrt", "\\frac", "{", "{}", "x^", "x_{", "\\left(", "\\text", "\\hat", "\\begin{matrix}", "\\quad", "\\ "];
    for part in formulas {
        for (open, close) in [(part.to_owned(), String::new()), (format!("{part}{{"), "}".to_owned())] {
            let text = format!("${}x{}$", open.repeat(240), close.repeat(240));
            let thread = crate::thread::Thread::spawn("formulas", move || drop(blocks(&text)));
            drop(thread.unwrap());
        }
    }
}

#[test]
fn formulas_of_all_kinds_are_survived() {
    let words = [
        "\\frac",
        "\\sqrt",
        "\\left(",
        "\\right)",
        "\\begin{matrix}",
        "\\end{matrix}",
        "\\begin{cases}",
        "\\end{cases}",
        "{",
        "}",
        "^",
        "_",
        "&",
        "\\\\",
        "'",
        "x",
        "12",
        "\\text{a",
        "\\hline",
        "\\mathbb",
        "\\color{red}",
        "\\limits",
        "\\sum",
        "\\big",
        "\\not",
        "\\operatorname{",
        "\\char\"41",
        "\\kern1em",
        "\\hspace{-1",
        "é",
        "~",
        "#1",
        "[3]",
        "\\middle|",
        "\\tag{1}",
        "\\overset",
        "\\ ",
        "\\é",
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..4_000 {
        let mut formula = String::new();
        for _ in 0..1 + random % 9 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            formula += words[usize::try_from(random >> 33).unwrap() % words.len()];
        }
        drop(blocks(&format!("a ${formula}$ b")));
    }
}

#[test]
fn brackets_behind_backslashes_enclose_formulas() {
    assert_eq!(line(r"so \(x\), \( a*b \) and \(c*d\)."), "so math[x], math[ a*b ] and math[c*d].");
    assert_eq!(line(r"the \(n\)th, \[x_1 = 2\] then"), "the math[n]th, math[x_1 = 2] then");
    assert_eq!(line("**\\(a\\_b\\)** \\(x\\)\\(y+1\\)"), "strong(math[a\\_b]) math[x]math[y+1]");
    for (text, block) in [("\\[\nx = \\frac{1}{2}\n\\]", true), ("\\(x\\)", false)] {
        let node = &blocks(text)[0]["c"][0];
        assert_eq!((&node["t"], &node["block"]), (&json!("math"), &json!(block)), "{text}");
    }
    let quoted = blocks("> \\[\n> x\n> \\]");
    assert!(quoted[0].to_string().contains("\"mi\""), "{quoted:?}");
}

#[test]
fn brackets_in_code_and_of_prose_stay_text() {
    assert_eq!(line(r"`\(x\)` and `\[y\]`"), r"code[\(x\)] and code[\[y\]]");
    assert_eq!(line(r"\(see below\) \[ \] \[link\](u) \\(x\\) \(x \[y\)"), r"(see below) [ ] [link](u) \(x\) (x [y)");
    assert_eq!(line(r"\(a `\)` b and \(x{\) $5"), r"(a code[\)] b and (x{) $5");
    for text in ["```tex\n\\[x = 1\\]\n```", "    \\(x\\)"] {
        let block = &blocks(text)[0];
        assert_eq!(block["t"], "code", "{text}");
        assert!(block["text"].as_str().unwrap().contains('\\'), "{block}");
    }
    assert_eq!(flat(&blocks("a \\(x\n\nb\\)")[0]["c"]), "a (x");
    assert_eq!(line(r"\(\nosuch{x}\)"), r"\(\nosuch{x}\)");
}
