//! The options of `serve`, which override settings.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::config::OptionValue;

/// The options, each with its setting.
const OPTIONS: [(&str, &str); 2] = [("--host", "HOST"), ("--port", "PORT")];

/// Parses the arguments of `serve`.
///
/// # Errors
/// Fails when one is unknown or lacks its value.
pub(crate) fn serve_options(args: impl Iterator<Item = OsString>) -> Result<Vec<OptionValue>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut given = Vec::new();
    while let Some(arg) = parser.next()? {
        let Long(name) = arg else { return Err(arg.unexpected()) };
        let known = OPTIONS.into_iter().find(|(option, _)| option.strip_prefix("--") == Some(name));
        let Some((option, setting)) = known else { return Err(arg.unexpected()) };
        // An empty value would leave the setting at its default unnoticed.
        let value = parser.value()?.string()?;
        if value.trim().is_empty() {
            return Err(lexopt::Error::MissingValue { option: Some(option.to_owned()) });
        }
        given.push(OptionValue { option, setting, value: value.trim().to_owned() });
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Vec<(&'static str, String)>, String> {
        let args = words.split_whitespace().map(OsString::from);
        let given = serve_options(args).map_err(|error| error.to_string())?;
        Ok(given.into_iter().map(|one| (one.setting, one.value)).collect())
    }

    #[test]
    fn options_of_serve_name_their_settings() {
        let both = vec![("HOST", "0.0.0.0".to_owned()), ("PORT", "8080".to_owned())];
        assert_eq!(read("--host 0.0.0.0 --port=8080"), Ok(both));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn unknown_options_of_serve_are_refused_with_their_name() {
        for (words, named) in [("--prot 1", "--prot"), ("now", "now"), ("--port", "--port"), ("--port=", "--port")] {
            let error = read(words).unwrap_err();
            assert!(error.contains(named), "{words}: {error}");
        }
    }
}
