//! The flags of all commands.
use std::time::Duration;

use ipfs_cluster::client::{Client, ClientArgs, NewError};
use ipfs_cluster::config::{Secret, SecretError};
use ipfs_cluster::swarm;
use tracing_subscriber::EnvFilter;

use super::common::Values;
use super::exit::Failure;

/// What all commands work with.
pub struct Globals {
    /// Whether to print JSON.
    pub json: bool,
    /// The API.
    pub client: Client,
}

impl Globals {
    /// Reads them.
    pub fn read(flags: &Values) -> Result<Self, Failure> {
        if flags.is_on("debug") {
            log_to_stderr();
        }
        let json = match flags.text("encoding") {
            "text" => false,
            "json" => true,
            _ => return Err(Failure::argument("", &"unsupported encoding")),
        };
        let args = args(flags)?;
        Ok(Self { json, client: Client::new(&args).map_err(|error| refused(&error))? })
    }
}

fn args(flags: &Values) -> Result<ClientArgs, Failure> {
    let basic_auth = Some(flags.text("basic-auth")).filter(|text| !text.is_empty()).map(credentials);
    let timeout = u64::try_from(flags.number("timeout")).ok().filter(|seconds| *seconds > 0);
    Ok(ClientArgs {
        hosts: flags.text("host").split(',').map(|host| host.trim().to_owned()).collect(),
        https: flags.is_on("https") || (basic_auth.is_some() && !flags.is_on("force-http")),
        no_check_certificate: flags.is_on("no-check-certificate"),
        basic_auth,
        timeout: timeout.map(Duration::from_secs),
        secret: secret(flags.text("secret"), flags.text("host"))?,
    })
}

/// The secret of hosts over libp2p; as in Go, its length matters to those alone.
fn secret(text: &str, hosts: &str) -> Result<Option<swarm::Secret>, Failure> {
    let is_used = ["/p2p/", "/ipfs/", "/dnsaddr/"].iter().any(|part| hosts.contains(part));
    match Secret::from_hex(text) {
        _ if text.is_empty() => Ok(None),
        Ok(secret) => Ok(Some(swarm::Secret(*secret.bytes()))),
        Err(SecretError::Length(_)) if !is_used => Ok(None),
        Err(SecretError::Length(_)) => {
            Err(Failure::argument("creating API client", &"length of ProtectorKey should be 32"))
        }
        Err(error) => Err(Failure::argument("parsing secret", &error)),
    }
}

fn credentials(text: &str) -> (String, String) {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    (user.into(), password.into())
}

fn refused(error: &NewError) -> Failure {
    match error {
        NewError::Address { .. } | NewError::NoHost => Failure::argument("parsing host multiaddress", error),
        NewError::Unusable(_) => Failure::argument("creating configs", error),
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::new("ipfs_cluster=debug");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr);
    // Another log can only be there in tests, and is as good.
    let _ = log.try_init();
}
