use super::*;

fn variables(id: &str, key: &str) -> Environment {
    Environment::of([("CLUSTER_ID", id), ("CLUSTER_PRIVATEKEY", key)])
}

#[test]
fn an_identity_survives_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.json");
    let identity = Identity::generate().unwrap();
    identity.save(&path).unwrap();
    let loaded = Identity::load(&path, &Environment::default()).unwrap();
    assert_eq!(loaded.id(), identity.id());
    assert_eq!(loaded.keypair().public(), identity.keypair().public());
    assert!(!format!("{loaded:?}").contains(loaded.encoded.as_str()));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&format!("{{\n    \"id\": \"{}\",\n    \"private_key\": \"", loaded.id())));
    assert!(text.ends_with("\"\n}"));
}

#[test]
fn the_environment_stands_in_for_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.json");
    let (a, b) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    a.save(&path).unwrap();
    let both = variables(&b.id().to_string(), &b.encoded);
    assert_eq!(Identity::load(&path, &both).unwrap().id(), b.id());
    assert_eq!(Identity::load(&folder.path().join("none"), &both).unwrap().id(), b.id());
    let one = Environment::of([("CLUSTER_ID", b.id().to_string())]);
    let (_, fault) = Identity::load(&path, &one).unwrap_err();
    assert_eq!(fault.to_string(), "identity ID does not match the private_key");
}

#[test]
fn keys_of_old_clusters_are_read() {
    // An RSA key of 2048 bits, made for this test.
    let text = include_str!("rsa_identity.json");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.json");
    std::fs::write(&path, text).unwrap();
    let rsa = Identity::load(&path, &Environment::default()).unwrap();
    assert!(rsa.id().to_string().starts_with("Qm"));
    rsa.save(&path).unwrap();
    assert_eq!(Identity::load(&path, &Environment::default()).unwrap().id(), rsa.id());

    let keypair = Keypair::generate_secp256k1();
    let key = STANDARD.encode(keypair.to_protobuf_encoding().unwrap());
    let id = keypair.public().to_peer_id();
    assert_eq!(Identity::parse(&id.to_string(), &key).unwrap().id(), id);
}

#[test]
fn faults_have_gos_texts_and_show_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identity.json");
    let load = |path: &Path| {
        let (is_there, fault) = Identity::load(path, &Environment::default()).unwrap_err();
        (is_there, fault.to_string())
    };
    let none = "error decoding cluster ID: failed to parse peer ID: invalid cid: cid too short";
    assert_eq!(load(&path), (false, none.into()));
    std::fs::write(&path, "{").unwrap();
    assert_eq!(load(&path), (true, "unexpected end of JSON input".into()));
    std::fs::write(&path, "{\"id\": 5, \"private_key\": \"sesame\"}").unwrap();
    assert_eq!(load(&path), (true, "no identity: line 1, column 8".into()));
    let id = Identity::generate().unwrap().id();
    std::fs::write(&path, format!("{{\"id\": \"{id}\", \"private_key\": \"YWJj\"}}")).unwrap();
    assert!(load(&path).1.starts_with("error parsing private_key ID: "));
    std::fs::write(&path, format!("{{\"id\": \"{id}\", \"private_key\": \"?\"}}")).unwrap();
    assert!(load(&path).1.starts_with("error decoding private_key: "));
}
