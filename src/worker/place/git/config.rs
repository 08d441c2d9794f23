//! A repository's configuration, read once by this parser and never by git, and the few of its settings that are passed
//! on to git: those that define how its files are stored. Settings that could run a program, reach another path or
//! include another file are not among them.

use std::collections::BTreeMap;

/// Boolean settings.
const BOOLEANS: [&str; 6] = [
    "core.filemode",
    "core.symlinks",
    "core.precomposeunicode",
    "core.sparsecheckout",
    "core.sparsecheckoutcone",
    "index.sparse",
];
/// Settings with their allowed values.
const WORDS: [(&str, &[&str]); 5] = [
    ("core.autocrlf", &["true", "false", "input"]),
    ("core.eol", &["lf", "crlf", "native"]),
    ("core.safecrlf", &["true", "false", "warn"]),
    ("extensions.objectformat", &["sha1", "sha256"]),
    ("extensions.refstorage", &["files", "reftable"]),
];
/// Extensions that do not affect what is read here, or that are handled elsewhere.
const KNOWN_EXTENSIONS: [&str; 7] = [
    "extensions.noop",
    "extensions.noop-v1",
    "extensions.preciousobjects",
    "extensions.partialclone",
    "extensions.worktreeconfig",
    "extensions.relativeworktrees",
    "extensions.submodulepathconfig",
];
/// Settings of every run of git by the server, whatever a repository or a user has set. With other values of the first three
/// git would not see some changes, whose files a deletion would then lose.
const OWN: [(&str, &str); 20] = [
    ("core.ignorecase", "false"),
    ("core.trustctime", "true"),
    ("core.checkstat", "default"),
    ("core.bare", "false"),
    ("core.fsmonitor", "false"),
    ("core.untrackedcache", "false"),
    ("core.hookspath", "/dev/null"),
    ("core.quotepath", "false"),
    ("core.commitgraph", "false"),
    ("core.logallrefupdates", "false"),
    ("core.bigfilethreshold", "16m"),
    ("core.packedgitwindowsize", "32m"),
    ("core.packedgitlimit", "256m"),
    ("core.deltabasecachelimit", "64m"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
    ("protocol.allow", "never"),
    ("pack.threads", "1"),
    ("pack.windowmemory", "64m"),
];

/// Settings by their name in lower case, the last value of each; a name without a value is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GitSettings(BTreeMap<String, Option<String>>);

impl GitSettings {
    /// Parses a configuration file. Files that it includes are left out.
    ///
    /// # Errors
    /// The number of the first line that is not understood.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, usize> {
        Ok(Self(Self::list(bytes)?.into_iter().collect()))
    }

    /// Works like [`Self::parse`], with all values of repeated settings, in their order.
    ///
    /// # Errors
    /// As there.
    pub(super) fn list(bytes: &[u8]) -> Result<Vec<(String, Option<String>)>, usize> {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let mut parser = ConfigParser { text: text.trim_start_matches('\u{feff}').chars().peekable(), line: 1 };
        let mut settings = Vec::new();
        parser.file(&mut settings).ok_or(parser.line)?;
        Ok(settings)
    }

    /// Parses the output of `git config --list -z`.
    pub(super) fn of_list(list: &str) -> Self {
        let one = |entry: &str| match entry.split_once('\n') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (entry.to_owned(), None),
        };
        Self(list.split('\0').filter(|entry| !entry.is_empty()).map(one).collect())
    }

    /// Adds settings that take precedence.
    pub(super) fn merge(&mut self, over: Self) {
        self.0.extend(over.0);
    }

    /// Returns the value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }

    /// Returns a boolean setting; `None` when it is neither true nor false, or not set.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let Some(value) = self.0.get(name)? else { return Some(true) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" | "" => Some(false),
            _ => None,
        }
    }

    /// Returns the settings that are passed on to git.
    pub(super) fn allowed(&self) -> Self {
        let mut allowed = BTreeMap::new();
        for name in BOOLEANS {
            if let Some(flag) = self.flag(name) {
                allowed.insert(name.to_owned(), Some(flag.to_string()));
            }
        }
        for (name, words) in WORDS {
            let word = match self.0.get(name) {
                Some(None) => Some("true".to_owned()),
                Some(Some(word)) => Some(word.to_ascii_lowercase()),
                None => None,
            };
            if let Some(word) = word.filter(|word| words.contains(&word.as_str())) {
                allowed.insert(name.to_owned(), Some(word));
            }
        }
        Self(allowed)
    }

    /// Returns an extension of the repository's format that is not known here: its files may have another meaning then.
    pub(super) fn unknown_extension(&self) -> Option<&str> {
        let format = self.get("core.repositoryformatversion").unwrap_or("0");
        let known = |name: &str| {
            KNOWN_EXTENSIONS.contains(&name)
                || (name == "extensions.objectformat" || name == "extensions.refstorage")
                    && self.allowed().get(name).is_some()
        };
        let extensions = self.0.keys().filter(|name| name.starts_with("extensions."));
        if format.trim() == "0" {
            // Extensions that git honors only in a later format change nothing.
            return None;
        }
        extensions.map(String::as_str).find(|name| !known(name))
    }

    /// Formats the settings as the configuration file of a Git directory of the server.
    pub(super) fn file(&self) -> String {
        let extended = self.0.keys().any(|name| name.starts_with("extensions."));
        let mut text = format!("[core]\n\trepositoryformatversion = {}\n", u8::from(extended));
        let own = OWN.iter().map(|(name, value)| (*name, *value));
        let passed_on = self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        for (name, value) in passed_on.chain(own) {
            if let Some((section, key)) = name.split_once('.') {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                text.push_str(&format!("[{section}]\n\t{key} = \"{value}\"\n"));
            }
        }
        text
    }

    /// Formats the settings that select the files of a working folder, as a file.
    pub(super) fn sparse(&self) -> String {
        let names = ["core.sparsecheckout", "core.sparsecheckoutcone", "index.sparse"];
        let lines = names.iter().filter_map(|name| {
            let (section, key) = name.split_once('.')?;
            Some(format!("[{section}]\n\t{key} = {}\n", self.flag(name)?))
        });
        lines.collect()
    }

    /// Sets a path, which must be on one line.
    pub(super) fn set_path(&mut self, name: &str, path: &str) {
        if !path.contains(['\n', '\0']) {
            self.0.insert(name.to_owned(), Some(path.to_owned()));
        }
    }
}

