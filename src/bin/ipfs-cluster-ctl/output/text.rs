//! Documents as text.
mod rebalance;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipfs_cluster::model::{TrackerStatus, UnixMillis};
use ipfs_cluster::task;
use ipfs_cluster::wire::rest::{
    self, Alert, Bandwidth, Drain, Error, Event, GlobalPinInfo, GlobalRepoGc, Metric, PeerInfo, Pin, PinCounts,
    PinInfoShort, PinOutcome, ReplicationHealth, Time, Version,
};

use crate::common::human::{relative, size};

/// Something that is printed for people.
pub trait Text {
    /// The text, with the end of its last line.
    fn text(&self) -> String;
}

impl Text for Error {
    fn text(&self) -> String {
        let mut text = format!("An error occurred:\n  Code: {}\n  Message: {}\n", self.code, self.message);
        for (peer, why) in &self.details {
            let _ = writeln!(text, "    > {peer}: {why}");
        }
        text
    }
}

impl Text for Version {
    fn text(&self) -> String {
        format!("{}\n", self.version)
    }
}

impl Text for String {
    fn text(&self) -> String {
        format!("{self}\n")
    }
}

impl Text for PeerInfo {
    fn text(&self) -> String {
        if !self.error.is_empty() {
            return format!("{} | ERROR: {}\n", self.id, self.error);
        }
        let seen = self.cluster_peers.as_ref().map_or(0, Vec::len);
        let others = i64::try_from(seen).unwrap_or(i64::MAX) - 1;
        let mut text = format!("{} | {} | Sees {others} other peers\n  > Addresses:\n", self.id, self.peername);
        text += &items(self.addresses.as_deref());
        let ipfs = &self.ipfs;
        if ipfs.error.is_empty() {
            let _ = writeln!(text, "  > IPFS: {}", ipfs.id.as_deref().unwrap_or_default());
            text += &items(ipfs.addresses.as_deref());
        } else {
            let _ = writeln!(text, "  > IPFS ERROR: {}", ipfs.error);
        }
        text
    }
}

fn items(list: Option<&[String]>) -> String {
    sorted(list).iter().flat_map(|item| ["    - ", item, "\n"]).collect()
}

fn sorted(list: Option<&[String]>) -> Vec<&str> {
    let mut list: Vec<_> = list.unwrap_or_default().iter().map(String::as_str).collect();
    list.sort_unstable();
    list
}

impl Text for Option<Bandwidth> {
    fn text(&self) -> String {
        let line = |(protocol, traffic): (&String, &rest::Traffic)| {
            let [read, written] =
                [traffic.total_in, traffic.total_out].map(|n| size(u64::try_from(n).unwrap_or_default()));
            let (rate_in, rate_out) = (traffic.rate_in, traffic.rate_out);
            format!(
                "{protocol:>25}: In: {read:>7}. Out: {written:>7}. RateIn: {rate_in:.2}B/s. RateOut: {rate_out:.2}B/s\n"
            )
        };
        self.iter().flatten().map(line).collect()
    }
}

impl Text for GlobalRepoGc {
    fn text(&self) -> String {
        let mut text = String::new();
        for (peer, gc) in &self.peer_map {
            let name = if gc.peername.is_empty() { peer } else { &gc.peername };
            let error = if gc.error.is_empty() { String::new() } else { format!(" | ERROR: {}", gc.error) };
            let _ = writeln!(text, "{name:15}{error}\n  > CIDs:");
            for key in gc.keys.iter().flatten() {
                let _ = match &key.key {
                    Some(cid) if key.error.is_empty() => writeln!(text, "    - {cid}"),
                    _ => writeln!(text, "   - ERROR: {}", key.error),
                };
            }
        }
        text
    }
}

/// The levels of a log.
impl Text for BTreeMap<String, String> {
    fn text(&self) -> String {
        let line = |(component, level): (&String, &String)| format!("{component:<12} {level}\n");
        self.iter().map(line).collect()
    }
}

impl Text for PinCounts {
    fn text(&self) -> String {
        let mut text = format!("pins in the pinset: {}\nof them on {}: {}\n", self.pins, self.peer, self.allocated);
        for (status, count) in self.status.iter().filter(|(_, count)| **count > 0) {
            let _ = writeln!(text, "  {status}: {count}");
        }
        if !self.held_up.is_empty() {
            let _ = writeln!(text, "what is queued waits: {}", self.held_up);
        }
        text
    }
}

impl Text for Drain {
    fn text(&self) -> String {
        let Self { peer, pins_left, pins_kept, pins_everywhere, .. } = self;
        let mut text = match (self.leaving, self.is_done()) {
            (true, true) => format!("{peer} is drained: it can be taken away\n"),
            (true, false) => format!("{peer} is being drained\n"),
            (false, _) => format!("{peer} is not being drained\n"),
        };
        let _ = writeln!(text, "  pins that are allocated to it: {pins_left}");
        let _ = writeln!(text, "  pins that it keeps until others have them: {pins_kept}");
        if *pins_everywhere > 0 {
            let _ = writeln!(text, "  pins that are on every peer and do not move: {pins_everywhere}");
        }
        text
    }
}

impl Text for Event {
    fn text(&self) -> String {
        let words = [&self.at.to_string(), &self.id, &self.event, &self.cid, &self.status, &self.error];
        let line: Vec<&str> = words.into_iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        // An error of a daemon may have several lines.
        format!("{}\n", line.join(" | ").replace('\n', " "))
    }
}

