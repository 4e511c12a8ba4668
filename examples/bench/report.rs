//! Figures beside their bounds.
#![allow(dead_code, reason = "each bench uses a part of it")]
use std::fs;
use std::process::Command;
use std::time::Duration;

/// What a figure has to hold.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    None,
}

impl Bound {
    fn text(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
            Self::None => String::new(),
        }
    }

    fn verdict(self, figure: f64) -> &'static str {
        match self {
            Self::AtLeast(bound) if figure >= bound => "met",
            Self::AtMost(bound) if figure <= bound => "met",
            Self::AtLeast(_) | Self::AtMost(_) => "MISSED",
            Self::None => "",
        }
    }
}

/// The figures of one run.
pub struct Report {
    rows: Vec<String>,
}

impl Report {
    pub fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a figure, and shows at once that it is there.
    pub fn row(&mut self, what: &str, bound: Bound, figure: f64, unit: &str) {
        let row = format!("{what:52} {:>10} {figure:>12.1} {unit:6} {}", bound.text(), bound.verdict(figure));
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// Prints machine, commit and all figures.
    pub fn print(&self) {
        println!("{}", machine());
        println!("{:52} {:>10} {:>12}", "", "bound", "measured");
        for row in &self.rows {
            println!("{}", row.trim_end());
        }
    }
}

/// The value below which `percent` of the sorted `values` are.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown CPU");
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let git = |args: &[&str]| {
        Command::new("git").args(args).output().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    let changed =
        if git(&["status", "--porcelain"]).unwrap_or_default().is_empty() { "" } else { " with local changes" };
    format!(
        "machine: {}, {cores} cores, {} RAM\ncommit: {commit}{changed}",
        model.trim_start_matches(['\t', ':', ' ']),
        memory.trim()
    )
}
