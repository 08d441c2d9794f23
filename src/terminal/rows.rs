//! The rows of a screen as runs of text with one style each, which clients draw.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use alacritty_terminal::grid::Row;
use alacritty_terminal::index::Column;
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::{Color, NamedColor};
use serde::{Serialize, Serializer};

/// A color that is not the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tint {
    /// One of the 256 colors of the palette; the theme defines the first 16.
    Palette(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl Serialize for Tint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Palette(index) => serializer.serialize_u8(*index),
            Self::Rgb(red, green, blue) => serializer.collect_str(&format_args!("#{red:02x}{green:02x}{blue:02x}")),
        }
    }
}

/// The style of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Style {
    /// Color of the text.
    #[serde(rename = "f", skip_serializing_if = "Option::is_none")]
    pub(crate) fg: Option<Tint>,
    /// Background color.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    pub(crate) bg: Option<Tint>,
    /// Attribute letters: `b`old, `d`im, `i`talic, `u`nderlined, `r`eversed, `h`idden, `s`truck.
    #[serde(rename = "a", skip_serializing_if = "String::is_empty")]
    pub(crate) attributes: String,
}

/// Adjacent cells with the same style.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct CellRun {
    /// Their text.
    #[serde(rename = "t")]
    pub(crate) text: String,
    /// Their style.
    #[serde(flatten)]
    pub(crate) style: Style,
    /// True for a single character that takes two cells.
    #[serde(rename = "w", skip_serializing_if = "is_false")]
    pub(crate) wide: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Attributes with their letters.
const LETTERS: [(Flags, char); 7] = [
    (Flags::BOLD, 'b'),
    (Flags::DIM, 'd'),
    (Flags::ITALIC, 'i'),
    (Flags::ALL_UNDERLINES, 'u'),
    (Flags::INVERSE, 'r'),
    (Flags::HIDDEN, 'h'),
    (Flags::STRIKEOUT, 's'),
];

fn tint(color: Color) -> Option<Tint> {
    match color {
        Color::Named(named) => match named as usize {
            index @ 0..16 => Some(Tint::Palette(index as u8)),
            _ => match named {
                NamedColor::DimBlack => Some(Tint::Palette(0)),
                NamedColor::DimRed => Some(Tint::Palette(1)),
                NamedColor::DimGreen => Some(Tint::Palette(2)),
                NamedColor::DimYellow => Some(Tint::Palette(3)),
                NamedColor::DimBlue => Some(Tint::Palette(4)),
                NamedColor::DimMagenta => Some(Tint::Palette(5)),
                NamedColor::DimCyan => Some(Tint::Palette(6)),
                NamedColor::DimWhite => Some(Tint::Palette(7)),
                _ => None,
            },
        },
        Color::Indexed(index) => Some(Tint::Palette(index)),
        Color::Spec(rgb) => Some(Tint::Rgb(rgb.r, rgb.g, rgb.b)),
    }
}

fn style(cell: &Cell) -> Style {
    let letters = LETTERS.iter().filter(|(flags, _)| cell.flags.intersects(*flags));
    Style { fg: tint(cell.fg), bg: tint(cell.bg), attributes: letters.map(|(_, letter)| letter).collect() }
}

/// Returns a hash of a row's runs, never 0.
pub(super) fn hash(row: &[CellRun]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish() | 1
}

/// Returns the runs of one row, without blanks of the default style at its end.
pub(super) fn runs(row: &Row<Cell>, columns: usize) -> Vec<CellRun> {
    let mut runs: Vec<CellRun> = Vec::new();
    // The cell's attributes are compared before a style is built: most cells are like the one before.
    let mut last: Option<(Color, Color, Flags)> = None;
    let shown = Flags::BOLD | Flags::DIM | Flags::ITALIC | Flags::ALL_UNDERLINES | Flags::INVERSE | Flags::HIDDEN;
    for column in 0..columns.min(row.len()) {
        let cell = &row[Column(column)];
        if cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
            continue;
        }
        let wide = cell.flags.contains(Flags::WIDE_CHAR);
        let key = (cell.fg, cell.bg, cell.flags & (shown | Flags::STRIKEOUT));
        if wide || last != Some(key) {
            runs.push(CellRun { text: String::new(), style: style(cell), wide });
        }
        last = (!wide).then_some(key);
        if let Some(run) = runs.last_mut() {
            // A tab is stored in the cell where it began.
            run.text.push(if cell.c.is_control() { ' ' } else { cell.c });
            run.text.extend(cell.zerowidth().unwrap_or_default());
        }
    }
    if let Some(end) = runs.last_mut().filter(|run| run.style == Style::default() && !run.wide) {
        end.text.truncate(end.text.trim_end_matches(' ').len());
        if end.text.is_empty() {
            runs.pop();
        }
    }
    runs
}
