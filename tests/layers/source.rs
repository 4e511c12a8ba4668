//! Rust text without what only looks like code.

/// Returns `text` with comments and the insides of literals turned into spaces; lines stay where they are.
pub fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Returns the end of the comment or literal that begins at `at`, or `at` when none does.
fn skip(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match (chars[at], next) {
        ('/', Some('/')) => position(chars, at, '\n'),
        ('/', Some('*')) => block_comment(chars, at),
        ('"', _) => string(chars, at + 1),
        ('r', Some('"' | '#')) if !in_word => raw_string(chars, at + 1).unwrap_or(at),
        ('b', Some('r')) if !in_word => raw_string(chars, at + 2).unwrap_or(at),
        ('\'', Some('\\')) => position(chars, at + 3, '\'') + 1,
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
    .min(chars.len())
}

fn position(chars: &[char], from: usize, wanted: char) -> usize {
    (from..chars.len()).find(|n| chars[*n] == wanted).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut n = at;
    while n < chars.len() {
        match (chars[n], chars.get(n + 1)) {
            ('/', Some('*')) => (depth, n) = (depth + 1, n + 2),
            ('*', Some('/')) => (depth, n) = (depth - 1, n + 2),
            _ => n += 1,
        }
        if depth == 0 {
            return n;
        }
    }
    n
}

fn string(chars: &[char], from: usize) -> usize {
    let mut n = from;
    while n < chars.len() {
        match chars[n] {
            '\\' => n += 2,
            '"' => return n + 1,
            _ => n += 1,
        }
    }
    n
}

/// `from` is the place of the first `#` or `"`; [`None`] when this is a raw identifier.
fn raw_string(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let mut n = from + hashes + 1;
    while n < chars.len() {
        if chars[n] == '"' && chars[n + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(n + 1 + hashes);
        }
        n += 1;
    }
    Some(n)
}
