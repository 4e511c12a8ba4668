//! Changes bytes in the ways in which decoders are wrong: at bounds, in lengths, in the order and number of parts.
use std::ops::Range;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// What changes are made of.
pub struct Material<'a> {
    /// Other inputs.
    pub others: &'a [Vec<u8>],
    /// Pieces that inputs have.
    pub tokens: &'a [Vec<u8>],
}

/// Changes of one input at most; half of the inputs get one.
const CHANGES_MAX: usize = 8;

/// Bytes that are inserted or repeated at once, mostly.
const PIECE_MAX: usize = 24;

/// Returns `input` with one or more changes.
pub fn mutated(rng: &mut StdRng, mut input: Vec<u8>, material: &Material<'_>) -> Vec<u8> {
    for _ in 0..CHANGES_MAX {
        change(rng, &mut input, material);
        if rng.random() {
            break;
        }
    }
    input
}

/// Returns `input` with one or more changes that take nothing from elsewhere.
pub fn mutated_alone(rng: &mut StdRng, input: Vec<u8>) -> Vec<u8> {
    mutated(rng, input, &Material { others: &[], tokens: &[] })
}

fn change(rng: &mut StdRng, bytes: &mut Vec<u8>, material: &Material<'_>) {
    match rng.random_range(0..17) {
        0 | 1 => flip(rng, bytes),
        2 | 3 => set(rng, bytes),
        4 | 5 => integer(rng, bytes),
        6 | 7 => leb128(rng, bytes),
        8 => remove(rng, bytes),
        9 => repeat(rng, bytes),
        10 => insert(rng, bytes),
        11 => swap(rng, bytes),
        12 => token(rng, bytes, material.tokens),
        13 => splice(rng, bytes, material.others),
        14 => decimal(rng, bytes),
        15 => resize(rng, bytes),
        _ => cut(rng, bytes),
    }
}

/// A position in `bytes`; [`None`] when it has none.
fn at(rng: &mut StdRng, bytes: &[u8]) -> Option<usize> {
    (!bytes.is_empty()).then(|| rng.random_range(0..bytes.len()))
}

/// A piece of `bytes`, mostly a short one.
fn piece(rng: &mut StdRng, bytes: &[u8]) -> Range<usize> {
    let Some(from) = at(rng, bytes) else { return 0..0 };
    let max = if rng.random_ratio(1, 8) { bytes.len() } else { PIECE_MAX };
    from..bytes.len().min(from + rng.random_range(1..=max))
}

/// A number at which something may end: a power of two or a round limit, or one beside it.
pub fn boundary(rng: &mut StdRng) -> u64 {
    let near = match rng.random_range(0..4) {
        0 => 0,
        1 => 1_u64 << rng.random_range(0..u64::BITS),
        2 => *[100, 500, 1000, 1024, 4096, 16 << 10, 64 << 10, 80 << 10, 1 << 20].choose(rng).unwrap_or(&0),
        _ => u64::from(rng.random::<u8>()),
    };
    near.wrapping_add([0, 1, u64::MAX][rng.random_range(0..3)])
}

fn flip(rng: &mut StdRng, bytes: &mut [u8]) {
    if let Some(at) = at(rng, bytes) {
        bytes[at] ^= 1 << rng.random_range(0..u8::BITS);
    }
}

fn set(rng: &mut StdRng, bytes: &mut [u8]) {
    if let Some(at) = at(rng, bytes) {
        let near = [bytes[at].wrapping_add(1), bytes[at].wrapping_sub(1), 0, 1, 0x7f, 0x80, 0xff, rng.random()];
        bytes[at] = near[rng.random_range(0..near.len())];
    }
}

/// Puts a boundary, or a neighbour of what is there, into 2, 4 or 8 bytes.
fn integer(rng: &mut StdRng, bytes: &mut [u8]) {
    let width = 2 << rng.random_range(0..3);
    if bytes.len() < width {
        return;
    }
    let at = rng.random_range(0..=bytes.len() - width);
    let field = &mut bytes[at..at + width];
    let little: bool = rng.random();
    if !little {
        field.reverse();
    }
    let old = field.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let new = match rng.random_range(0..4) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        _ => boundary(rng),
    };
    field.copy_from_slice(&new.to_le_bytes()[..width]);
    if !little {
        field.reverse();
    }
}

/// The LEB128 number at the front of `bytes`, and its length.
fn read_leb128(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = bytes.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
    let number = bytes[..length].iter().rev().fold(0_u64, |n, byte| n << 7 | u64::from(byte & 0x7f));
    Some((number, length))
}

fn write_leb128(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n > 0x7f {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push((n & 0x7f) as u8);
    out
}

fn leb128(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let Some(at) = at(rng, bytes) else { return };
    let Some((old, length)) = read_leb128(&bytes[at..]) else { return };
    let new = match rng.random_range(0..6) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => old ^ u64::MAX,
        _ => boundary(rng),
    };
    let mut new = write_leb128(new);
    if rng.random_ratio(1, 12)
        && let Some(last) = new.last_mut()
    {
        // A longer spelling of the same number.
        *last |= 0x80;
        new.push(0);
    }
    bytes.splice(at..at + length, new);
}

fn remove(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    bytes.drain(piece(rng, bytes));
}

fn repeat(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let piece = piece(rng, bytes);
    let times = if rng.random_ratio(1, 8) { rng.random_range(2..200) } else { 1 };
    let again = bytes[piece.clone()].repeat(times);
    let at = if rng.random() { piece.end } else { rng.random_range(0..=bytes.len()) };
    bytes.splice(at..at, again);
}

fn insert(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let at = rng.random_range(0..=bytes.len());
    let length = rng.random_range(1..=PIECE_MAX);
    let same: u8 = rng.random();
    let is_same: bool = rng.random();
    let new: Vec<u8> = (0..length).map(|_| if is_same { same } else { rng.random() }).collect();
    bytes.splice(at..at, new);
}

