//! Whether two answers are equal but for ids, times, ports, and the order that nobody promises.
use serde_json::Value;

use crate::exchange::Answer;
use crate::names::{Names, documents};

/// Bytes beyond which Go sends a body in chunks, whatever it is.
const GO_BUFFER: usize = 2048;

/// Keys that our answers have beside Go's: clients pass over what they do not know.
const OURS: [&str; 3] = ["bytes", "next_try", "details"];

/// Returns how `found` differs from `recorded`; rows about a CID of `apart` are left out on both sides.
pub fn differences(recorded: &Answer, found: &Answer, there: &Names, here: &Names, apart: &[String]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, wanted: String, got: String| {
        if wanted != got {
            differences.push(format!("{what}\n    recorded {wanted}\n    answered {got}"));
        }
    };
    differ("status", recorded.status.clone(), found.status.clone());
    let is_long = recorded.body.len() > GO_BUFFER;
    differ("headers", fields(&recorded.headers, is_long), fields(&found.headers, is_long));
    differ("trailers", fields(&recorded.trailers, false), fields(&found.trailers, false));
    let (wanted, got) = (there.mask(&recorded.text()), here.mask(&found.text()));
    let mut recorded_documents = documents(&wanted);
    // After a bad option Go goes on, and writes what came of it behind the error: that is not copied.
    if let (true, Some(documents)) = (recorded.status.starts_with("400"), &mut recorded_documents) {
        documents.truncate(1);
    }
    match (recorded_documents, documents(&got)) {
        (Some(wanted), Some(got)) => {
            let (wanted, got) = (rows(wanted, apart), rows(got, apart));
            differ("number of documents", keys(&wanted), keys(&got));
            for (wanted, got) in wanted.iter().zip(&got) {
                values("body", wanted, got, &mut differ);
            }
        }
        _ => differ("body", wanted, got),
    }
    differences
}

/// Headers in one order; lengths and framing are left out where bodies are long, because the buffer decides them in Go.
fn fields(fields: &[(String, String)], is_long: bool) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in fields {
        match name.to_ascii_lowercase().as_str() {
            "date" => {}
            "content-length" | "transfer-encoding" if is_long => {}
            // The body is compared itself; ids and times are not equally long everywhere.
            "content-length" if value != "0" => lines.push("content-length: <length>".into()),
            name => lines.push(format!("{name}: {value}")),
        }
    }
    lines.sort();
    lines.join(" | ")
}

/// The documents in one order, without those apart.
fn rows(mut rows: Vec<Value>, apart: &[String]) -> Vec<Value> {
    rows.retain(|row| !row["cid"].as_str().is_some_and(|cid| apart.iter().any(|apart| apart == cid)));
    rows.sort_by_key(key);
    rows
}

/// What a row is about; alerts and metrics of one peer have names.
fn key(row: &Value) -> String {
    let id = ["cid", "id", "peer"].iter().find_map(|field| row[field].as_str());
    let name = row["name"].as_str().unwrap_or_default();
    id.map_or_else(|| row.to_string(), |id| format!("{id} {name}"))
}

fn keys(rows: &[Value]) -> String {
    let keys: Vec<_> = rows.iter().map(|row| ["cid", "id"].iter().find_map(|field| row[field].as_str())).collect();
    format!("{} {keys:?}", rows.len())
}

fn values(path: &str, wanted: &Value, got: &Value, differ: &mut impl FnMut(&str, String, String)) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            let names = |map: &serde_json::Map<String, Value>| {
                let mut names: Vec<_> = map.keys().cloned().collect();
                // Maps of peers are in the order of IDs, which here are names.
                if names.iter().any(|name| name.starts_with('<')) {
                    names.sort();
                }
                names
            };
            let ours = |name: &String| OURS.contains(&name.as_str()) && !a.contains_key(name);
            let found: Vec<_> = names(b).into_iter().filter(|name| !ours(name)).collect();
            differ(&format!("{path}: keys"), format!("{:?}", names(a)), format!("{found:?}"));
            for (name, value) in a {
                if let Some(other) = b.get(name) {
                    values(&format!("{path}.{name}"), value, other, differ);
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let (mut a, mut b) = (sorted(a), sorted(b));
            // Which blocks a daemon collects depends on what it had before: the first stands for all.
            if last(path) == "keys" {
                let count = a.len().min(b.len()).min(1);
                a.truncate(count);
                b.truncate(count);
            }
            differ(&format!("{path}: length"), a.len().to_string(), b.len().to_string());
            for (at, (a, b)) in a.iter().zip(&b).enumerate() {
                values(&format!("{path}[{at}]"), a, b, differ);
            }
        }
        (Value::String(a), Value::String(b)) if last(path) == "key" => differ(path, kind_of_cid(a), kind_of_cid(b)),
        (Value::String(a), Value::String(b)) => {
            if !(is_time(a) && is_time(b) && (!is_whole(a) || is_whole(b))) {
                differ(path, without_port(a), without_port(b));
            }
        }
        _ if is_measured(path) => differ(path, kind(wanted), kind(got)),
        _ => differ(path, wanted.to_string(), got.to_string()),
    }
}

/// Lists of names and addresses are in the order of IDs; those of rows too.
fn sorted(list: &[Value]) -> Vec<Value> {
    let mut list = list.to_vec();
    list.sort_by_key(|value| value.as_str().map_or_else(|| key(value), without_port));
    list
}

/// Numbers that differ from one moment to the next.
fn is_measured(path: &str) -> bool {
    matches!(last(path), "expire" | "received_at" | "weight" | "total_in" | "total_out" | "rate_in" | "rate_out")
}

/// The name at the end of a path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

fn kind(value: &Value) -> String {
    if value.is_number() { "a number".into() } else { value.to_string() }
}

/// Blocks are told as raw ones, by whatever CID they were added.
fn kind_of_cid(cid: &str) -> String {
    cid.chars().take(4).collect()
}

/// A moment of a recording or of now; those that requests name are in years far away.
fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.starts_with("202") && text.as_bytes()[10] == b'T' && text.ends_with('Z')
}

/// Moments that were in the pinset have whole seconds.
fn is_whole(text: &str) -> bool {
    !text.contains('.')
}

/// Ports, free space and versions are each run's own.
fn without_port(text: &str) -> String {
    if text == "1.1.6" || text == env!("CARGO_PKG_VERSION") {
        return "<version>".into();
    }
    if text.len() > 7 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return "<number>".into();
    }
    let mut out = String::new();
    for (at, part) in text.split("/tcp/").enumerate() {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        if at > 0 {
            out += "/tcp/<port>";
            out += rest;
        } else {
            out += part;
        }
    }
    ports_of_go(&out)
}

/// `127.0.0.1:34001` in Go's errors.
fn ports_of_go(text: &str) -> String {
    let mark = "127.0.0.1:";
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out += mark;
        out += "<port>";
        out += part.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    out
}
