//! What a check found.
use serde::Serialize;

/// The width of a terminal.
const COLUMNS: usize = 80;
/// Where the words of a finding begin.
const INDENT: usize = 9;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works, and somebody should look.
    Warning,
    /// Does not work.
    Fault,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check that found it.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with the thing named.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Finding {
    pub(super) fn fault(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, severity: Severity::Fault, what: what.into(), fix: fix.into() }
    }

    pub(super) fn warning(check: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, severity: Severity::Warning, what: what.into(), fix: fix.into() }
    }
}

/// All checks that were made, and what they found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether no fault was found.
    pub ok: bool,
    /// The checks, in order.
    pub checks: Vec<&'static str>,
    /// The findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn of(checks: &[&'static str], mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| checks.iter().position(|check| *check == finding.check));
        let ok = findings.iter().all(|finding| finding.severity < Severity::Fault);
        Self { ok, checks: checks.to_vec(), findings }
    }

    /// A line a check that is well, and two a finding.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |check: &&str| {
            let found: Vec<String> =
                self.findings.iter().filter(|finding| finding.check == *check).map(lines).collect();
            if found.is_empty() { format!("ok       {check}\n") } else { found.concat() }
        };
        self.checks.iter().map(line).collect()
    }
}

fn lines(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Warning => "warning",
        Severity::Fault => "FAULT",
    };
    let what = wrapped(&format!("{severity:8} {}:", finding.check), &finding.what, INDENT);
    what + &wrapped(&format!("{:INDENT$}->", ""), &finding.fix, INDENT + 3)
}

/// Words behind a beginning, on lines that fit a terminal; a word that is longer stays whole.
fn wrapped(first: &str, text: &str, indent: usize) -> String {
    let (mut wrapped, mut column) = (first.to_owned(), first.chars().count());
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column + 1 + width > COLUMNS && column > indent {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_a_terminal_and_long_words_stay_whole() {
        let word = "x".repeat(100);
        let fix = format!("set {word} {}", "to something else that is better ".repeat(5));
        let text = lines(&Finding::fault("clock", "this clock and that of another differ ".repeat(4), fix.clone()));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS || line.trim() == word), "{text}");
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(words(&text).ends_with(&words(&fix)), "{text}");
        assert!(text.starts_with("FAULT    clock: this clock"), "{text}");
    }
}
