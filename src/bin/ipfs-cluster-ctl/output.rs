//! Prints what was asked for, as text or as JSON.
mod text;

use std::io::{self, BufWriter, Stdout, Write};

use futures::StreamExt;
use ipfs_cluster::client::{Documents, Error};
use ipfs_cluster::wire::{json, rest};
use serde::Serialize;

use super::exit::Failure;
pub use text::Text;

/// Documents that are written before the output is flushed, when they come at once.
const BATCH: usize = 1024;

/// The standard output.
pub struct Output {
    json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    /// Writes JSON, or text.
    pub fn new(json: bool) -> Self {
        Self { json, out: BufWriter::new(io::stdout()) }
    }

    /// Whether it writes JSON.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints one document.
    pub fn show<T: Text + Serialize>(&mut self, document: &T) -> Result<(), Failure> {
        if self.json {
            return self.json(document);
        }
        self.out.write_all(document.text().as_bytes())?;
        Ok(())
    }

    /// Prints a text that is the same whatever the encoding.
    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        Ok(())
    }

    /// Prints a list: an array in JSON.
    pub fn show_list<T: Text + Serialize>(&mut self, documents: &[T]) -> Result<(), Failure> {
        if self.json {
            return self.json(&documents);
        }
        documents.iter().try_for_each(|document| self.show(document))
    }

    /// Prints documents as they come, one after another.
    pub async fn show_all<T>(&mut self, documents: Documents<T>) -> Result<(), Failure>
    where
        T: Text + Serialize,
    {
        let mut batches = documents.ready_chunks(BATCH);
        while let Some(batch) = batches.next().await {
            for document in batch {
                self.show(&document.map_err(broken)?)?;
            }
            self.flush()?;
        }
        Ok(())
    }

    /// Hands over what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Tells why a command failed; returns the exit code.
    pub fn tell(&mut self, failure: &Failure) -> u8 {
        match failure {
            Failure::Api(error) => self.api_error(error),
            Failure::Unwell | Failure::Some => {
                let _ = self.flush();
            }
            // The reader left on purpose.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => (),
            Failure::Argument { .. }
            | Failure::Wait(_)
            | Failure::Output(_)
            | Failure::Unanswered(_)
            | Failure::Undone(_)
            | Failure::Unavailable(_) => {
                eprintln!("{failure}");
            }
        }
        failure.code()
    }

    fn api_error(&mut self, error: &Error) {
        let error = rest::Error { code: error.code, message: error.message.clone(), details: error.details.clone() };
        // There is nobody left to tell when this does not get through.
        let _ = self.show(&error).map(|()| self.flush());
    }

    fn json<T: Serialize>(&mut self, document: &T) -> Result<(), Failure> {
        self.out.write_all(pretty(document)?.as_bytes())?;
        Ok(())
    }
}

/// What ends a stream: the server's error, or one that is nobody's answer and told as Go tells it.
fn broken(error: Error) -> Failure {
    if error.is_local() { Failure::argument("", &error) } else { error.into() }
}

/// JSON with four spaces a level, and a line end.
pub fn pretty<T: Serialize>(document: &T) -> io::Result<String> {
    let mut bytes = Vec::new();
    json::write_pretty(&mut bytes, document)?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(io::Error::other)
}
