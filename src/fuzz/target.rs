//! One target: what it reads, where it starts from, and the loop that tries to break it.
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{Rng, SeedableRng};

use super::files::{self, CORPUS, REGRESSIONS};
use super::guard::{self, Crash, Verdict};
use super::mutate::{Material, mutated};
use super::shrink::shrink;
use crate::task;

/// Seconds that a target is tried for when `FUZZ_SECONDS` says nothing.
const SECONDS: u64 = 10;

/// A run that takes longer ends the process: the input is kept first.
const STALL: Duration = Duration::from_mins(1);

/// Inputs that are built on: the smallest known of so many verdicts.
const VERDICTS_MAX: usize = 4096;

/// How long is spent on making one input small: one that broke the target, and one that goes into the corpus.
const SHRINK_BROKEN: Duration = Duration::from_secs(20);
const SHRINK_KEPT: Duration = Duration::from_secs(1);

/// The longest input that goes into the corpus, and the files that a target may have there.
const KEPT_MAX: usize = 4 << 10;
const FILES_MAX: usize = 100;

/// Changes an input in a way that knows its format; [`None`] when the input is not of it.
pub type Shaped = fn(&mut StdRng, &[u8]) -> Option<Vec<u8>>;

/// Something that reads bytes of strangers.
pub struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    length_max: usize,
    shaped: Option<Shaped>,
}

impl Target {
    /// A target with nothing to start from; its inputs are under `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, seeds: Vec::new(), tokens: Vec::new(), length_max: 16 << 10, shaped: None }
    }

    /// Adds inputs that must be read: what the real encoders write, what was recorded.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.seeds.extend(seeds);
        self
    }

    /// Adds pieces that inputs are made of.
    pub fn tokens<T: Into<Vec<u8>>>(mut self, tokens: impl IntoIterator<Item = T>) -> Self {
        self.tokens.extend(tokens.into_iter().map(Into::into));
        self
    }

    /// Sets the length of the longest input that is made, 16 KiB by default.
    pub const fn up_to(mut self, bytes: usize) -> Self {
        self.length_max = bytes;
        self
    }

    /// Sets a change that knows the format; it makes a third of the inputs.
    pub const fn shaped(mut self, shaped: Shaped) -> Self {
        self.shaped = Some(shaped);
        self
    }

    /// Tries to break `read`, which returns what it read or why it refused, and panics where a promise is broken.
    ///
    /// Old breakers come first, then seeds and corpus, then changed inputs until `FUZZ_SECONDS` are over.
    pub fn run(self, read: impl Fn(&[u8]) -> Verdict) {
        let seed = number("FUZZ_SEED").unwrap_or_else(rand::random);
        // First of all: nothing is said after a stack overflow.
        files::say(&format!("{}: seed {seed}", self.name));
        let current = Mutex::default();
        // The sender is dropped when the hunt ends, in whatever way: that ends the watch.
        let (hunting, done) = channel::<()>();
        std::thread::scope(|scope| {
            let (name, current) = (self.name, &current);
            scope.spawn(move || watch(name, seed, current, &done));
            let _hunting = hunting;
            Hunt::new(&self, &read, seed, current).run();
        });
    }
}

/// Numbers in the environment.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")))
}

/// The input at work, and how many came before it.
type Current = Mutex<(u64, Vec<u8>)>;

/// Ends the process when one input is at work for too long: nothing else stops an endless loop.
fn watch(name: &str, seed: u64, current: &Current, done: &Receiver<()>) {
    let now = || current.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut last = 0;
    loop {
        if done.recv_timeout(STALL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        let (runs, input) = now();
        if runs == last {
            let path = files::keep(REGRESSIONS, name, &input);
            files::say(&format!("{name}: one input takes more than {STALL:?}: {}; seed {seed}", path.display()));
            std::process::abort();
        }
        last = runs;
    }
}

struct Hunt<'a> {
    target: &'a Target,
    read: &'a dyn Fn(&[u8]) -> Verdict,
    seed: u64,
    current: &'a Current,
    rng: StdRng,
    runs: u64,
    /// What inputs are built on.
    entries: Vec<Vec<u8>>,
    /// The entry of each verdict.
    verdicts: BTreeMap<String, usize>,
}

impl<'a> Hunt<'a> {
    fn new(target: &'a Target, read: &'a dyn Fn(&[u8]) -> Verdict, seed: u64, current: &'a Current) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { target, read, seed, current, rng, runs: 0, entries: Vec::new(), verdicts: BTreeMap::new() }
    }

