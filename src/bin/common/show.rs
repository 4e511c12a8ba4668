//! Prints what is not a command to run, and says how the program then ends.
use super::parse::{Parsed, Run};

/// How a program ends when it is not used as it should be; they differ from program to program, as Go's do.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// The exit code without any command; the help goes to stdout.
    pub no_command: u8,
    /// The exit code after wrong flags; the fault and the help go to stdout.
    pub misuse: u8,
    /// The exit code after an unknown command with the help on stdout; `None`: as in a group, which says so and ends with 3.
    pub unknown_command: Option<u8>,
}

/// The exit code when there is no help on a topic.
const NO_TOPIC: u8 = 3;

/// Returns what is to be run, or prints the answer and returns the exit code.
pub fn show(parsed: Parsed, manners: Manners) -> Result<Run, u8> {
    let no_topic = |word: &str| {
        eprintln!("No help topic for '{word}'");
        NO_TOPIC
    };
    Err(match parsed {
        Parsed::Run(run) => return Ok(run),
        Parsed::Help(text) => printed(&text, 0),
        Parsed::Version(text) => printed(&(text + "\n"), 0),
        Parsed::NoCommand(text) => printed(&text, manners.no_command),
        Parsed::Misuse(text) => printed(&text, manners.misuse),
        Parsed::NoTopic(word) => no_topic(&word),
        Parsed::UnknownCommand(word, text) => match manners.unknown_command {
            Some(code) => printed(&text, code),
            None => no_topic(&word),
        },
    })
}

fn printed(text: &str, code: u8) -> u8 {
    print!("{text}");
    code
}
