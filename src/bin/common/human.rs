//! Sizes and moments as people say them, and how far long work is.
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line of progress moves.
const EVERY: Duration = Duration::from_millis(200);

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 12 * MONTH;
/// From here on nobody counts.
const LONG: u64 = 37 * YEAR;

/// A line of progress on a terminal's stderr, in indicatif's words; nothing elsewhere. Its length may be set later.
pub fn progress(template: &str) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(progress_style(template));
    bar.enable_steady_tick(EVERY);
    bar
}

/// The style of a line of progress.
pub fn progress_style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A size in powers of 1000: `999 B`, `9.6 GB`, `83 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog10() / 3) as usize;
    // Tenths, rounded; wide enough for the greatest size.
    let unit = 1000_u128.pow(u32::try_from(power).unwrap_or(0));
    let tenths = (u128::from(bytes) * 20 + unit) / (2 * unit);
    let name = UNITS[power - 1];
    match tenths {
        0..100 => format!("{}.{} {name}", tenths / 10, tenths % 10),
        _ => format!("{} {name}", (u128::from(bytes) * 2 + unit) / (2 * unit)),
    }
}

/// A span between a moment and now: `3 seconds from now`, `2 minutes ago`.
pub fn relative(moment_nanos: i64, now_nanos: i64) -> String {
    let gap = Duration::from_nanos(moment_nanos.abs_diff(now_nanos));
    let side = if moment_nanos > now_nanos { "from now" } else { "ago" };
    match span(gap.as_secs()) {
        Some(span) => format!("{span} {side}"),
        None => "now".into(),
    }
}

fn span(seconds: u64) -> Option<String> {
    Some(match seconds {
        0 => return None,
        1 => "1 second".into(),
        2..MINUTE => format!("{seconds} seconds"),
        MINUTE..HOUR => counted(seconds / MINUTE, "minute"),
        HOUR..DAY => counted(seconds / HOUR, "hour"),
        DAY..WEEK => counted(seconds / DAY, "day"),
        WEEK..MONTH => counted(seconds / WEEK, "week"),
        MONTH..YEAR => counted(seconds / MONTH, "month"),
        YEAR..LONG if seconds < 18 * MONTH => "1 year".into(),
        YEAR..LONG => counted((seconds / YEAR).max(2), "year"),
        _ => "a long while".into(),
    })
}

fn counted(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_600_000_000, "9.6 GB"),
            (9_997_676_300, "10 GB"),
            (82_854_982, "83 MB"),
            (999_999, "1000 kB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let at = |seconds: i64| relative(seconds * 1_000_000_000, 0);
        assert_eq!(relative(999_999_999, 0), "now");
        assert_eq!(at(1), "1 second from now");
        assert_eq!(at(-59), "59 seconds ago");
        assert_eq!(at(60), "1 minute from now");
        assert_eq!(at(-7200), "2 hours ago");
        assert_eq!(at(-86_400 * 13), "1 week ago");
        assert_eq!(at(86_400 * 400), "1 year from now");
        assert_eq!(at(86_400 * 600), "2 years from now");
        assert_eq!(relative(i64::MIN, i64::MAX), "a long while ago");
    }
}
