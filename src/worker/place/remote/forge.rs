//! The services that keep repositories, and their pages on which a pull request is opened.

use super::address::{Address, Protocol};
use crate::percent;

/// A kind of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forge {
    /// GitHub, also an enterprise's own.
    GitHub,
    /// GitLab, also one's own server.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
}

impl Forge {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::GitHub, Self::GitLab, Self::Gitea, Self::Bitbucket];

    /// Its name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
        }
    }
}

/// Hosts that serve ssh for another host, on a port that firewalls let through.
const STAND_INS: [(&str, &str); 3] =
    [("ssh.github.com", "github.com"), ("altssh.gitlab.com", "gitlab.com"), ("altssh.bitbucket.org", "bitbucket.org")];
/// Parts of hosts' names, with the service that such hosts have.
const NAMES: [(&str, Forge); 6] = [
    ("github", Forge::GitHub),
    ("gitlab", Forge::GitLab),
    ("gitea", Forge::Gitea),
    ("forgejo", Forge::Gitea),
    ("codeberg", Forge::Gitea),
    ("bitbucket", Forge::Bitbucket),
];

/// A repository on a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct ForgeRepository {
    /// `https` or `http`.
    scheme: &'static str,
    /// The host with its port.
    pub(in crate::worker) host: String,
    /// The path of the repository: owner or groups, and name.
    pub(in crate::worker) path: Vec<String>,
}

/// A pull request as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct PullRequestDraft {
    /// The branch with the work.
    pub(in crate::worker) branch: String,
    /// The branch that is to get it.
    pub(in crate::worker) into: String,
    pub(in crate::worker) title: String,
    pub(in crate::worker) body: String,
    /// True if it is not ready for review.
    pub(in crate::worker) is_draft: bool,
}

impl ForgeRepository {
    /// The repository that an address names; `None` where that is not a path of names.
    pub(in crate::worker) fn of(address: &Address) -> Option<Self> {
        let name = address.host.to_ascii_lowercase();
        let host = STAND_INS.iter().find(|(from, _)| *from == name).map_or(name, |(_, to)| (*to).to_owned());
        // The port of ssh is not that of the pages.
        let port = address.port.filter(|_| address.protocol != Protocol::Ssh);
        let path = address.path.trim_matches('/');
        let path: Vec<String> = path.strip_suffix(".git").unwrap_or(path).split('/').map(str::to_owned).collect();
        let is_name = |name: &String| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte) || !byte.is_ascii();
            !matches!(name.as_str(), "" | "." | "..") && !name.starts_with(['-', '~']) && name.bytes().all(is_plain)
        };
        (path.len() >= 2 && path.iter().all(is_name)).then(|| Self {
            scheme: if address.protocol == Protocol::Http { "http" } else { "https" },
            host: port.map_or_else(|| host.clone(), |port| format!("{host}:{port}")),
            path,
        })
    }

    /// The service that its host has, by its name.
    pub(in crate::worker) fn forge(&self) -> Option<Forge> {
        let mut labels = self.host.split([':', '.', '-']);
        labels.find_map(|label| NAMES.iter().find(|(name, _)| *name == label).map(|(_, forge)| *forge))
    }

    /// The owner and the name, where it has no groups in groups.
    pub(in crate::worker) fn owner_and_name(&self) -> Option<(&str, &str)> {
        match self.path.as_slice() {
            [owner, name] => Some((owner, name)),
            _ => None,
        }
    }

    /// The page on which a pull request is opened.
    pub(in crate::worker) fn compare_url(&self, forge: Forge, draft: &PullRequestDraft) -> String {
        let PullRequestDraft { branch, into, title, body, .. } = draft;
        let path: Vec<String> = self.path.iter().map(|part| percent::encode(part)).collect();
        let home = format!("{}://{}/{}", self.scheme, self.host, path.join("/"));
        let encoded = |name: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!("&{name}={}", percent::encode(value)) }
        };
        let (from, onto) = (encoded_branch(branch), encoded_branch(into));
        match forge {
            Forge::GitHub => {
                let words = encoded("title", title) + &encoded("body", body);
                format!("{home}/compare/{onto}...{from}?expand=1{words}")
            }
            Forge::GitLab => {
                let title = if draft.is_draft { format!("Draft: {title}") } else { title.clone() };
                let field = |name: &str, value: &str| encoded(&format!("merge_request%5B{name}%5D"), value);
                let fields = field("source_branch", branch)
                    + &field("target_branch", into)
                    + &field("title", &title)
                    + &field("description", body);
                format!("{home}/-/merge_requests/new?{}", fields.trim_start_matches('&'))
            }
            Forge::Gitea => format!("{home}/compare/{onto}...{from}"),
            Forge::Bitbucket => {
                let fields = encoded("source", branch) + &encoded("dest", into);
                format!("{home}/pull-requests/new?{}&t=1", fields.trim_start_matches('&'))
            }
        }
    }
}

