use std::path::PathBuf;

use libp2p::identity::Keypair;

use super::*;
use crate::config::Endpoint;
use crate::follow::sign;
use crate::model::UnixMillis;

/// A follower's folder whose template is a file beside it.
struct Follower {
    dir: tempfile::TempDir,
}

impl Follower {
    fn new() -> Self {
        let follower = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(follower.folder()).unwrap();
        Identity::generate().unwrap().save(&follower.folder().join("identity.json")).unwrap();
        let source = source_of(&follower.template().display().to_string());
        std::fs::write(follower.folder().join("service.json"), File::sourced(&source).to_text()).unwrap();
        follower
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("abc")
    }

    fn template(&self) -> PathBuf {
        self.dir.path().join("template.json")
    }

    fn serve(&self, change: impl FnOnce(&mut File)) {
        let mut file = File::defaults();
        file.set("cluster.secret", "ab".repeat(32));
        change(&mut file);
        std::fs::write(self.template(), file.to_text()).unwrap();
    }

    async fn load(&self) -> Result<Profile, ProfileError> {
        Profile::load(&self.folder(), &Environment::default()).await
    }
}

#[tokio::test]
async fn a_follower_serves_its_socket_alone_and_writes_nothing() {
    let follower = Follower::new();
    follower.serve(|file| file.set("cluster.id", "somebody else's"));
    let profile = follower.load().await.unwrap();
    let config = &profile.config;
    assert!(config.cluster.follower_mode);
    assert!(config.pinsvcapi.is_none() && config.ipfsproxy.is_none());
    assert!(config.metrics.is_none() && config.tracing.is_none());
    let socket = Endpoint::Unix(follower.folder().join("api-socket"));
    assert_eq!(config.restapi.as_ref().unwrap().http_listen_multiaddress, [socket]);
    assert_eq!(config.restapi.as_ref().unwrap().cors.allowed_methods, ["GET"]);
    assert!(profile.is_fresh);
}

#[tokio::test]
async fn the_environment_moves_the_api_and_cannot_make_it_write() {
    let follower = Follower::new();
    follower.serve(|_| ());
    let environment = Environment::of([
        ("CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS", "/ip4/127.0.0.1/tcp/0"),
        ("CLUSTER_FOLLOWERMODE", "false"),
    ]);
    let profile = Profile::load(&follower.folder(), &environment).await.unwrap();
    let listen = &profile.config.restapi.as_ref().unwrap().http_listen_multiaddress;
    assert_eq!(listen, &[Endpoint::parse("/ip4/127.0.0.1/tcp/0").unwrap()]);
    assert!(profile.config.cluster.follower_mode);
}

#[tokio::test]
async fn the_last_good_template_outlives_its_source() {
    let follower = Follower::new();
    follower.serve(|file| file.set("consensus.crdt.cluster_name", "first"));
    follower.load().await.unwrap();
    std::fs::remove_file(follower.template()).unwrap();
    let profile = follower.load().await.unwrap();
    assert_eq!(profile.config.crdt.cluster_name, "first");
    assert!(!profile.is_fresh);
    assert!(profile.notes.warnings[0].contains("the last good one is in use"), "{:?}", profile.notes);
}

#[tokio::test]
async fn a_bad_new_template_is_refused_and_the_old_one_kept() {
    let follower = Follower::new();
    follower.serve(|file| file.set("consensus.crdt.cluster_name", "first"));
    follower.load().await.unwrap();
    let bad: [&dyn Fn(&mut File); 3] = [
        &|file| file.set("cluster.replication_factor_min", 5),
        &|file| file.set("consensus.crdt.engine", "merkle"),
        &|file| file.set("source", "http://127.0.0.1:1/"),
    ];
    for change in bad {
        follower.serve(change);
        let profile = follower.load().await.unwrap();
        assert_eq!((profile.config.crdt.cluster_name.as_str(), profile.is_fresh), ("first", false));
    }
    follower.serve(|file| file.set("consensus.crdt.cluster_name", "second"));
    assert_eq!(follower.load().await.unwrap().config.crdt.cluster_name, "second");
    std::fs::remove_file(follower.template()).unwrap();
    assert_eq!(follower.load().await.unwrap().config.crdt.cluster_name, "second");
}

#[tokio::test]
async fn a_template_of_another_consensus_is_refused_with_its_remedy() {
    let follower = Follower::new();
    follower.serve(|file| file.set("consensus.crdt.engine", ""));
    let error = follower.load().await.unwrap_err().to_string();
    assert!(error.contains("CLUSTER_CRDT_ENGINE=automerge"), "{error}");
    let environment = Environment::of([("CLUSTER_CRDT_ENGINE", "automerge")]);
    Profile::load(&follower.folder(), &environment).await.unwrap();

    let follower = Follower::new();
    follower.serve(|file| {
        file.remove("consensus.crdt");
        file.set("consensus.raft", serde_json::Map::new());
    });
    let error = follower.load().await.unwrap_err().to_string();
    assert!(error.starts_with("raft is not supported"), "{error}");
}

/// A folder whose template has to be signed by `keypair`.
fn demanding(keypair: &Keypair) -> Follower {
    let follower = Follower::new();
    let source = source_of(&follower.template().display().to_string());
    let file = File::sourced_and_signed(&source, &keypair.public().to_peer_id());
    std::fs::write(follower.folder().join("service.json"), file.to_text()).unwrap();
    follower
}

