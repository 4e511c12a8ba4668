//! `pin add --from-file`: many pins, some thousands in each request.
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};

use futures::StreamExt;
use indicatif::ProgressBar;
use ipfs_cluster::client::Client;
use ipfs_cluster::model::PinOptions;
use ipfs_cluster::wire::rest::{self, PinOutcome};

use super::super::common::Run;
use super::super::common::human::progress;
use super::super::exit::Failure;
use super::super::output::Output;

/// Bytes of one request: enough to keep a peer busy, little enough to hold and to send again.
const REQUEST_BYTES: usize = 4 << 20;
/// Longest line in bytes; peers refuse it from 128 KiB on.
const LINE_MAX: u64 = 256 << 10;

/// Pins every line of a file, `-` is stdin: a CID takes `options`, a JSON document is sent as it is.
pub async fn add(client: &Client, run: &Run, options: &PinOptions, output: &mut Output) -> Result<(), Failure> {
    let mut lines = Lines::open(run.values.text("from-file"), options)?;
    let (mut pinned, mut failed) = (0, 0);
    loop {
        let mut part = lines.part()?;
        if part.numbers.is_empty() {
            break;
        }
        let mut outcomes = client.pin_lines(std::mem::take(&mut part.body).into()).await?;
        let mut answered = 0;
        while let Some(outcome) = outcomes.next().await {
            let outcome = part.numbered(outcome?);
            answered += 1;
            lines.progress.inc(1);
            *(if outcome.ok { &mut pinned } else { &mut failed }) += 1;
            if output.is_json() || !outcome.ok {
                output.show(&outcome)?;
            }
        }
        if answered != part.numbers.len() {
            return Err(Failure::Unanswered(part.numbers.get(answered).copied().unwrap_or(lines.number)));
        }
    }
    lines.progress.finish_and_clear();
    if !output.is_json() {
        output.show(&format!("pinned: {pinned}, failed: {failed}"))?;
    }
    if failed == 0 { Ok(()) } else { Err(Failure::Some) }
}

/// The lines of a file.
struct Lines<'a> {
    input: Box<dyn BufRead>,
    options: &'a PinOptions,
    /// Of the line that was read last.
    number: u64,
    progress: ProgressBar,
}

/// The lines of one request.
#[derive(Default)]
struct Part {
    body: Vec<u8>,
    /// Which lines of the file they are.
    numbers: Vec<u64>,
}

impl Part {
    /// The outcome with the line's number in the file.
    fn numbered(&self, outcome: PinOutcome) -> PinOutcome {
        let at = usize::try_from(outcome.line).unwrap_or(0).wrapping_sub(1);
        PinOutcome { line: self.numbers.get(at).copied().unwrap_or(0), ..outcome }
    }
}

impl<'a> Lines<'a> {
    fn open(name: &str, options: &'a PinOptions) -> Result<Self, Failure> {
        let input: Box<dyn BufRead> = match name {
            "-" => Box::new(stdin().lock()),
            name => {
                let file = File::open(name).map_err(|error| Failure::argument("opening the file", &error))?;
                Box::new(BufReader::new(file))
            }
        };
        Ok(Self { input, options, number: 0, progress: progress("{spinner} {pos} pins, {per_sec}") })
    }

    /// The lines of the next request; none at the end.
    fn part(&mut self) -> Result<Part, Failure> {
        let mut part = Part::default();
        while part.body.len() < REQUEST_BYTES {
            let mut line = Vec::new();
            if (&mut self.input).take(LINE_MAX).read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
                break;
            }
            self.number += 1;
            if line.len() as u64 == LINE_MAX {
                let text = format!("line {} is longer than {LINE_MAX} bytes", self.number);
                return Err(Failure::argument("reading the file", &text));
            }
            let line = line.trim_ascii();
            match line.first() {
                None => continue,
                Some(b'{') => part.body.extend_from_slice(line),
                Some(_) => {
                    part.body.extend(document(&String::from_utf8_lossy(line), self.options).map_err(unreadable)?);
                }
            }
            part.body.push(b'\n');
            part.numbers.push(self.number);
        }
        Ok(part)
    }
}

fn unreadable(error: impl Into<io::Error>) -> Failure {
    Failure::argument("reading the file", &error.into())
}

/// The request for one CID.
fn document(cid: &str, options: &PinOptions) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&rest::Pin::wished(cid, options))
}