/// A branch in a path: its slashes stay.
fn encoded_branch(branch: &str) -> String {
    branch.split('/').map(percent::encode).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> PullRequestDraft {
        let text = |text: &str| text.to_owned();
        PullRequestDraft {
            branch: text("fix/50% ü#1"),
            into: text("main"),
            title: String::new(),
            body: text(""),
            is_draft: false,
        }
    }

    fn place(address: &str) -> Option<ForgeRepository> {
        ForgeRepository::of(&Address::parse(address).unwrap())
    }

    #[test]
    fn addresses_of_all_forms_lead_to_their_services_pages() {
        let branch = "fix/50%25%20%C3%BC%231";
        let value = "fix%2F50%25%20%C3%BC%231";
        for (address, url) in [
            ("git@github.com:ada/steps.git", format!("https://github.com/ada/steps/compare/main...{branch}?expand=1")),
            (
                "ssh://git@ssh.github.com:443/ada/steps.git",
                format!("https://github.com/ada/steps/compare/main...{branch}?expand=1"),
            ),
            (
                "https://GitHub.example.org:8443/ada/steps/",
                format!("https://github.example.org:8443/ada/steps/compare/main...{branch}?expand=1"),
            ),
            (
                "https://ada@gitlab.com/a/b/c.git",
                format!(
                    "https://gitlab.com/a/b/c/-/merge_requests/new?merge_request%5Bsource_branch%5D={value}&merge_request%5Btarget_branch%5D=main"
                ),
            ),
            (
                "ssh://git@gitlab.example.org:2222/a/b/c/d.git",
                format!(
                    "https://gitlab.example.org/a/b/c/d/-/merge_requests/new?merge_request%5Bsource_branch%5D={value}&merge_request%5Btarget_branch%5D=main"
                ),
            ),
            ("https://codeberg.org/ada/steps.git", format!("https://codeberg.org/ada/steps/compare/main...{branch}")),
            ("http://gitea.local:3000/ada/steps", format!("http://gitea.local:3000/ada/steps/compare/main...{branch}")),
            (
                "git@bitbucket.org:ada/steps.git",
                format!("https://bitbucket.org/ada/steps/pull-requests/new?source={value}&dest=main&t=1"),
            ),
        ] {
            let place = place(address).unwrap();
            assert_eq!(place.compare_url(place.forge().unwrap(), &draft()), url, "{address}");
        }
    }

    #[test]
    fn titles_and_texts_are_passed_on_encoded() {
        let draft = PullRequestDraft { title: "A & b".to_owned(), body: "1\n?".to_owned(), is_draft: true, ..draft() };
        let github = place("git@github.com:a/b").unwrap().compare_url(Forge::GitHub, &draft);
        assert!(github.ends_with("?expand=1&title=A%20%26%20b&body=1%0A%3F"), "{github}");
        let gitlab = place("git@gitlab.com:a/b").unwrap().compare_url(Forge::GitLab, &draft);
        assert!(
            gitlab.ends_with("%5Btitle%5D=Draft%3A%20A%20%26%20b&merge_request%5Bdescription%5D=1%0A%3F"),
            "{gitlab}"
        );
    }

    #[test]
    fn unknown_hosts_and_odd_paths_have_no_service() {
        assert_eq!(place("git@git.example.org:a/b").unwrap().forge(), None);
        assert_eq!(place("git@notgithub.example.org:a/b").unwrap().forge(), None);
        for address in
            ["git@github.com:b", "git@github.com:../b", "https://github.com/a/b?c", "git@host:~a/b", "host:a//b"]
        {
            assert_eq!(place(address), None, "{address}");
        }
    }
}
