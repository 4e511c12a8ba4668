//! The paths that a file names.
use super::source::blanked;

/// One path, its lists taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Segments, as written: `crate`, `super` and `self` included; a glob is `*`.
    pub segments: Vec<String>,
    /// The name that it gets here: of `as`, or the last segment.
    pub name: String,
    /// The line of its last segment, from 1.
    pub line: usize,
    /// Whether it stands in a `use`.
    pub is_use: bool,
    /// Whether it stands below `#[cfg(test)]`.
    pub in_test: bool,
    /// In how many inline modules it stands.
    pub depth: usize,
}

/// Returns the paths of `text`: all of its `use` lines, and every other one that begins with `crate`, `super`, `self` or the crate's name.
pub fn paths(text: &str) -> Vec<Found> {
    let tokens = tokens(&blanked(text));
    let mut reader =
        Reader { tokens: &tokens, at: 0, braces: 0, modules: Vec::new(), test_from: None, found: Vec::new() };
    reader.read();
    reader.found
}

/// Returns the names of the public items of `text`.
pub fn public_items(text: &str) -> Vec<String> {
    const KINDS: [&str; 9] = ["struct", "enum", "trait", "fn", "const", "type", "static", "mod", "union"];
    let tokens = tokens(&blanked(text));
    let words: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let is_item = |n: usize| KINDS.contains(&words[n]) && words[..n].iter().rev().take(4).any(|word| *word == "pub");
    (0..words.len().saturating_sub(1)).filter(|n| is_item(*n)).map(|n| words[n + 1].to_owned()).collect()
}

struct Token {
    text: String,
    line: usize,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                c => c.len_utf8(),
            };
            tokens.push(Token { text: rest[..length].to_owned(), line });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    braces: usize,
    /// The depth of braces at which each open inline module began.
    modules: Vec<usize>,
    /// The depth of braces outside the test module that is open.
    test_from: Option<usize>,
    found: Vec<Found>,
}

impl Reader<'_> {
    fn word(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    fn read(&mut self) {
        while self.at < self.tokens.len() {
            match self.word(0) {
                "{" => self.braces += 1,
                "}" => self.close(),
                "#" if self.words(&["#", "[", "cfg", "(", "test", ")", "]"]) => {
                    self.test_from = self.test_from.or(Some(self.braces));
                }
                ";" if self.test_from == Some(self.braces) => self.test_from = None,
                "mod" if self.word(2) == "{" => self.modules.push(self.braces),
                "use" => self.path(true),
                "crate" | "super" | "self" | "ipfs_cluster" if self.word(1) == "::" => self.path(false),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.word(n) == *word)
    }

    fn close(&mut self) {
        self.braces = self.braces.saturating_sub(1);
        if self.modules.last() == Some(&self.braces) {
            self.modules.pop();
        }
        if self.test_from == Some(self.braces) {
            self.test_from = None;
        }
    }

    fn path(&mut self, is_use: bool) {
        if is_use {
            self.at += 1;
        }
        self.tree(&[], is_use);
        // The caller steps over one token; a `;` or a brace after the path is still to be seen.
        self.at -= 1;
    }

    /// Reads one path or list; ends at the first token that is not part of it.
    fn tree(&mut self, before: &[String], is_use: bool) {
        let mut segments = before.to_vec();
        loop {
            match self.word(0) {
                "{" if is_use => return self.list(&segments),
                word if word == "*" || word.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                    segments.push(word.to_owned());
                }
                _ => break,
            }
            self.at += 1;
            if self.word(0) != "::" {
                break;
            }
            self.at += 1;
        }
        let line = self.tokens.get(self.at.saturating_sub(1)).map_or(0, |token| token.line);
        let mut name = segments.last().cloned().unwrap_or_default();
        if is_use && self.word(0) == "as" {
            self.word(1).clone_into(&mut name);
            self.at += 2;
        }
        // `use x::y::{self}` names `x::y`.
        if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
            segments.pop();
            name = segments.last().cloned().unwrap_or_default();
        }
        let (in_test, depth) = (self.test_from.is_some(), self.modules.len());
        self.found.push(Found { segments, name, line, is_use, in_test, depth });
    }

    fn list(&mut self, before: &[String]) {
        self.at += 1;
        while !matches!(self.word(0), "}" | "") {
            if self.word(0) == "," {
                self.at += 1;
            } else {
                let from = self.at;
                self.tree(before, true);
                if self.at == from {
                    self.at += 1;
                }
            }
        }
        self.at += 1;
    }
}
