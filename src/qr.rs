//! Pictures of short texts that telephones read. A leaf module.

use qrcode::{Color, EcLevel, QrCode};

/// Longest text, in bytes: a longer one makes a picture that is hard to read.
pub(crate) const TEXT_BYTES_MAX: usize = 600;
/// Light modules around the picture, which readers need.
const MARGIN: usize = 4;

/// The rows of a picture with its margin, true for dark; `None` where the text is too long.
pub(crate) fn rows(text: &str) -> Option<Vec<Vec<bool>>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let side = width + 2 * MARGIN;
    let mut rows = vec![vec![false; side]; side];
    for (at, color) in code.to_colors().into_iter().enumerate() {
        rows[at / width + MARGIN][at % width + MARGIN] = color == Color::Dark;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_a_light_margin_and_three_finders() {
        let rows = rows("https://box.example/#code=1a2b3c4d.0123456789abcdef").unwrap();
        let side = rows.len();
        assert!(rows.iter().all(|row| row.len() == side));
        for at in 0..MARGIN {
            assert!(rows[at].iter().chain(&rows[side - 1 - at]).all(|dark| !dark));
            assert!(rows.iter().all(|row| !row[at] && !row[side - 1 - at]));
        }
        for (y, x) in [(MARGIN, MARGIN), (MARGIN, side - MARGIN - 7), (side - MARGIN - 7, MARGIN)] {
            assert!(rows[y][x..x + 7].iter().all(|dark| *dark), "{y} {x}");
        }
    }

    #[test]
    fn long_texts_have_no_picture() {
        assert!(rows(&"a".repeat(TEXT_BYTES_MAX)).is_some());
        assert!(rows(&"a".repeat(TEXT_BYTES_MAX + 1)).is_none());
    }
}
