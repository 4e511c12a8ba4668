//! Fuzz target: `service.json`, and after a zero byte lines of `CLUSTER_*` variables.
use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value};

use super::check;
use crate::config::check::persist;
use crate::config::file::{Environment, File, Kind, SECTIONS, variable};
use crate::fuzz::{Target, boundary, mutated_alone};

/// What is secret in the seeds.
const SECRETS: [&str; 3] = ["fee1deadfee1dead", "hunter2", "swordfish"];

fn seeds() -> Vec<Vec<u8>> {
    let mut file = File::defaults();
    file.set("cluster.secret", SECRETS[0].repeat(4));
    let plain = file.to_text();
    let variables = "\0CLUSTER_PEERNAME=a\nCLUSTER_REPLICATIONFACTORMIN=-1\nCLUSTER_TAGS_TAGS=group:b,region:c";
    file.set("cluster.private_key", SECRETS[1]);
    file.set("api.restapi.basic_auth_credentials", Value::from_iter([("user", SECRETS[2])]));
    file.set("cluster.connection_manager.high_water", 500);
    file.set("consensus.crdt.trusted_peers", vec!["12D3KooWEFRPzXkLZZkHGSzcNPdvX3gbeZPYKCnjBiB5pPmBRgH8"]);
    let full = file.to_text();
    [plain.clone(), plain + variables, full.clone(), full + variables].map(String::into_bytes).into()
}

/// Every key and variable, and values of every kind.
fn tokens() -> Vec<Vec<u8>> {
    let mut tokens: Vec<String> = Vec::new();
    for section in SECTIONS {
        tokens.push(section.path());
        for key in section.keys {
            tokens.extend([format!("{:?}", key.name), key.default.to_owned()]);
            tokens.push(format!("\n{}=", variable(section.env, key.name)));
        }
    }
    let values =
        ["1h0m0s", "-5m", "1e400", "null", "/unix/x", "/ip4/127.0.0.1/tcp/9094", "/dns4/x/tcp/1/p2p/", "\\ud800"];
    tokens.extend(values.map(str::to_owned));
    tokens.into_iter().map(String::into_bytes).collect()
}

fn split(bytes: &[u8]) -> (&[u8], &str) {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..at], std::str::from_utf8(&bytes[at..]).unwrap_or_default().trim_start_matches('\0'))
}

/// The places in `value`, as JSON pointers.
fn places(value: &Value, here: &str, out: &mut Vec<String>) {
    out.push(here.to_owned());
    let below = |name: &str| format!("{here}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| places(value, &below(name), out)),
        Value::Array(items) => items.iter().zip(0..).for_each(|(item, n)| places(item, &below(&n.to_string()), out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// Another value in one place of the JSON, or another name for what is below it.
fn shaped(rng: &mut StdRng, bytes: &[u8]) -> Option<Vec<u8>> {
    let (json, _) = split(bytes);
    let mut root: Value = serde_json::from_slice(json).ok()?;
    let mut all = Vec::new();
    places(&root, "", &mut all);
    for _ in 0..rng.random_range(1..4) {
        let donor = root.pointer(all.choose(rng)?)?.clone();
        let Some(value) = root.pointer_mut(all.choose(rng)?) else { continue };
        let old = value.take();
        *value = another(rng, old, donor);
    }
    let mut text = serde_json::to_vec(&root).ok()?;
    text.extend_from_slice(&bytes[json.len()..]);
    Some(text)
}

fn another(rng: &mut StdRng, old: Value, donor: Value) -> Value {
    match (rng.random_range(0..9), old) {
        (0, _) => Value::Null,
        (1, _) => rng.random::<bool>().into(),
        (2, _) => boundary(rng).into(),
        (3, _) => boundary(rng).cast_signed().into(),
        (4, _) => [1e300, -0.0, 0.5, -1.5][rng.random_range(0..4)].into(),
        (5, old) => vec![old].into(),
        (6, Value::Object(map)) => {
            let mut renamed = Map::new();
            renamed.extend(map.into_iter().map(|(name, value)| (respelt(rng, name), value)));
            renamed.into()
        }
        (6 | 7, Value::String(text)) => {
            String::from_utf8_lossy(&mutated_alone(rng, text.into_bytes())).into_owned().into()
        }
        (6..8, old) => old,
        _ => donor,
    }
}

fn respelt(rng: &mut StdRng, name: String) -> String {
    match rng.random_range(0..6) {
        0 => name.to_uppercase(),
        1 => format!("{name}x"),
        _ => name,
    }
}

/// The secrets of the seeds that are nowhere but where secrets belong: those must never be shown.
fn hidden(file: &File, variables: &str) -> Vec<&'static str> {
    let mut rest = file.clone();
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| matches!(key.kind, Kind::Secret | Kind::Credentials)) {
            rest.set(&format!("{}.{}", section.path(), key.name), Value::Null);
        }
    }
    let rest = [rest.to_text(), file.unknown_keys().concat(), variables.to_owned()].concat();
    SECRETS.into_iter().filter(|secret| !rest.contains(secret)).collect()
}

#[test]
fn fuzz_service_json() {
    Target::new("service_json").seeds(seeds()).tokens(tokens()).shaped(shaped).run(|bytes| {
        let (json, variables) = split(bytes);
        let environment = Environment::of(variables.lines().filter_map(|line| line.split_once('=')));
        let folder = Path::new("/nowhere");
        let file = File::parse(json).map_err(|e| e.to_string())?;
        let hidden = hidden(&file, variables);
        let keeps_secrets = |text: &str| {
            assert!(!hidden.iter().any(|secret| text.contains(secret)), "a secret is shown: {text}");
        };
        let (config, notes) = check(&file, &environment, folder).map_err(|faults| {
            assert!(faults.0.iter().all(|fault| !fault.path.is_empty() && !fault.message.is_empty()));
            keeps_secrets(&faults.to_string());
            faults.0.iter().map(|fault| format!("{} {}", fault.path, fault.message)).next_back().unwrap_or_default()
        })?;
        keeps_secrets(&format!("{config:?} {notes:?}"));
        let (written, _) = persist(&file, &environment, folder).expect("what passes is written");
        let again = File::parse(written.to_text().as_bytes()).expect("what is written is read");
        assert_eq!(again.unknown_keys(), [""; 0]);
        let (twice, _) = persist(&again, &Environment::default(), folder).expect("what is written passes");
        assert_eq!(twice.to_text(), written.to_text(), "what is written says the same again");
        Ok(format!("{notes:?}"))
    });
}