/// A parser of git's configuration files. A method returns `None` when it cannot parse the rest.
struct ConfigParser<'t> {
    text: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
}

impl ConfigParser<'_> {
    fn next(&mut self) -> Option<char> {
        let char = self.text.next();
        self.line += usize::from(char == Some('\n'));
        char
    }

    fn file(&mut self, settings: &mut Vec<(String, Option<String>)>) -> Option<()> {
        let mut section = String::new();
        while let Some(&char) = self.text.peek() {
            match char {
                '#' | ';' => self.skip_line(),
                '[' => section = self.section()?,
                char if char.is_whitespace() => {
                    self.next();
                }
                char if char.is_ascii_alphabetic() && !section.is_empty() => {
                    let (name, value) = self.setting()?;
                    settings.push((format!("{section}.{name}"), value));
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|char| char != '\n') {}
    }

    /// `[name]`, `[name "part"]`, or the old `[name.part]`.
    fn section(&mut self) -> Option<String> {
        self.next();
        let mut name = String::new();
        loop {
            match self.next()? {
                ']' => return (!name.is_empty()).then_some(name),
                ' ' | '\t' => break,
                char if char.is_ascii_alphanumeric() || "-.".contains(char) => name.push(char.to_ascii_lowercase()),
                _ => return None,
            }
        }
        while matches!(self.text.peek(), Some(' ' | '\t')) {
            self.next();
        }
        if self.next()? != '"' {
            return None;
        }
        name.push('.');
        loop {
            match self.next()? {
                '"' => break,
                '\n' => return None,
                '\\' => name.push(self.next().filter(|char| *char != '\n')?),
                char => name.push(char),
            }
        }
        (self.next()? == ']').then_some(name)
    }

    fn setting(&mut self) -> Option<(String, Option<String>)> {
        let mut name = String::new();
        while let Some(char) = self.text.next_if(|char| char.is_ascii_alphanumeric() || *char == '-') {
            name.push(char.to_ascii_lowercase());
        }
        while matches!(self.text.peek(), Some(' ' | '\t')) {
            self.next();
        }
        match self.next() {
            None | Some('\n') => Some((name, None)),
            Some('=') => Some((name, Some(self.value()?))),
            Some(_) => None,
        }
    }

    fn value(&mut self) -> Option<String> {
        let (mut value, mut quoted) = (String::new(), false);
        // The end of the value if only white space follows.
        let mut end = 0;
        loop {
            match self.next() {
                None | Some('\n') if quoted => return None,
                None | Some('\n') => break,
                Some('#' | ';') if !quoted => {
                    self.skip_line();
                    break;
                }
                Some('"') => quoted = !quoted,
                Some('\\') => {
                    match self.next()? {
                        '\n' => continue,
                        't' => value.push('\t'),
                        'b' => value.push('\u{8}'),
                        'n' => value.push('\n'),
                        char @ ('\\' | '"') => value.push(char),
                        _ => return None,
                    }
                    end = value.len();
                }
                Some(char) if char.is_whitespace() && !quoted => {
                    if !value.is_empty() {
                        value.push(char);
                    }
                }
                Some(char) => {
                    value.push(char);
                    end = value.len();
                }
            }
        }
        value.truncate(end);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const SAMPLES: [&str; 8] = [
        "[core]\n\tbare = false\n filemode\n[remote \"or\\\"i\\\\gin\"]\n\turl = a b  c ; comment\n",
        "\u{feff}[a.B]\nkey-1 = \"quo ted \" tail \\\n  more # no\n[A \"B\"] k = v\n",
        "[core]\r\n\tautocrlf = true\r\n\teol=\"l\\tf\"\r\n# end",
        "; only\n\n   # comments",
        "[x]k=\"a;b#c\"\n k = \n k2 = \\\"\n",
        "[core]\nbare = \"open\n",
        "[core\nbare = 1\n",
        "[x]\n1key = 1\n",
    ];

    #[test]
    fn parser_reads_what_git_reads() {
        for sample in SAMPLES {
            let scratch = crate::scratch::Scratch::new();
            let file = scratch.path().join("config");
            std::fs::write(&file, sample).unwrap();
            let git = Command::new("git").args(["config", "--list", "-z", "--file"]).arg(&file).output().unwrap();
            let parsed = GitSettings::parse(sample.as_bytes());
            if git.status.success() {
                let list = String::from_utf8(git.stdout).unwrap();
                assert_eq!(parsed, Ok(GitSettings::of_list(&list)), "{sample:?}");
            } else {
                assert!(parsed.is_err(), "git refuses {sample:?}, and we read {parsed:?}");
            }
        }
    }

    #[test]
    fn only_harmless_settings_with_valid_values_are_passed_on() {
        let text = "[core]\nautocrlf = Input\nfilemode = no\nfsmonitor = evil\nsshCommand = evil\neol = \"lf\\n[x]\"\n\
                    symlinks\nignorecase = perhaps\nworktree = /\n[include]\npath = /evil\n[filter \"x\"]\nclean = evil\n\
                    [extensions]\nobjectFormat = sha256\n";
        let allowed = GitSettings::parse(text.as_bytes()).unwrap().allowed();
        let names: Vec<&str> = allowed.0.keys().map(String::as_str).collect();
        assert_eq!(names, ["core.autocrlf", "core.filemode", "core.symlinks", "extensions.objectformat"]);
        assert!(!allowed.file().contains("evil"));
        let read_back = GitSettings::parse(allowed.file().as_bytes()).unwrap();
        assert_eq!(read_back.get("core.autocrlf"), Some("input"));
        assert_eq!(read_back.get("core.repositoryformatversion"), Some("1"));
    }

    #[test]
    fn an_unknown_format_is_noticed() {
        let of = |text: &str| GitSettings::parse(text.as_bytes()).unwrap().unknown_extension().map(str::to_owned);
        assert_eq!(of("[core]\nrepositoryformatversion=1\n[extensions]\nnew=1\n"), Some("extensions.new".to_owned()));
        assert_eq!(of("[core]\nrepositoryformatversion=1\n[extensions]\nworktreeConfig\nrefStorage=reftable\n"), None);
        assert_eq!(of("[extensions]\nnew=1\n"), None);
    }
}
