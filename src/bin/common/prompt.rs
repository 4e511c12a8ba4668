//! Questions to the person at the terminal.
use std::io::{self, BufRead, IsTerminal, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// How often a question is put before the answer counts as no.
const TRIES_MAX: usize = 3;
/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 4096;

/// Puts a yes-or-no question; an empty line, the end of input and three unclear answers are a no.
pub fn confirm(question: &str) -> bool {
    for _ in 0..TRIES_MAX {
        let answer = ask(&format!("{question} [y/n]: ")).unwrap_or_default();
        match answer.as_str() {
            "y" | "Y" => return true,
            "n" | "N" | "" => return false,
            _ => println!("Please press either 'y' or 'n'"),
        }
    }
    false
}

/// Prints `prompt` and returns the line that follows, without its end; `None` at the end of input.
pub fn ask(prompt: &str) -> Option<String> {
    print!("{prompt}");
    // A prompt that cannot be shown is no reason not to read the answer that may be piped in.
    let _ = io::stdout().flush();
    let mut line = String::new();
    let read = io::Read::take(io::stdin().lock(), ANSWER_MAX).read_line(&mut line);
    match read {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line.trim().to_owned()),
    }
}

/// As [`ask`], and a terminal does not show what is typed.
pub fn ask_hidden(prompt: &str) -> Option<String> {
    let silence = Silence::begin();
    let answer = ask(prompt);
    if silence.is_some() {
        // The line feed that was typed was not shown either.
        println!();
    }
    answer
}

/// A terminal that shows nothing until this is dropped.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &silent).ok()?;
        Some(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that went away.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
