//! Variables, and what `init` keeps of them.
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::tests::{ID, checked, each_key, new_file};
use super::*;
use crate::config::file::variable;

/// A text for a variable of each kind, and the value that it then is in the file.
fn sample(key: &Key) -> Option<(&'static str, serde_json::Value)> {
    let sample = match (key.name, key.kind) {
        // These have to fit each other or exist.
        (
            "replication_factor_min"
            | "engine"
            | "low_water"
            | "pin_only_on_untrusted_peers"
            | "ssl_cert_file"
            | "ssl_key_file"
            | "libp2p_listen_multiaddress"
            | "id"
            | "private_key"
            | "webhook_secret",
            _,
        )
        | (_, Kind::Object(_)) => return None,
        ("secret", _) => ("cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", json!("cd".repeat(32))),
        ("replication_factor_max", _) => ("-1", json!(-1)),
        ("metric_type", _) => ("reposize", json!("reposize")),
        ("trusted_peers", _) => (ID, json!([ID])),
        ("log_bytes", _) => ("1_048_576", json!(1_048_576)),
        ("webhook_url", _) => ("https://host/hook", json!("https://host/hook")),
        ("high_water", _) => ("0x200", json!(512)),
        ("disk_high_water", _) => ("95", json!(95)),
        ("node_multiaddress" | "prometheus_endpoint", _) => ("/ip4/127.0.0.9/tcp/9", json!("/ip4/127.0.0.9/tcp/9")),
        ("peer_addresses", _) => ("/ip4/127.0.0.9/tcp/9", json!(["/ip4/127.0.0.9/tcp/9"])),
        (_, Kind::Text | Kind::Secret) => ("some text", json!("some text")),
        (_, Kind::Duration) => ("7s", json!("7s")),
        (_, Kind::Bool) => ("T", json!(true)),
        (_, Kind::Int) => ("9_999", json!(9999)),
        (_, Kind::Float) => ("0.5", json!(0.5)),
        (_, Kind::Addresses) => ("/ip4/127.0.0.9/tcp/9", json!("/ip4/127.0.0.9/tcp/9")),
        (_, Kind::Texts) => ("a,b", json!(["a", "b"])),
        (_, Kind::Map) => ("region:eu,group:a", json!({"region": "eu", "group": "a"})),
        (_, Kind::Credentials) => ("user:pass,user2:pass2", json!({"user": "pass", "user2": "pass2"})),
        (_, Kind::Size) => ("64MiB", json!("64MiB")),
        (_, Kind::MapOfLists) => ("x-a:1", json!({"x-a": ["1"]})),
    };
    Some(sample)
}

#[test]
fn every_key_has_its_variable_which_init_keeps() {
    let mut count = 0;
    for section in SECTIONS.iter().filter(|section| !is_opaque(section)) {
        each_key(&section.path(), section.env, section.keys, &mut |path, variable, key| {
            let Some((text, value)) = sample(key) else { return };
            let environment = Environment::of([(variable.as_str(), text)]);
            let (file, _) = persist(&new_file(), &environment, Path::new("/folder"))
                .unwrap_or_else(|faults| panic!("{variable}={text}: {faults}"));
            let written: serde_json::Value = serde_json::from_str(&file.to_text()).unwrap();
            let pointer = format!("/{}", path.replace('.', "/"));
            let hidden_default = !key.written && written.pointer(&pointer).is_none();
            assert!(hidden_default || written.pointer(&pointer) == Some(&value), "{variable}: {written}");
            count += 1;
        });
    }
    assert!(count > 100, "{count}");
}

#[test]
fn variables_are_named_without_inner_underscores() {
    assert_eq!(variable("CLUSTER_PUBSUB", "d_factor"), "CLUSTER_PUBSUB_DFACTOR");
    let file = new_file();
    let config = checked(&file, &[("CLUSTER_MONITOR_PING_INTERVAL", "2s"), ("CLUSTER_PUBSUB_DFACTOR", "5")]).unwrap().0;
    assert_eq!(config.cluster.monitor_ping_interval, Duration::from_secs(15));
    assert_eq!(config.cluster.pubsub.d_factor.get(), 5);
}

#[test]
fn variables_that_cannot_be_read_are_told_in_gos_words_and_passwords_never() {
    let text = |variables: &[(&str, &str)]| checked(&new_file(), variables).unwrap_err().to_string();
    assert_eq!(
        text(&[("CLUSTER_RESTAPI_MAXHEADERBYTES", "x")]),
        "envconfig.Process: assigning CLUSTER_RESTAPI_MAXHEADERBYTES to MaxHeaderBytes: converting 'x' to type int. \
         details: strconv.ParseInt: parsing \"x\": invalid syntax (api.restapi.max_header_bytes)"
    );
    assert!(text(&[("CLUSTER_DISABLEREPINNING", "")]).contains("converting '' to type bool"));
    assert!(text(&[("CLUSTER_TAGS_TAGS", "a:b:c")]).contains("invalid map item: \"a:b:c\""));
    let hidden = text(&[("CLUSTER_RESTAPI_BASICAUTHCREDENTIALS", "user:hunter2:x")]);
    assert!(!hidden.contains("hunter2"), "{hidden}");
}

#[test]
fn a_variable_configures_no_section_that_is_absent() {
    let mut file = new_file();
    file.remove("api.restapi");
    let variables = [("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", "/ip4/0.0.0.0/tcp/1")];
    assert!(checked(&file, &variables).unwrap().0.restapi.is_none());
}

#[test]
fn what_init_writes_is_read_back_the_same() {
    let (file, _) = persist(&new_file(), &Environment::default(), Path::new("/folder")).unwrap();
    let again = File::parse(file.to_text().as_bytes()).unwrap();
    assert_eq!(again.unknown_keys(), Vec::<String>::new());
    assert_eq!(persist(&again, &Environment::default(), Path::new("/folder")).unwrap().0.to_text(), file.to_text());
    assert!(file.to_text().contains("\"http_listen_multiaddress\": \"/ip4/127.0.0.1/tcp/9094\""));
    assert!(!file.to_text().contains("follower_mode") && !file.to_text().contains("epoch"));
}
