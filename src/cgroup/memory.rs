//! The memory that the machine and the groups of this process leave to it.

use std::fs;
use std::path::Path;

use super::own::{ControlGroup, OwnGroups};
use crate::procfs::{self, Memory};

/// The names of a version's files.
struct Names {
    /// Files with limits.
    limits: &'static [&'static str],
    usage: &'static str,
    /// The line of `memory.stat` with the bytes of files that are not in use, which the kernel takes back first.
    reclaimable: &'static str,
}

const UNIFIED: Names =
    Names { limits: &["memory.max", "memory.high"], usage: "memory.current", reclaimable: "inactive_file" };
const VERSION_1: Names =
    Names { limits: &["memory.limit_in_bytes"], usage: "memory.usage_in_bytes", reclaimable: "total_inactive_file" };

/// Returns the memory of the machine, or that of the tightest group around this process. `None` where `/proc` cannot be
/// read.
pub(crate) fn available() -> Option<Memory> {
    let machine = procfs::machine_memory()?;
    let own = OwnGroups::read();
    let unified = own.unified.as_ref().map(|group| (group, &UNIFIED));
    let memory = own.memory.as_ref().map(|group| (group, &VERSION_1));
    Some(unified.into_iter().chain(memory).fold(machine, |least, (group, names)| within(group, names, least)))
}

/// Returns `least`, reduced to what a group and those around it leave.
fn within(group: &ControlGroup, names: &Names, least: Memory) -> Memory {
    group.ancestors().filter_map(|folder| of(folder, names)).fold(least, |least, found| Memory {
        total: least.total.min(found.total),
        available: least.available.min(found.available),
    })
}

/// Returns the memory of one group; `None` when it has no limit.
fn of(folder: &Path, names: &Names) -> Option<Memory> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    // A limit that is absent is `max` in version 2, and a number beyond all memory in version 1.
    let total = names.limits.iter().filter_map(|name| number(name)).min()?;
    let usage = number(names.usage)?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| {
        let (name, bytes) = line.split_once(' ')?;
        (name == names.reclaimable).then(|| bytes.trim().parse::<u64>().ok())?
    });
    let used = usage.saturating_sub(reclaimable.unwrap_or_default());
    Some(Memory { total, available: total.saturating_sub(used) })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::scratch::Scratch;

    fn put(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_group_counts() {
        let scratch = Scratch::new();
        let root: PathBuf = scratch.path().to_owned();
        let inner = root.join("outer/inner");
        let stat = "anon 5\ninactive_file 100\nactive_file 7\n";
        put(&inner, &[("memory.max", "max\n"), ("memory.high", "900\n"), ("memory.current", "300\n")]);
        put(&root.join("outer"), &[("memory.max", "1000\n"), ("memory.current", "950\n"), ("memory.stat", stat)]);
        let group = ControlGroup { root, folder: inner };
        let machine = Memory { total: 5000, available: 4000 };
        assert_eq!(within(&group, &UNIFIED, machine), Memory { total: 900, available: 150 });
        let machine = Memory { total: 5000, available: 20 };
        assert_eq!(within(&group, &UNIFIED, machine).available, 20);
        assert_eq!(within(&group, &VERSION_1, machine), machine, "files of the other version do not count");
    }

    #[test]
    fn usage_beyond_the_limit_leaves_nothing() {
        let scratch = Scratch::new();
        let folder = scratch.path();
        put(folder, &[("memory.limit_in_bytes", "10\n"), ("memory.usage_in_bytes", "30\n")]);
        assert_eq!(of(folder, &VERSION_1), Some(Memory { total: 10, available: 0 }));
    }

    #[test]
    fn this_machine_has_memory() {
        let found = available().unwrap();
        assert!(found.available > 0 && found.available <= found.total, "{found:?}");
    }
}
