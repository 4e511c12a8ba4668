//! How far long work is, on a terminal.
use indicatif::ProgressBar;

use crate::common::human;

/// A line on a terminal's stderr; nothing elsewhere.
pub struct Progress {
    bar: ProgressBar,
    unit: &'static str,
}

impl Progress {
    /// Counts pins; shows nothing when `is_shown` is off.
    pub fn of_pins(is_shown: bool) -> Self {
        Self::new("pins", is_shown)
    }

    /// Counts the parts of a snapshot.
    pub fn of_parts() -> Self {
        Self::new("parts", true)
    }

    fn new(unit: &'static str, is_shown: bool) -> Self {
        let template = format!("{{spinner}} {{pos}} {unit}, {{per_sec}}");
        let bar = if is_shown { human::progress(&template) } else { ProgressBar::hidden() };
        Self { bar, unit }
    }

    /// Sets how many there are, when that is known.
    pub fn of(&self, total: u64) {
        if self.bar.length().is_none() {
            self.bar.set_length(total);
            let unit = self.unit;
            let template = format!("{{spinner}} {{wide_bar}} {{pos}} of {{len}} {unit}, {{per_sec}}, {{eta}} left");
            self.bar.set_style(human::progress_style(&template));
        }
    }

    /// Sets how many are done.
    pub fn at(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
