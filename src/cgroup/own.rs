//! The control groups of this process, and their folders.

use std::fs;
use std::path::{Path, PathBuf};

/// A group of this process in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlGroup {
    /// The folder at which the hierarchy is mounted.
    pub(super) root: PathBuf,
    /// The group's folder.
    pub(super) folder: PathBuf,
}

impl ControlGroup {
    /// Returns the folders of the group and of those around it, up to the root of the hierarchy.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = &Path> {
        self.folder.ancestors().take_while(|folder| folder.starts_with(&self.root))
    }
}

/// The two hierarchies that can limit memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnGroups {
    /// The group of version 2.
    pub(super) unified: Option<ControlGroup>,
    /// The group of version 1 with the memory controller.
    pub(super) memory: Option<ControlGroup>,
}

impl OwnGroups {
    /// Reads the groups of this process; empty where there are none.
    pub(super) fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    /// Parses `/proc/self/mountinfo` and `/proc/self/cgroup`.
    fn parse(mounts: &str, groups: &str) -> Self {
        let path_in = |is_wanted: &dyn Fn(&str, &str) -> bool| {
            groups.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (number, controllers) = (fields.next()?, fields.next()?);
                fields.next().filter(|_| is_wanted(number, controllers))
            })
        };
        let unified = path_in(&|number, controllers| number == "0" && controllers.is_empty());
        let memory = path_in(&|_, controllers| controllers.split(',').any(|name| name == "memory"));
        Self {
            unified: unified.and_then(|path| mounted(mounts, path, |kind, _| kind == "cgroup2")),
            memory: memory.and_then(|path| {
                mounted(mounts, path, |kind, options| {
                    kind == "cgroup" && options.split(',').any(|option| option == "memory")
                })
            }),
        }
    }
}

/// Returns the group at `path` of the hierarchy whose mount `is_it` accepts, by file system and options.
fn mounted(mounts: &str, path: &str, is_it: impl Fn(&str, &str) -> bool) -> Option<ControlGroup> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (shown, root) = (before.next()?, PathBuf::from(before.next()?));
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        if !is_it(kind, options) || path.split('/').any(|part| part == "..") {
            return None;
        }
        let inside = Path::new(path).strip_prefix(shown).ok()?;
        Some(ControlGroup { folder: root.join(inside), root })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
41 31 0:38 /box /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn folders_of_groups_follow_from_the_mounts() {
        let own = OwnGroups::parse(MOUNTS, "4:memory:/a\n3:cpu,cpuacct:/\n0::/box/b/c\n");
        let group = |root: &str, folder: &str| Some(ControlGroup { root: root.into(), folder: folder.into() });
        assert_eq!(own.memory, group("/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/a"));
        assert_eq!(own.unified, group("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/b/c"));
        let unified = own.unified.unwrap();
        let above: Vec<_> = unified.ancestors().map(|folder| folder.to_str().unwrap()).collect();
        let expected = ["/sys/fs/cgroup/unified/b/c", "/sys/fs/cgroup/unified/b", "/sys/fs/cgroup/unified"];
        assert_eq!(above, expected);
    }

    #[test]
    fn groups_outside_of_the_mount_have_no_folder() {
        for groups in ["0::/other\n", "0::/box/../x\n", "0:", "", "x"] {
            assert_eq!(OwnGroups::parse(MOUNTS, groups), OwnGroups::default(), "{groups}");
        }
    }
}
