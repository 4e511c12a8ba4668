//! Runs a target on one input: panics are caught, time and memory are measured.
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::time::Duration;

use nix::time::ClockId;

/// Bytes that one run may hold at once: so many, and so many for each byte of the input.
const HELD_MAX: u64 = 2 << 20;
const HELD_PER_BYTE_MAX: u64 = 256;

/// How long one run may take of a processor, without optimisation as well.
const TIME_MAX: Duration = Duration::from_secs(2);

/// What a target makes of an input: what it was read as, or why it was refused.
pub type Verdict = Result<String, String>;

/// How a target broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It panicked: where and why.
    Panicked {
        /// File and line.
        place: String,
        /// What it said.
        message: String,
    },
    /// It held far more memory than the input is worth, in bytes.
    Greedy(u64),
    /// It took far too long.
    Slow(Duration),
    /// It refused the input and did not say why.
    Mute,
}

impl Crash {
    /// Whether `other` is the same fault.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Panicked { place, .. }, Self::Panicked { place: other, .. }) => place == other,
            (ours, other) => std::mem::discriminant(ours) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { place, message } => write!(f, "panicked at {place}: {message}"),
            Self::Greedy(bytes) => write!(f, "held {bytes} bytes of memory"),
            Self::Slow(time) => write!(f, "took {time:?}"),
            Self::Mute => f.write_str("refused without a reason"),
        }
    }
}

/// Runs `read` on `input`; memory and time are those of this thread alone.
pub fn run(read: &dyn Fn(&[u8]) -> Verdict, input: &[u8]) -> Result<Verdict, Crash> {
    let allowed = HELD_MAX + HELD_PER_BYTE_MAX * input.len() as u64;
    let from = processor_time();
    let mut result = Err(Crash::Mute);
    let held = allocation_counter::measure(|| result = caught(|| read(input))).bytes_max;
    let time = processor_time().saturating_sub(from);
    match result? {
        _ if held > allowed => Err(Crash::Greedy(held)),
        _ if time > TIME_MAX => Err(Crash::Slow(time)),
        Err(why) if why.is_empty() => Err(Crash::Mute),
        verdict => Ok(verdict),
    }
}

/// What this thread took of a processor so far.
fn processor_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where this thread panicked last, and what it said: also when the code under test caught it itself.
    static LAST: RefCell<(String, String)> = const { RefCell::new((String::new(), String::new())) };
}

fn caught(run: impl FnOnce() -> Verdict) -> Result<Verdict, Crash> {
    hook();
    IS_GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(false);
    result.map_err(|_| {
        let (place, message) = LAST.take();
        Crash::Panicked { place, message }
    })
}

/// Keeps the panics of targets from being printed thousands of times.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                return before(panic);
            }
            let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
            LAST.set((place, panic.payload_as_str().unwrap_or("it said nothing").to_owned()));
        }));
    });
}
