//! Many connections that ask at once.
#![allow(dead_code, reason = "each bench uses a part of it")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::Error;
use super::common::process::now;
use super::http::Connection;

/// What a run measured.
pub struct Load {
    pins: usize,
    took: Duration,
    /// How long each answer took, shortest first.
    pub answers: Vec<Duration>,
}

impl Load {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub fn rate(&self) -> f64 {
        self.pins as f64 / self.took.as_secs_f64()
    }
}

/// Pins `pins` CIDs of `series` over `connections` connections.
///
/// # Errors
/// The first answer that is not a success.
pub async fn run(port: u16, connections: usize, pins: usize, series: &str) -> Result<Load, Error> {
    again(port, connections, pins, &format!("{series} {connections}"), "bench").await
}

/// As [`run`], for pins that may be there already, under `name`.
///
/// # Errors
/// As [`run`].
pub async fn again(port: u16, connections: usize, pins: usize, series: &str, name: &str) -> Result<Load, Error> {
    let (series, name) = (series.to_owned(), name.to_owned());
    each(port, connections, pins, move |n| ("POST", format!("/pins/{}?name={name}", cid(&series, n)))).await
}

/// Asks `requests` times over `connections` connections for what `ask` says of each number: method and path.
///
/// # Errors
/// The first answer that is not a success.
pub async fn each(
    port: u16,
    connections: usize,
    requests: usize,
    ask: impl Fn(usize) -> (&'static str, String) + Send + Sync + 'static,
) -> Result<Load, Error> {
    let (next, ask) = (Arc::new(AtomicUsize::new(0)), Arc::new(ask));
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(port).await?);
    }
    let began = now();
    let mut askers: JoinSet<Result<Vec<Duration>, Error>> = JoinSet::new();
    for mut connection in opened {
        let (next, ask) = (Arc::clone(&next), Arc::clone(&ask));
        askers.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= requests {
                    return Ok(answers);
                }
                let (method, path) = ask(n);
                let asked = now();
                connection.send(method, &path).await?.ok()?;
                answers.push(asked.elapsed());
            }
        });
    }
    let mut answers = Vec::with_capacity(requests);
    while let Some(answered) = askers.join_next().await {
        answers.extend(answered??);
    }
    let took = began.elapsed();
    answers.sort();
    Ok(Load { pins: requests, took, answers })
}

/// The CID of number `n` of a series; nobody has its content.
pub fn cid(series: &str, n: usize) -> cid::Cid {
    let digest = blake3::hash(format!("{series} {n} {}", std::process::id()).as_bytes());
    let hash = multihash::Multihash::wrap(0x12, digest.as_bytes()).expect("32 bytes fit");
    cid::Cid::new_v1(0x55, hash)
}