/// Lets two pieces change places.
fn swap(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let (a, b) = (piece(rng, bytes), piece(rng, bytes));
    let (first, second) = if a.start <= b.start { (a, b) } else { (b, a) };
    if first.end <= second.start {
        let swapped = [&bytes[second.clone()], &bytes[first.end..second.start], &bytes[first.clone()]].concat();
        bytes.splice(first.start..second.end, swapped);
    }
}

fn token(rng: &mut StdRng, bytes: &mut Vec<u8>, tokens: &[Vec<u8>]) {
    let Some(token) = tokens.choose(rng) else { return };
    let at = rng.random_range(0..=bytes.len());
    let end = if rng.random() { at } else { bytes.len().min(at + token.len()) };
    bytes.splice(at..end, token.iter().copied());
}

/// Puts a piece of another input in, or goes on as another input does.
fn splice(rng: &mut StdRng, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let Some(other) = others.choose(rng) else { return };
    let at = rng.random_range(0..=bytes.len());
    if rng.random() {
        let from = rng.random_range(0..=other.len());
        bytes.truncate(at);
        bytes.extend_from_slice(&other[from..]);
    } else {
        let piece = piece(rng, other);
        let end = if rng.random() { at } else { bytes.len().min(at + piece.len()) };
        bytes.splice(at..end, other[piece].iter().copied());
    }
}

/// Puts another number into a run of decimal digits.
fn decimal(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let Some(start) = at(rng, bytes) else { return };
    let Some(from) = bytes[start..].iter().position(u8::is_ascii_digit).map(|n| start + n) else { return };
    let digits = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = boundary(rng);
    let new = match rng.random_range(0..8) {
        0 => format!("-{number}"),
        1 => format!("{number}.5"),
        2 => format!("{number}e{}", rng.random_range(0..400)),
        3 => format!("{number}{number}{number}"),
        _ => number.to_string(),
    };
    bytes.splice(from..from + digits, new.into_bytes());
}

/// A length field, and the bytes that it counts.
struct Sized {
    at: usize,
    width: usize,
    body: Range<usize>,
}

/// Reads the field at `at` as a length: LEB128, or two or four bytes big endian.
fn sized(rng: &mut StdRng, bytes: &[u8], at: usize) -> Option<Sized> {
    let big = |width: usize| {
        let field = bytes.get(at..at + width)?;
        Some((field.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)), width))
    };
    let (length, width) = match rng.random_range(0..6) {
        0 => big(2)?,
        1 => big(4)?,
        _ => read_leb128(&bytes[at..])?,
    };
    let end = at.checked_add(width)?.checked_add(usize::try_from(length).ok()?)?;
    (length > 0 && end <= bytes.len()).then_some(Sized { at, width, body: at + width..end })
}

/// Makes a counted piece longer or shorter and counts it again, also where what counts it ends with the input.
fn resize(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    const TRIES: usize = 16;
    let found = (0..TRIES).find_map(|_| {
        let at = at(rng, bytes)?;
        sized(rng, bytes, at)
    });
    let Some(Sized { at, width, body }) = found else { return };
    let outer = (0..at).filter_map(|at| {
        let (length, width) = read_leb128(&bytes[at..])?;
        (length == (bytes.len() - at - width) as u64).then_some((at, width))
    });
    let outer: Vec<_> = outer.collect();
    let length = bytes.len();
    let edge = rng.random_range(body.clone());
    if rng.random() {
        let new = vec![rng.random(); rng.random_range(1..=PIECE_MAX)];
        bytes.splice(edge..edge, new);
    } else {
        bytes.drain(edge..body.end.min(edge + rng.random_range(1..=PIECE_MAX)));
    }
    let count_again = |bytes: &mut Vec<u8>, at: usize, width: usize, old: usize, now: usize| {
        let new = (old + now).saturating_sub(length);
        let field = write_leb128(new as u64);
        if field.len() == width {
            bytes[at..at + width].copy_from_slice(&field);
        }
    };
    let now = bytes.len();
    count_again(bytes, at, width, body.len(), now);
    for (at, width) in outer {
        count_again(bytes, at, width, length - at - width, now);
    }
}

fn cut(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let at = rng.random_range(0..=bytes.len());
    bytes.truncate(at);
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn any_input_can_be_changed_and_one_seed_changes_it_in_one_way() {
        let others = [b"another one".to_vec(), Vec::new()];
        let material = Material { others: &others, tokens: &[b"token".to_vec()] };
        let run = || {
            let mut rng = StdRng::seed_from_u64(3);
            (0..20_000).map(|n| mutated(&mut rng, vec![5; n % 70], &material)).collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(run(), first);
        assert!(first.iter().enumerate().filter(|(n, input)| **input != vec![5; n % 70]).count() > 15_000);
    }

    #[test]
    fn a_counted_piece_is_counted_again() {
        let input = [&[13][..], &[4], b"abcd", &[7], b"hello w"].concat();
        let is_sound = |bytes: &[u8]| {
            let first = usize::from(bytes[1]);
            usize::from(bytes[0]) == bytes.len() - 1 && usize::from(bytes[2 + first]) == bytes.len() - 3 - first
        };
        let mut rng = StdRng::seed_from_u64(1);
        let mut sound = 0;
        for _ in 0..2000 {
            let mut bytes = input.clone();
            resize(&mut rng, &mut bytes);
            let is_changed = bytes != input && bytes.len() > 8;
            sound += usize::from(is_changed && usize::from(bytes[1]) + 3 < bytes.len() && is_sound(&bytes));
        }
        assert!(sound > 200, "{sound}");
    }
}