fn sign_served(follower: &Follower, keypair: &Keypair, second: i64) -> String {
    let text = std::fs::read_to_string(follower.template()).unwrap();
    let signed = sign(&text, keypair, UnixMillis(second * 1000)).unwrap();
    std::fs::write(follower.template(), &signed).unwrap();
    signed
}

#[tokio::test]
async fn a_template_that_has_to_be_signed_is_taken_from_its_signer_alone() {
    let keypair = Keypair::generate_ed25519();
    let follower = demanding(&keypair);
    follower.serve(|file| file.set("consensus.crdt.cluster_name", "first"));
    let error = follower.load().await.unwrap_err().to_string();
    assert!(error.starts_with("the template is not signed"), "{error}");

    sign_served(&follower, &keypair, 10);
    let profile = follower.load().await.unwrap();
    let (by, at) = profile.signed.unwrap();
    assert_eq!((by, at.millis()), (keypair.public().to_peer_id(), Some(UnixMillis(10_000))));
    assert!(profile.notes.warnings.is_empty(), "{:?}", profile.notes);

    follower.serve(|file| file.set("consensus.crdt.cluster_name", "second"));
    sign_served(&follower, &Keypair::generate_ed25519(), 20);
    let profile = follower.load().await.unwrap();
    assert_eq!((profile.config.crdt.cluster_name.as_str(), profile.is_fresh), ("first", false));
}

#[tokio::test]
async fn what_was_signed_long_ago_does_not_come_back() {
    let keypair = Keypair::generate_ed25519();
    let follower = demanding(&keypair);
    follower.serve(|file| file.set("consensus.crdt.cluster_name", "old"));
    let old = sign_served(&follower, &keypair, 10);
    follower.load().await.unwrap();
    follower.serve(|file| file.set("consensus.crdt.cluster_name", "new"));
    sign_served(&follower, &keypair, 20);
    follower.load().await.unwrap();
    std::fs::write(follower.template(), old).unwrap();
    let profile = follower.load().await.unwrap();
    assert_eq!((profile.config.crdt.cluster_name.as_str(), profile.is_fresh), ("new", false));
    assert!(profile.notes.warnings[0].contains("before the last good one"), "{:?}", profile.notes);
}

#[tokio::test]
async fn what_was_kept_without_a_signature_is_of_no_use_once_one_is_needed() {
    let follower = Follower::new();
    follower.serve(|_| ());
    follower.load().await.unwrap();
    let source = source_of(&follower.template().display().to_string());
    let file = File::sourced_and_signed(&source, &Keypair::generate_ed25519().public().to_peer_id());
    std::fs::write(follower.folder().join("service.json"), file.to_text()).unwrap();
    assert!(matches!(follower.load().await, Err(ProfileError::Signature(SignatureError::Missing(_)))));
    std::fs::write(follower.folder().join("service.json"), file.to_text().replace("12D3", "x")).unwrap();
    assert!(matches!(follower.load().await, Err(ProfileError::TemplateKey(_))));
}

#[tokio::test]
async fn a_signed_template_needs_no_key_to_be_read() {
    let keypair = Keypair::generate_ed25519();
    let follower = Follower::new();
    follower.serve(|_| ());
    sign_served(&follower, &keypair, 10);
    let profile = follower.load().await.unwrap();
    assert!(profile.notes.warnings.is_empty() && profile.signed.is_none(), "{:?}", profile.notes);
}

#[test]
fn sources_without_a_scheme_are_http_and_paths_are_files() {
    assert_eq!(source_of("127.0.0.1:8080/ipns/x"), "http://127.0.0.1:8080/ipns/x");
    assert_eq!(source_of("https://example.org/x"), "https://example.org/x");
    assert_eq!(source_of("/etc/x.json"), "file:///etc/x.json");
    assert_eq!(gateway_source("127.0.0.1:8080", "example.org"), "http://127.0.0.1:8080/ipns/example.org");
    assert_eq!(gateway_source("http://gw/", "example.org"), "http://gw/ipns/example.org");
}

#[tokio::test]
async fn a_followers_budget_is_its_own_over_the_templates_and_the_environment_goes_first() {
    let follower = Follower::new();
    let budget = async |environment: Environment| {
        let profile = Profile::load(&follower.folder(), &environment).await.unwrap();
        profile.config.follower.max_bytes.map(std::num::NonZeroU64::get)
    };
    follower.serve(|file| file.set("follower.max_bytes", "7MiB"));
    assert_eq!(budget(Environment::default()).await, Some(7 << 20));
    crate::config::rewrite(&follower.folder().join("service.json"), "follower.max_bytes", "5MiB").unwrap();
    assert_eq!(budget(Environment::default()).await, Some(5 << 20));
    let named = |size| Environment::default().with("CLUSTER_FOLLOWER_MAXBYTES", size);
    assert_eq!(budget(named("3MiB")).await, Some(3 << 20));
    assert_eq!(budget(named("none")).await, None);
    std::fs::remove_file(follower.template()).unwrap();
    assert_eq!(budget(Environment::default()).await, Some(5 << 20), "of the last good template, too");
}
