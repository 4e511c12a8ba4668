//! Log lines as the Go programs write them: time, level, facility, place, message, apart by tabs; or as JSON.
use std::fmt;

use ipfs_cluster::observe::facility;
use ipfs_cluster::task;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Parts apart by tabs.
    Plain,
    /// The same, with levels in colours.
    Coloured,
    /// An object each, with the keys of Go's log.
    Json,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, facility) = (*metadata.level(), facility(metadata.target()));
        let (file, line) = (place(metadata.file().unwrap_or_default()), metadata.line().unwrap_or_default());
        let place = format!("{file}:{line}");
        match self {
            Self::Json => writeln!(out, "{}", fields.json(level, facility, &place)),
            Self::Plain => writeln!(out, "{}\t{level}\t{facility}\t{place}\t{}", now(), fields.text()),
            Self::Coloured => {
                let colour = colour(level);
                writeln!(out, "{}\t{colour}{level}\u{1b}[0m\t{facility}\t{place}\t{}", now(), fields.text())
            }
        }
    }
}

/// The last two steps of a path.
fn place(file: &str) -> &str {
    let cut = file.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &file[cut..]
}

fn now() -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(task::wall().nanos()));
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[34m",
        Level::DEBUG | Level::TRACE => "\u{1b}[35m",
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, String)>,
}

impl Fields {
    fn text(&self) -> String {
        if self.rest.is_empty() {
            return self.message.clone();
        }
        let pairs: Vec<String> = self.rest.iter().map(|(name, value)| format!("\"{name}\": {value:?}")).collect();
        format!("{}\t{{{}}}", self.message, pairs.join(", "))
    }

    fn json(self, level: Level, facility: &str, place: &str) -> Value {
        let mut line = json!({
            "level": level.as_str().to_lowercase(),
            "ts": now(),
            "logger": facility,
            "caller": place,
            "msg": self.message,
        });
        for (name, value) in self.rest {
            line[name] = value.into();
        }
        line
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.into();
        } else {
            self.rest.push((field.name(), value.into()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.rest.push((field.name(), format!("{value:?}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_short_place() {
        assert_eq!(place("src/bin/ipfs-cluster-service/daemon.rs"), "ipfs-cluster-service/daemon.rs");
        assert_eq!(place("main.rs"), "main.rs");
    }

    #[test]
    fn fields_follow_the_message_and_nothing_in_them_ends_a_line() {
        let fields = Fields { message: "a pin".into(), rest: vec![("cid", "Qm\nx".into()), ("n", "1".into())] };
        assert_eq!(fields.text(), "a pin\t{\"cid\": \"Qm\\nx\", \"n\": \"1\"}");
        let line = fields.json(Level::WARN, "crdt", "a/b.rs:1");
        assert_eq!((&line["level"], &line["logger"], &line["msg"]), (&"warn".into(), &"crdt".into(), &"a pin".into()));
        assert_eq!((&line["cid"], &line["caller"]), (&"Qm\nx".into(), &"a/b.rs:1".into()));
        assert_eq!(line.to_string().lines().count(), 1);
    }
}