impl Text for PinOutcome {
    fn text(&self) -> String {
        let what = if self.ok { "pinned" } else { &self.error };
        match self.cid.as_str() {
            "" => format!("line {}: {what}\n", self.line),
            cid => format!("line {}: {cid}: {what}\n", self.line),
        }
    }
}

impl Text for Pin {
    fn text(&self) -> String {
        let (min, max) = (self.replication_factor_min, self.replication_factor_max);
        let factor = if min == -1 { "-1".into() } else { format!("{min}--{max}") };
        let allocations = if min == -1 { "everywhere".into() } else { sorted(self.allocations.as_deref()).join(" ") };
        let (suffix, depth) = match self.max_depth {
            0 => ("-DIRECT", "Direct".into()),
            -1 => ("", "Recursive".into()),
            levels => ("", format!("Recursive-{levels}")),
        };
        let metadata = if self.metadata.as_ref().is_some_and(|map| !map.is_empty()) { "yes" } else { "no" };
        format!(
            "{} | {} | {}{suffix} | Repl. Factor: {factor} | Allocations: [{allocations}] | {depth} | \
             Metadata: {metadata} | Exp: {} | Added: {}\n",
            self.cid.as_deref().unwrap_or_default(),
            self.name,
            self.kind.to_uppercase(),
            moment(self.expire_at, "∞"),
            moment(self.timestamp, "unknown"),
        )
    }
}

fn moment(time: Time, none: &str) -> String {
    if time.is_zero() { none.into() } else { time.plain() }
}

impl Text for GlobalPinInfo {
    fn text(&self) -> String {
        let cid = self.cid.as_deref().unwrap_or_default();
        let name = if self.name.is_empty() { String::new() } else { format!(" | {}", self.name) };
        let peers: String = self.peer_map.iter().map(|(peer, short)| line(peer, short)).collect();
        format!("{cid}{name}:\n{peers}")
    }
}

fn line(peer: &str, short: &PinInfoShort) -> String {
    let name = if short.peername.is_empty() { peer } else { &short.peername };
    let error = if short.error.is_empty() { String::new() } else { format!(": {}", short.error) };
    format!(
        "    > {name:20} : {}{error} | {} | Attempts: {} | Priority: {}{}\n",
        short.status.to_uppercase(),
        short.timestamp,
        short.attempt_count,
        short.priority_pin,
        what_next(short),
    )
}

/// What Go's program does not tell: how far a transfer is, and when a failure is tried again.
fn what_next(short: &PinInfoShort) -> String {
    let fetched = (short.tracker_status() == TrackerStatus::Pinning && short.bytes > 0).then(|| size(short.bytes));
    let next = Some(short.next_try).filter(|time| !time.is_zero()).map(|time| time.to_string());
    let told = [("Fetched", fetched), ("Next try", next)];
    told.into_iter().filter_map(|(name, value)| Some(format!(" | {name}: {}", value?))).collect()
}

impl Text for Metric {
    fn text(&self) -> String {
        metric(self, task::wall().nanos())
    }
}

fn metric(metric: &Metric, now_nanos: i64) -> String {
    let bytes = u64::try_from(metric.weight).ok().filter(|weight| metric.name == "freespace" && *weight > 0);
    let value = bytes.map_or_else(|| metric.value.clone(), size);
    let expires = relative(metric.expire, now_nanos);
    format!("{} | {}: {value} | Expires in: {expires}\n", metric.peer, metric.name)
}

impl Text for Alert {
    fn text(&self) -> String {
        let now = task::wall().nanos();
        let triggered = self.triggered_at.millis().map_or(0, UnixMillis::nanos);
        format!(
            "{}: {}. Expired at: {}. Triggered at: {}\n",
            self.metric.peer,
            self.metric.name,
            relative(self.metric.expire, now),
            relative(triggered, now),
        )
    }
}

impl Text for ReplicationHealth {
    fn text(&self) -> String {
        let now = task::wall().nanos();
        let ago = |time: Time| time.millis().map_or_else(|| "never".into(), |at| relative(at.nanos(), now));
        let state = match (self.joining, self.in_sync) {
            (true, _) => "joining the state of another peer",
            (false, true) => "in sync with all that it hears",
            (false, false) => "others have what it has not, or have not what it has",
        };
        let lag =
            self.behind_since.millis().map_or_else(String::new, |at| format!(" since {}", relative(at.nanos(), now)));
        let mut text = format!("{} pins | {state}{lag}\n", self.pins);
        let _ = writeln!(text, "  > Clock: {} | Digest: {}", short(&self.clock), short(&self.digest));
        let _ = writeln!(
            text,
            "  > Waiting changes: {} | Of untrusted writers: {} | Forks: {}",
            self.pending, self.staged, self.forks
        );
        let _ = writeln!(text, "  > Log: {} | Snapshot: {}", size(self.log_bytes), ago(self.snapshot_at));
        let _ = writeln!(text, "  > Last contact with a trusted peer: {}", ago(self.trusted_at));
        if let Some(clock) = self.clocks.iter().max_by_key(|clock| clock.ahead_millis.unsigned_abs()) {
            let (seconds, tenths) =
                (clock.ahead_millis.unsigned_abs() / 1_000, clock.ahead_millis.unsigned_abs() / 100 % 10);
            let way = if clock.ahead_millis < 0 { "behind" } else { "ahead" };
            let _ = writeln!(text, "  > Clock that differs most: {seconds}.{tenths}s {way} ({})", clock.peer);
        }
        for notice in &self.notices {
            let _ = writeln!(text, "  ! {}: {}", ago(notice.at), notice.text);
        }
        text
    }
}

/// The beginning of a hash: enough to compare by eye.
fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}

#[cfg(test)]
mod tests;
