//! `init`: a configuration, an identity, a peerstore.
use std::path::Path;

use ipfs_cluster::config::{
    Environment, File, Identity, Lock, Notes, PRIVATE, Secret, make_folder, parse_multiaddr, persist, write_atomically,
    write_peerstore,
};
use ipfs_cluster::model::{Multiaddr, PeerId};
use libp2p::multiaddr::Protocol;
use zeroize::Zeroizing;

use crate::common::{Parsed, Run, Values, ask_hidden, confirm, parse};
use crate::exit::Failure;
use crate::ports;

/// Makes the files of a folder.
pub fn run(folder: &Path, run: &Run) -> Result<(), Failure> {
    let values = &run.values;
    check_choices(values)?;
    let peers = peers(values.text("peers"))?;
    let (config, identity) = (folder.join("service.json"), folder.join("identity.json"));
    let _lock = if config.exists() || identity.exists() {
        Some(Lock::take(folder).map_err(|e| Failure::new("obtaining execution lock", e))?)
    } else {
        None
    };
    let question = "The configuration file will be overwritten. Continue?";
    if config.exists() && !values.is_on("force") && !confirm(question) {
        return Ok(());
    }
    let environment = Environment::of_process();
    let source = run.arguments.first();
    let file = match source {
        Some(url) => File::sourced(url),
        None => new_file(folder, values, &peers, &environment)?,
    };
    make_folder(folder).map_err(|e| Failure::new(format!("creating {}", folder.display()), e))?;
    tracing::info!("Saving configuration");
    let text = Zeroizing::new(file.to_text());
    write_atomically(&config, text.as_bytes(), PRIVATE).map_err(|e| Failure::new("saving configuration", e))?;
    eprintln!("configuration written to {}.", config.display());
    new_identity(&identity, &environment)?;
    if source.is_none() {
        let addresses: Vec<Multiaddr> = peers.into_iter().map(|(address, _)| address).collect();
        peerstore(&folder.join(peerstore_name(&file)), &addresses)?;
    }
    Ok(())
}

/// Makes the files of a folder that has no configuration, from defaults and the environment.
pub fn run_unless_there(folder: &Path) -> Result<(), Failure> {
    match plain() {
        Some(run_of) if !folder.join("service.json").exists() => run(folder, &run_of),
        Some(_) | None => Ok(()),
    }
}

/// What `init` without any words means.
fn plain() -> Option<Run> {
    match parse(&crate::commands::program(), &["init".to_owned()]) {
        Parsed::Run(run) => Some(run),
        Parsed::Help(_)
        | Parsed::Version(_)
        | Parsed::NoCommand(_)
        | Parsed::UnknownCommand(..)
        | Parsed::NoTopic(_)
        | Parsed::Misuse(_) => None,
    }
}

fn check_choices(values: &Values) -> Result<(), Failure> {
    match values.text("consensus") {
        "crdt" => {}
        "raft" => {
            let cause = "raft is not supported: a cluster of this program uses the crdt consensus";
            return Err(Failure::new("choosing consensus", cause));
        }
        _ => return Err(Failure::new("choosing consensus", "flag value must be set to 'raft' or 'crdt'")),
    }
    match values.text("datastore") {
        "pebble" | "badger3" | "badger" | "leveldb" => Ok(()),
        _ => {
            let cause = "flag value must be set to 'leveldb', 'badger', 'badger3' or 'pebble'";
            Err(Failure::new("choosing datastore", cause))
        }
    }
}

/// Reads addresses, each of which ends in a peer ID.
fn peers(list: &str) -> Result<Vec<(Multiaddr, PeerId)>, Failure> {
    let mut peers = Vec::new();
    for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let address =
            parse_multiaddr(text).map_err(|e| Failure::new(format!("parsing peer multiaddress: {text}"), e))?;
        match address.iter().last() {
            Some(Protocol::P2p(peer)) => peers.push((address, peer)),
            _ => return Err(Failure::new("getting AddrInfos from peer multiaddresses", "invalid p2p multiaddr")),
        }
    }
    Ok(peers)
}

/// Defaults, then random ports, then the environment, then what was asked for by flags.
fn new_file(
    folder: &Path,
    values: &Values,
    peers: &[(Multiaddr, PeerId)],
    environment: &Environment,
) -> Result<File, Failure> {
    let mut file = File::defaults();
    file.set(&format!("datastore.{}", values.text("datastore")), serde_json::Map::new());
    let secret = Secret::generate().map_err(|e| Failure::new("generating a secret", e))?;
    file.set("cluster.secret", secret.to_hex().as_str());
    if values.is_on("randomports") {
        ports::move_all(&mut file).map_err(|e| Failure::new("generating random ports", e))?;
    }
    let (mut file, notes) = persist(&file, environment, folder)
        .map_err(|e| Failure::new("applying environment variables to configuration", e))?;
    tell(&notes);
    if values.is_on("custom-secret") {
        file.set("cluster.secret", custom_secret()?.to_hex().as_str());
    }
    if !peers.is_empty() {
        let trusted: Vec<String> = peers.iter().map(|(_, peer)| peer.to_string()).collect();
        file.set("consensus.crdt.trusted_peers", trusted);
    }
    Ok(file)
}

/// Warnings about APIs that are not served yet belong to the daemon.
fn tell(notes: &Notes) {
    for warning in notes.warnings.iter().filter(|warning| !warning.contains("this version")) {
        tracing::warn!("{warning}");
    }
}

fn custom_secret() -> Result<Secret, Failure> {
    let answer = Zeroizing::new(ask_hidden("Enter cluster secret (32-byte hex string): ").unwrap_or_default());
    Secret::from_hex(&answer).map_err(|e| Failure::new("parsing user-provided secret", e))
}

/// Makes an identity unless there is one, which is never overwritten.
fn new_identity(path: &Path, environment: &Environment) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let identity = Identity::generate().map_err(|e| Failure::new("could not generate a public-private key pair", e))?;
    let identity =
        identity.under(environment).map_err(|e| Failure::new("applying environment variables to the identity", e))?;
    tracing::info!("Saving identity");
    identity.save(path).map_err(|e| Failure::new("saving identity", e))?;
    eprintln!("new identity written to {}", path.display());
    Ok(())
}

fn peerstore_name(file: &File) -> String {
    file.texts("cluster.peerstore_file").pop().unwrap_or_else(|| "peerstore".into())
}

fn peerstore(path: &Path, addresses: &[Multiaddr]) -> Result<(), Failure> {
    write_peerstore(path, addresses).map_err(|e| Failure::new("writing peerstore", e))?;
    match addresses.len() {
        0 => eprintln!("new empty peerstore written to {}.", path.display()),
        n => eprintln!("peerstore written to {} with {n} entries.", path.display()),
    }
    Ok(())
}
