//! Output of programs in terminals.

use rs_worker::testing::terminal::Screen;

use crate::mutate::Mutator;
use crate::run::{bounded, fuzz};

/// Beginnings and wholes of what terminals obey.
const WORDS: &[&str] = &[
    "\u{1b}[",
    "\u{1b}]",
    "\u{1b}P",
    "\u{1b}\\",
    "\u{7}",
    "\u{18}",
    "\u{1b}[?1049h",
    "\u{1b}[?1049l",
    "\u{1b}[?2026h",
    "\u{1b}[?2026l",
    "\u{1b}[2J",
    "\u{1b}[3J",
    "\u{1b}[H",
    "\u{1b}c",
    "\u{1b}7",
    "\u{1b}8",
    "\u{1b}D",
    "\u{1b}M",
    "\u{1b}#8",
    "\u{1b}(0",
    "\u{e}",
    "\u{1b}[5;10r",
    "\u{1b}[r",
    "\u{1b}[?6h",
    "\u{1b}[?7l",
    "\u{1b}[4h",
    "\u{1b}[20h",
    "\u{1b}[65535b",
    "\u{1b}[65535S",
    "\u{1b}[65535T",
    "\u{1b}[65535L",
    "\u{1b}[65535M",
    "\u{1b}[65535P",
    "\u{1b}[65535@",
    "\u{1b}[65535X",
    "\u{1b}[65535;65535H",
    "\u{1b}[0;0H",
    "\u{1b}[6n",
    "\u{1b}[c",
    "\u{1b}[>c",
    "\u{1b}[18t",
    "\u{1b}[14t",
    "\u{1b}[22t",
    "\u{1b}[23t",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x\u{7}",
    "\u{1b}]52;c;YQ==\u{7}",
    "\u{1b}]4;1;?\u{7}",
    "\u{1b}]11;?\u{7}",
    "\u{1b}[38;2;1;2;3m",
    "\u{1b}[48;5;300m",
    "\u{1b}[38;5m",
    "\u{1b}[4:3m",
    "\u{1b}[58;2;1;2;3m",
    "\u{1b}[?1000;1006h",
    "\u{1b}H",
    "\u{1b}[g",
    "\u{1b}[3g",
    "\t",
    "\u{1b}[9999I",
    "\u{1b}[9999Z",
    "\u{8}",
    "\r",
    "\n",
    "\u{301}",
    "\u{301}\u{301}\u{301}",
    "\u{6f22}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{fe0f}",
    "\u{200b}",
    "\u{ad}",
    "\u{9b}31m",
    "\u{85}",
    "text",
    ";",
    ":",
    "?",
    "m",
    "h",
    "l",
];
/// Memory of a screen and its scrollback at the sizes that are tried here: 1.3 million cells of 24 bytes, twice while lines
/// are wrapped anew, and some 130 bytes more for each that has combining characters.
const SCREEN_BYTES: usize = 256 * 1024 * 1024;

fn output(mutator: &mut Mutator) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..mutator.below(400) {
        bytes.extend(mutator.pick(WORDS).as_bytes());
        if mutator.once_in(8) {
            bytes.extend("x\u{301}\n".repeat(mutator.below(100)).into_bytes());
        }
    }
    if mutator.once_in(2) {
        mutator.bytes(&mut bytes, WORDS, &[]);
    }
    bytes
}

#[test]
fn any_output_leaves_a_screen_within_its_bounds() {
    fuzz("terminal output", |mutator| {
        bounded(SCREEN_BYTES, || {
            let mut screen = Screen::new(mutator.below(90) as u16, mutator.below(40) as u16);
            for _ in 0..=mutator.below(6) {
                screen.feed(&output(mutator));
                if mutator.once_in(2) {
                    screen.resize(mutator.below(90) as u16, mutator.below(40) as u16);
                }
                let look = screen.look();
                let ((cols, rows), cursor, texts) = (look.size, look.cursor, look.rows);
                assert_eq!(texts.len(), usize::from(rows));
                assert!(cursor.0 < usize::from(rows) && cursor.1 < usize::from(cols), "{cursor:?} in {cols} x {rows}");
                assert!(look.oldest <= 2 && look.answers <= 64 * 1024);
                let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
                assert!(longest <= 9 * usize::from(cols), "a row of {longest} characters in {cols} columns");
            }
        });
    });
}
