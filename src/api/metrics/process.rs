//! The process, in the names that Go's client library gives it; what the system does not tell is left out.
use std::fmt;
use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use crate::observe::Page;

/// Looks at this process.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page::new(encoder);
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let micros = (usage.user_time() + usage.system_time()).num_microseconds();
            let help = "Total user and system CPU time spent in seconds.";
            page.counter("process_cpu_seconds_total", help, as_f64(micros) / 1e6)?;
        }
        for (key, name, help) in [
            ("VmRSS:", "process_resident_memory_bytes", "Resident memory size in bytes."),
            ("VmSize:", "process_virtual_memory_bytes", "Virtual memory size in bytes."),
        ] {
            if let Some(bytes) = memory(key) {
                page.gauge(name, help, bytes)?;
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            page.gauge("process_open_fds", "Number of open file descriptors.", count(open.count()))?;
        }
        if let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            let limit = as_f64(i64::try_from(limit).unwrap_or(i64::MAX));
            page.gauge("process_max_fds", "Maximum number of open file descriptors.", limit)?;
        }
        match started() {
            Some(seconds) => {
                let help = "Start time of the process since unix epoch in seconds.";
                page.gauge("process_start_time_seconds", help, seconds)
            }
            None => Ok(()),
        }
    }
}

/// Bytes that a line of `/proc/self/status` tells.
fn memory(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// The 22nd field of `stat` counts ticks, 100 a second, since the machine started, whose moment another file tells.
fn started() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + ticks / 100.0)
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
const fn as_f64(n: i64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::observe::page;
    use crate::task;

    fn value(page: &str, name: &str) -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
    }

    #[test]
    fn this_process_is_told_in_gos_names() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let page = page(&registry);
        let now = as_f64(task::wall().0) / 1e3;
        // A day: the tests of a loaded machine take their time.
        assert!((now - 86_400.0..now + 5.0).contains(&value(&page, "process_start_time_seconds")), "{page}");
        assert!(value(&page, "process_virtual_memory_bytes") >= value(&page, "process_resident_memory_bytes"));
        assert!(value(&page, "process_resident_memory_bytes") > 1e6);
        assert!(value(&page, "process_max_fds") >= value(&page, "process_open_fds"));
        assert!(value(&page, "process_cpu_seconds_total") >= 0.0);
    }
}
