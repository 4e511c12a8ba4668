//! How much memory this process may use, and how much of it the pages of its databases get.
use std::path::{Path, PathBuf};

/// Memory for pages where nothing allows more: enough for the upper levels of the trees of 1M pins.
const CACHE_MIN: u64 = 40 << 20;

/// Memory for pages where nothing forbids more: the upper levels of 100M pins' trees.
const CACHE_MAX: u64 = 512 << 20;

/// Of the memory that the process may use, pages get one part in so many: with 24 GiB and 1M pins a peer then stays below
/// 200 MB, also after its first walk over all of them (m: 165 MB with 64 MiB, 271 MB with 96 MiB); the rest is for IPFS.
const CACHE_SHARE: u64 = 512;

/// Of the memory for pages, the pinset gets all but one part in so many: the ledger is read in order or by single rows.
const LEDGER_SHARE: u64 = 5;

/// Memory for the pages of a peer's databases, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// Of the pinset.
    pub pinset: usize,
    /// Of the ledger.
    pub ledger: usize,
}

impl Default for Caches {
    fn default() -> Self {
        Self::of(CACHE_MIN)
    }
}

impl Caches {
    /// Shares out `total` bytes.
    #[must_use]
    pub fn of(total: u64) -> Self {
        let ledger = total / LEDGER_SHARE;
        let bytes = |bytes| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self { pinset: bytes(total - ledger), ledger: bytes(ledger) }
    }

    /// What fits a process that may use `limit` bytes; the least when nobody knows.
    #[must_use]
    pub fn within(limit: Option<u64>) -> Self {
        Self::of((limit.unwrap_or_default() / CACHE_SHARE).clamp(CACHE_MIN, CACHE_MAX))
    }
}

/// Returns the bytes of memory that this process may use: the smallest limit of its control groups, of version 2 or 1,
/// and at most what the machine has; [`None`] where the system does not say.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    limit(|path| std::fs::read_to_string(path).ok())
}

fn limit(read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let text = |path: &str| read(Path::new(path)).unwrap_or_default();
    let (groups, mounts) = (text("/proc/self/cgroup"), text("/proc/self/mountinfo"));
    let groups = mounts.lines().filter_map(|line| Mount::parse(line)?.files(&groups)).flatten();
    // Without a limit the files say "max", or more than any machine has.
    let limits = groups.filter_map(|file| read(&file)?.trim().parse().ok());
    limits.chain(total(&text("/proc/meminfo"))).filter(|limit| *limit > 0).min()
}

/// The machine's memory as `/proc/meminfo` has it.
fn total(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Where the control groups that limit memory are.
struct Mount<'a> {
    /// The group that is at the mount's top.
    root: &'a str,
    at: &'a str,
    /// The controller's name in `/proc/self/cgroup`: version 2 has one for all, without a name.
    controller: &'static str,
    file: &'static str,
}

impl<'a> Mount<'a> {
    /// Reads a line of `/proc/self/mountinfo`; [`None`] for everything else that is mounted.
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, at) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        match (kind.next()?, kind.nth(1)?) {
            ("cgroup2", _) => Some(Self { root, at, controller: "", file: "memory.max" }),
            ("cgroup", options) if options.split(',').any(|option| option == "memory") => {
                Some(Self { root, at, controller: "memory", file: "memory.limit_in_bytes" })
            }
            _ => None,
        }
    }

    /// The files with the limits of the process's group and of all above it.
    fn files(&self, groups: &str) -> Option<Vec<PathBuf>> {
        let own = groups.lines().find_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|controller| controller == self.controller).then_some(group)
        })?;
        // A group that is not below the mount is another namespace's: what is seen of it is the top.
        let below = own.strip_prefix(self.root).unwrap_or_default().trim_start_matches('/');
        let top = Path::new(self.at);
        let own = if below.split('/').any(|part| part == "..") { top.to_owned() } else { top.join(below) };
        Some(
            own.ancestors().take_while(|folder| folder.starts_with(top)).map(|folder| folder.join(self.file)).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:         1 kB\n");
    const V2: (&str, &str) =
        ("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");

    fn limit_of(files: &[(&str, &str)]) -> Option<u64> {
        limit(|path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let group = ("/proc/self/cgroup", "0::/a.slice/b.service\n");
        let all = [
            V2,
            MEMINFO,
            group,
            ("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/a.slice/memory.max", "8388608\n"),
        ];
        assert_eq!(limit_of(&all), Some(8 * MIB));
        assert_eq!(limit_of(&all[..4]), Some(16 * MIB), "no limit but the machine");
        assert_eq!(limit_of(&[V2, group]), None);
        assert_eq!(limit_of(&[]), None);
    }

    #[test]
    fn a_container_sees_its_group_at_the_top() {
        let top = ("/sys/fs/cgroup/memory.max", "4194304\n");
        assert_eq!(limit_of(&[V2, ("/proc/self/cgroup", "0::/\n"), top]), Some(4 * MIB));
        assert_eq!(limit_of(&[V2, ("/proc/self/cgroup", "0::/../../other\n"), top]), Some(4 * MIB));
    }

    #[test]
    fn version_1_is_read_too() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n";
        let files = [
            ("/proc/self/mountinfo", mounts),
            ("/proc/self/cgroup", "5:cpu:/docker/x\n4:memory:/docker/x/y\n0::/\n"),
            ("/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n"),
            MEMINFO,
        ];
        assert_eq!(limit_of(&files), Some(2 * MIB));
    }

    #[test]
    fn rubbish_is_no_limit() {
        let rubbish = [("/proc/self/mountinfo", "- \n a - b\n1 2 3 - cgroup2"), ("/proc/self/cgroup", ":\n::\n0:\n")];
        assert_eq!(limit_of(&rubbish), None);
        assert_eq!(limit_of(&[("/proc/meminfo", "MemTotal: x kB")]), None);
    }

    #[test]
    fn caches_grow_with_the_limit_and_within_bounds() {
        let total = |limit| {
            let caches = Caches::within(limit);
            (caches.pinset + caches.ledger) as u64
        };
        assert_eq!(Caches::default(), Caches { pinset: 32 << 20, ledger: 8 << 20 });
        assert_eq!((total(None), total(Some(1)), total(Some(512 * MIB))), (CACHE_MIN, CACHE_MIN, CACHE_MIN));
        assert_eq!(total(Some(65_536 * MIB)), 128 * MIB);
        assert_eq!(total(Some(u64::MAX)), CACHE_MAX);
        assert_eq!(Caches::of(100), Caches { pinset: 80, ledger: 20 });
    }
}