    fn run(mut self) {
        let from = task::now();
        for (_, input) in files::read(REGRESSIONS, self.target.name) {
            drop(self.check(&input));
        }
        for (n, input) in self.target.seeds.iter().enumerate() {
            let verdict = self.check(input);
            assert!(verdict.is_ok(), "seed {n} of {} is not read: {verdict:?}", self.target.name);
            self.learn(&verdict, input);
        }
        for (_, input) in files::read(CORPUS, self.target.name) {
            let verdict = self.check(&input);
            self.learn(&verdict, &input);
        }
        let known = self.entries.len();
        self.hunt(task::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS)));
        self.report(known, from);
    }

    fn hunt(&mut self, until: Instant) {
        while task::now() < until {
            let input = self.next_input();
            let verdict = self.check(&input);
            self.learn(&verdict, &input);
        }
    }

    fn next_input(&mut self) -> Vec<u8> {
        let base = self.entries.choose(&mut self.rng).cloned().unwrap_or_default();
        let shaped = self.target.shaped.filter(|_| self.rng.random_ratio(1, 2));
        let shaped = shaped.and_then(|shaped| shaped(&mut self.rng, &base));
        let is_done = shaped.is_some() && self.rng.random_ratio(2, 3);
        let mut input = shaped.unwrap_or(base);
        if !is_done {
            let material = Material { others: &self.entries, tokens: &self.target.tokens };
            input = mutated(&mut self.rng, input, &material);
        }
        input.truncate(self.target.length_max);
        input
    }

    /// Runs the target; what breaks it is made small and kept, and ends the test.
    fn check(&mut self, input: &[u8]) -> Verdict {
        self.runs += 1;
        self.attempt(input).unwrap_or_else(|crash| self.broken(&crash, input))
    }

    fn attempt(&self, input: &[u8]) -> Result<Verdict, Crash> {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.0 += 1;
            current.1.clear();
            current.1.extend_from_slice(input);
        }
        guard::run(self.read, input)
    }

    fn broken(&self, crash: &Crash, input: &[u8]) -> ! {
        let is_same = |bytes: &[u8]| self.attempt(bytes).is_err_and(|other| other.is_like(crash));
        let small = shrink(input.to_vec(), SHRINK_BROKEN, is_same);
        let crash = self.attempt(&small).err().unwrap_or_else(|| crash.clone());
        let path = files::keep(REGRESSIONS, self.target.name, &small);
        let (name, seed, shown) = (self.target.name, self.seed, hex::encode(&small[..small.len().min(512)]));
        panic!("{name}: {crash}\n  {} bytes in {}: {shown}\n  seed {seed}", small.len(), path.display());
    }

    /// Keeps an input that gave a new verdict, or an old one in fewer bytes.
    fn learn(&mut self, verdict: &Verdict, input: &[u8]) {
        let verdict = essence(verdict);
        match self.verdicts.get(&verdict) {
            Some(at) if self.entries[*at].len() > input.len() => self.entries[*at] = input.to_vec(),
            None if self.verdicts.len() < VERDICTS_MAX => {
                self.verdicts.insert(verdict, self.entries.len());
                self.entries.push(input.to_vec());
            }
            Some(_) | None => (),
        }
    }

    /// Says what was done, and with `FUZZ_KEEP` set writes the new verdicts' inputs into the corpus.
    fn report(&mut self, known: usize, from: Instant) {
        let (name, runs, seconds) = (self.target.name, self.runs, from.elapsed().as_secs_f64());
        let new = self.entries.len() - known;
        let verdicts = self.verdicts.len();
        files::say(&format!("{name}: {runs} inputs in {seconds:.0} s, {verdicts} verdicts, {new} of them new"));
        if std::env::var_os("FUZZ_KEEP").is_some() {
            self.keep(known);
        }
    }

    /// Writes the inputs of verdicts into the corpus that it does not know yet, as long as there is room.
    fn keep(&mut self, known: usize) {
        let room = FILES_MAX.saturating_sub(files::read(CORPUS, self.target.name).len());
        let new = self.verdicts.iter().filter(|(_, at)| **at >= known);
        let new = new.choose_multiple(&mut self.rng, room);
        for (verdict, at) in new {
            let is_same = |bytes: &[u8]| self.attempt(bytes).is_ok_and(|other| essence(&other) == *verdict);
            let small = shrink(self.entries[*at].clone(), SHRINK_KEPT, is_same);
            if small.len() <= KEPT_MAX {
                files::keep(CORPUS, self.target.name, &small);
            }
        }
    }
}

/// A verdict without the numbers and quoted pieces of its input: as many as there are branches, not inputs.
fn essence(verdict: &Verdict) -> String {
    const LENGTH_MAX: usize = 160;
    let (Ok(text) | Err(text)) = verdict;
    let outside = text.split(['"', '\'', '`']).step_by(2);
    let words = outside
        .flat_map(str::chars)
        .filter(|c| c.is_ascii() && !c.is_ascii_digit())
        .take(LENGTH_MAX)
        .collect::<String>();
    format!("{} {words}", if verdict.is_ok() { "read" } else { "refused" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunt(read: fn(&[u8]) -> Verdict) -> String {
        let target = Target::new("none of this name");
        let current = Current::default();
        let mut hunt = Hunt::new(&target, &read, 7, &current);
        hunt.entries.push(b"FU..".to_vec());
        let crash = (0..1_000_000).find_map(|_| guard::run(&read, &hunt.next_input()).err());
        crash.map(|crash| crash.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_breaks_a_promise_is_found() {
        assert!(
            hunt(|bytes| if bytes.starts_with(b"FUZ") { panic!("found") } else { Ok("x".into()) }).contains("found")
        );
        assert!(hunt(|bytes| Err("x".repeat(usize::from(bytes.len() != 3)))).contains("without a reason"));
        let greedy = hunt(|bytes| Ok(std::hint::black_box(vec![b'x'; bytes.len() << 22]).len().to_string()));
        assert!(greedy.contains("memory"), "{greedy}");
    }

    #[test]
    fn a_verdict_is_told_by_its_words() {
        let refused = |text: &str| essence(&Err(text.to_owned()));
        assert_eq!(refused("no key \"abc\" at 17"), refused("no key \"x\" at 9"));
        assert_ne!(refused("no key"), refused("no value"));
        assert_ne!(refused("x"), essence(&Ok("x".to_owned())));
    }
}
