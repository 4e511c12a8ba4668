//! argv by the rules of Go's flag package and the command line library above it.
//!
//! `-x`, `--x`, `-long` and `--long` are one; a value is the next word or follows `=`; there are no clusters of short flags.
//! A group stops at its first word, which is a command; a command takes flags anywhere before `--`.
mod help;

use std::collections::BTreeMap;

use ipfs_cluster::config::GoDuration;

use super::flag::{Command, Flag, Kind};
pub use help::help;

/// What argv means.
#[derive(Debug)]
pub enum Parsed {
    /// Run this.
    Run(Run),
    /// The help that was asked for, or that a group shows.
    Help(String),
    /// `<program> version <v>`.
    Version(String),
    /// No command was named: the help.
    NoCommand(String),
    /// A word that names no command of the program: the word, and the help.
    UnknownCommand(String, String),
    /// A word that names no command of a group, or nothing to have help on.
    NoTopic(String),
    /// Flags that are wrong: the whole text with the help.
    Misuse(String),
}

/// A command and what it was given.
#[derive(Debug)]
pub struct Run {
    /// The commands from the program's to the one to run, without the program.
    pub path: Vec<String>,
    /// The program's own flags.
    pub globals: Values,
    /// The command's flags.
    pub values: Values,
    /// The words that are no flags.
    pub arguments: Vec<String>,
    /// The command's help, for those that check their words.
    pub help: String,
}

/// Flags with their values, by the first name of each.
#[derive(Clone, Debug, Default)]
pub struct Values {
    given: BTreeMap<&'static str, Vec<String>>,
    defaults: BTreeMap<&'static str, String>,
}

impl Values {
    /// The last value given, or that of its variable.
    pub fn given(&self, name: &str) -> Option<&str> {
        self.given.get(name).and_then(|values| values.last()).map(String::as_str)
    }

    /// The value, or the default.
    pub fn text(&self, name: &str) -> &str {
        self.given(name).or_else(|| self.defaults.get(name).map(String::as_str)).unwrap_or_default()
    }

    /// All values given, in order.
    pub fn list(&self, name: &str) -> &[String] {
        self.given.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.given(name).is_some_and(|value| boolean(value) == Some(true))
    }

    /// A number; 0 when absent.
    pub fn number(&self, name: &str) -> i64 {
        number(self.text(name)).unwrap_or(0)
    }

    /// A duration; none when absent.
    pub fn duration(&self, name: &str) -> GoDuration {
        self.text(name).parse().unwrap_or_default()
    }
}

/// Reads argv, without the program's name, as `program` understands it.
pub fn parse(program: &Command, words: &[String]) -> Parsed {
    let mut path: Vec<&Command> = vec![program];
    let mut globals = None;
    let mut rest = words.to_vec();
    loop {
        let command = *path.last().expect("the path begins with the program");
        let flags = with_builtin(command);
        let (values, arguments) = match read(&flags, &rest, command.commands.is_empty() && path.len() > 1) {
            Ok(read) => read,
            Err(fault) => return misuse(&path, &fault),
        };
        if values.is_on("help") {
            return Parsed::Help(help(&path));
        }
        if let Some(version) = command.version.as_ref().filter(|_| values.is_on("version")) {
            return Parsed::Version(format!("{} version {version}", command.name));
        }
        let globals = globals.get_or_insert_with(|| values.clone()).clone();
        if command.commands.is_empty() {
            return run(&path, globals, values, arguments);
        }
        match step(&path, &arguments) {
            Ok(next) => path.push(next),
            Err(parsed) => return *parsed,
        }
        rest = arguments[1..].to_vec();
    }
}

fn run(path: &[&Command], globals: Values, values: Values, arguments: Vec<String>) -> Parsed {
    let names = path.iter().skip(1).map(|c| c.name.clone()).collect();
    Parsed::Run(Run { path: names, globals, values, arguments, help: help(path) })
}

