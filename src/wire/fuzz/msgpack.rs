use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;

use super::recorded;
use crate::fuzz::{Target, boundary};
use crate::wire::msgpack::testing::write;
use crate::wire::msgpack::{Scanner, Value, Writer, decode};

const MSGPACK: &str = include_str!("../../../tests/vectors/msgpack.txt");

fn written(value: &Value<'_>) -> Vec<u8> {
    let mut writer = Writer::default();
    write(value, &mut writer);
    writer.into_bytes()
}

/// The parts of a value, itself first.
fn parts<'v, 'a>(value: &'v Value<'a>, out: &mut Vec<&'v Value<'a>>) {
    out.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| parts(item, out)),
        Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
            parts(key, out);
            parts(value, out);
        }),
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Raw(_)
        | Value::Ext(..) => (),
    }
}

/// `value` with its part number `at` replaced.
fn replaced<'a>(value: &Value<'a>, at: &mut usize, new: &Value<'a>) -> Value<'a> {
    if *at == 0 {
        *at = usize::MAX;
        return new.clone();
    }
    *at -= usize::from(*at != usize::MAX);
    match value {
        Value::Array(items) => Value::Array(items.iter().map(|item| replaced(item, at, new)).collect()),
        Value::Map(pairs) => {
            Value::Map(pairs.iter().map(|(key, value)| (replaced(key, at, new), replaced(value, at, new))).collect())
        }
        Value::Nil
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Float(_)
        | Value::Raw(_)
        | Value::Ext(..) => value.clone(),
    }
}

/// Puts another part, a number, or more or fewer items in the place of one part.
pub fn shaped(rng: &mut StdRng, bytes: &[u8]) -> Option<Vec<u8>> {
    let (value, _) = decode(bytes).ok()?;
    let mut all = Vec::new();
    parts(&value, &mut all);
    let mut at = rng.random_range(0..all.len());
    let number = boundary(rng);
    let new = match (rng.random_range(0..8), all[at]) {
        (0, _) => Value::Uint(number),
        (1, _) => Value::Int(number.cast_signed()),
        (2, Value::Array(items)) => Value::Array(items.iter().chain(items).cloned().collect()),
        (2, Value::Map(pairs)) => Value::Map(pairs.iter().chain(pairs).cloned().collect()),
        (3, Value::Array(items)) => Value::Array(items.iter().skip(1).cloned().collect()),
        (3, Value::Map(pairs)) => Value::Map(pairs.iter().skip(1).cloned().collect()),
        (4, old) => Value::Array(vec![old.clone()]),
        (5, _) => Value::Nil,
        _ => all[rng.random_range(0..all.len())].clone(),
    };
    Some(written(&replaced(&value, &mut at, &new)))
}

const fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Float(_) => "float",
        Value::Raw(_) => "raw",
        Value::Array(_) => "array",
        Value::Map(_) => "map",
        Value::Ext(..) => "ext",
    }
}

/// What a scanner says that is given `bytes` in pieces.
fn scanned(bytes: &[u8]) -> Option<usize> {
    let mut scanner = Scanner::default();
    let pieces = [bytes.len() / 3, bytes.len() / 2, bytes.len()];
    pieces.into_iter().find_map(|end| scanner.scan(&bytes[..end]).transpose())?.ok()
}

#[test]
fn fuzz_msgpack() {
    Target::new("msgpack").seeds(recorded(MSGPACK)).shaped(shaped).run(|bytes| {
        let read = decode(bytes);
        assert_eq!(scanned(bytes), read.as_ref().ok().map(|(_, length)| *length), "scanner and decoder agree");
        let (value, _) = read.map_err(|e| e.to_string())?;
        let once = written(&value);
        let (again, length) = decode(&once).expect("what is written is read");
        assert_eq!(
            (length, written(&again)),
            (once.len(), once.clone()),
            "what is written is written again as the same"
        );
        let mut all = Vec::new();
        parts(&value, &mut all);
        let kinds: BTreeSet<_> = all.iter().map(|part| kind(part)).collect();
        Ok(Vec::from_iter(kinds).join(" "))
    });
}
