//! Placeholders in the texts of schedules.

use super::timetable::Timetable;
use crate::clock::Micros;

/// The names of placeholders, in double braces.
pub(crate) const PLACEHOLDERS: [&str; 3] = ["date", "time", "last_result"];
/// Placeholders that one text may have.
const COUNT_MAX: usize = 32;
/// The text for the last result where there is none.
const NO_RESULT: &str = "(no result yet)";

/// The values of placeholders.
pub(crate) struct TextValues<'v> {
    /// The slot.
    pub slot: Micros,
    /// The result of the last run that has one.
    pub last_result: Option<&'v str>,
}

/// Refuses placeholders that do not exist.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut count = 0;
    walk(text, &mut |part| match part {
        TextPart::Text(_) => Ok(()),
        TextPart::Name(name) if PLACEHOLDERS.contains(&name) => {
            count += 1;
            if count > COUNT_MAX { Err(format!("text must have at most {COUNT_MAX} placeholders")) } else { Ok(()) }
        }
        TextPart::Name(name) => {
            let known = PLACEHOLDERS.map(|known| format!("{{{{{known}}}}}")).join(", ");
            Err(format!("text has an unknown placeholder {{{{{name}}}}}; there are {known}"))
        }
    })
}

/// Puts the values in. A value is not searched for placeholders: it may be an agent's text.
pub(crate) fn fill(text: &str, timetable: &Timetable, values: &TextValues<'_>) -> String {
    let clock = timetable.local(values.slot);
    let mut filled = String::with_capacity(text.len());
    let put = walk(text, &mut |part| {
        match part {
            TextPart::Text(text) => filled.push_str(text),
            TextPart::Name("date") => filled.extend(clock.map(|clock| clock.date().to_string())),
            TextPart::Name("time") => {
                filled.extend(clock.map(|clock| format!("{:02}:{:02}", clock.hour(), clock.minute())))
            }
            TextPart::Name(_) => filled.push_str(values.last_result.unwrap_or(NO_RESULT)),
        }
        Ok(())
    });
    debug_assert!(put.is_ok(), "filling does not fail");
    filled
}

enum TextPart<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Visits the parts of a text in order. Braces around anything but a name are text.
fn walk<'t>(text: &'t str, visit: &mut dyn FnMut(TextPart<'t>) -> Result<(), String>) -> Result<(), String> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        visit(TextPart::Text(before))?;
        let is_name =
            |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        match after.split_once("}}").map(|(name, after)| (name.trim(), after)).filter(|(name, _)| is_name(name)) {
            Some((name, after)) => {
                visit(TextPart::Name(name))?;
                rest = after;
            }
            None => {
                visit(TextPart::Text("{{"))?;
                rest = after;
            }
        }
    }
    visit(TextPart::Text(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedules::When;

    #[test]
    fn placeholders_are_filled_once_in_the_zone() {
        let when = When::Cron { cron: "30 0 * * *".to_owned(), time_zone: "Europe/Berlin".to_owned() };
        let table = Timetable::new(&when).unwrap();
        let slot = Micros::parse_iso("2026-06-30T22:30:00Z").unwrap();
        let filled = |text: &str, last_result| fill(text, &table, &TextValues { slot, last_result });
        assert_eq!(filled("{{date}} {{ time }}", None), "2026-07-01 00:30");
        assert_eq!(filled("a {{last_result}} b", Some("{{date}} {{x}}")), "a {{date}} {{x}} b");
        assert_eq!(filled("{{last_result}}", None), NO_RESULT);
        assert_eq!(filled("{{ {{a b}} {{date", None), "{{ {{a b}} {{date");
        assert!(check("{{a b}} {{").is_ok());
        assert!(check("{{dates}}").unwrap_err().contains("{{date}}"));
        assert!(check(&"{{date}}".repeat(COUNT_MAX + 1)).is_err());
    }
}