/// Finds the command that the first word names, or what is to be said when it names none.
fn step<'a>(path: &[&'a Command], words: &[String]) -> Result<&'a Command, Box<Parsed>> {
    let group = *path.last().expect("the path begins with the program");
    let is_program = path.len() == 1;
    let Some(word) = words.first() else {
        return Err(Box::new(if is_program { Parsed::NoCommand(help(path)) } else { Parsed::Help(help(path)) }));
    };
    if let Some(next) = group.commands.iter().find(|c| c.name == *word) {
        return Ok(next);
    }
    Err(Box::new(match word.as_str() {
        "help" | "h" => topic(path, words.get(1)),
        word if is_program => Parsed::UnknownCommand(word.into(), help(path)),
        word => Parsed::NoTopic(word.into()),
    }))
}

fn topic(path: &[&Command], word: Option<&String>) -> Parsed {
    let Some(word) = word else { return Parsed::Help(help(path)) };
    let group = path.last().expect("the path begins with the program");
    match group.commands.iter().find(|c| c.name == *word) {
        Some(command) => Parsed::Help(help(&[path, &[command]].concat())),
        None => Parsed::NoTopic(word.clone()),
    }
}

/// A program's flags are told from a command's by a dot instead of a colon.
fn misuse(path: &[&Command], fault: &str) -> Parsed {
    let mark = if path.len() == 1 { '.' } else { ':' };
    Parsed::Misuse(format!("Incorrect Usage{mark} {fault}\n\n{}", help(path)))
}

fn with_builtin(command: &Command) -> Vec<Flag> {
    let mut flags = command.flags.clone();
    flags.push(Flag::switch("help, h", "show help"));
    if command.version.is_some() {
        flags.push(Flag::switch("version, v", "print the version"));
    }
    flags
}

/// Reads flags, and words up to the end (`anywhere`) or the first (a group's command).
fn read(flags: &[Flag], words: &[String], anywhere: bool) -> Result<(Values, Vec<String>), String> {
    let mut values = Values::default();
    for flag in flags {
        values.defaults.insert(flag.names[0], flag.default.clone());
        if let Some(value) = flag.env.and_then(|name| std::env::var(name).ok()).filter(|v| !v.is_empty()) {
            values.given.insert(flag.names[0], vec![value]);
        }
    }
    let mut from_argv: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let (mut arguments, mut rest) = (Vec::new(), words.iter());
    while let Some(word) = rest.next() {
        if word == "--" {
            arguments.extend(rest.cloned());
            break;
        }
        if !word.starts_with('-') || word == "-" {
            arguments.push(word.clone());
            if !anywhere {
                arguments.extend(rest.cloned());
                break;
            }
            continue;
        }
        let (flag, value) = one(flags, word, &mut rest)?;
        from_argv.entry(flag).or_default().push(value);
    }
    values.given.extend(from_argv);
    Ok((values, arguments))
}

/// Reads one flag, and its value from the next word when it needs one.
fn one<'a>(
    flags: &[Flag],
    word: &str,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<(&'static str, String), String> {
    let stripped = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or(word);
    if stripped.starts_with(['-', '=']) || stripped.is_empty() {
        return Err(format!("bad flag syntax: {word}"));
    }
    let (name, attached) = match stripped.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (stripped, None),
    };
    let flag = flags.iter().find(|f| f.names.contains(&name));
    let flag = flag.ok_or_else(|| format!("flag provided but not defined: -{name}"))?;
    let value = match (flag.kind, attached) {
        (_, Some(value)) => value,
        (Kind::Switch, None) => "true".into(),
        (Kind::Text | Kind::Number | Kind::Duration | Kind::List, None) => {
            rest.next().cloned().ok_or_else(|| format!("flag needs an argument: -{name}"))?
        }
    };
    check(flag.kind, name, &value)?;
    Ok((flag.names[0], value))
}

fn check(kind: Kind, name: &str, value: &str) -> Result<(), String> {
    let fits = match kind {
        Kind::Switch if boolean(value).is_none() => {
            return Err(format!("invalid boolean value {value:?} for -{name}: parse error"));
        }
        Kind::Switch | Kind::Text | Kind::List => true,
        Kind::Number => number(value).is_some(),
        Kind::Duration => value.parse::<GoDuration>().is_ok(),
    };
    if fits { Ok(()) } else { Err(format!("invalid value {value:?} for flag -{name}: parse error")) }
}

fn boolean(value: &str) -> Option<bool> {
    ipfs_cluster::config::parse_bool(value)
}

fn number(value: &str) -> Option<i64> {
    ipfs_cluster::config::parse_int(value)
}

#[cfg(test)]
mod tests;
