//! The flags of all commands.
use std::time::Duration;

use ipfs_cluster::client::{Client, ClientArgs, NewError};
use ipfs_cluster::config::{Secret, SecretError};
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
        secret(flags.text("secret"))?;
        let json = match flags.text("encoding") {
            "text" => false,
            "json" => true,
            _ => return Err(Failure::argument("", &"unsupported encoding")),
        };
        Ok(Self { json, client: Client::new(&args(flags)).map_err(|error| refused(&error))? })
    }
}

fn args(flags: &Values) -> ClientArgs {
    let basic_auth = Some(flags.text("basic-auth")).filter(|text| !text.is_empty()).map(credentials);
    let timeout = u64::try_from(flags.number("timeout")).ok().filter(|seconds| *seconds > 0);
    ClientArgs {
        hosts: flags.text("host").split(',').map(|host| host.trim().to_owned()).collect(),
        https: flags.is_on("https") || (basic_auth.is_some() && !flags.is_on("force-http")),
        no_check_certificate: flags.is_on("no-check-certificate"),
        basic_auth,
        timeout: timeout.map(Duration::from_secs),
    }
}

/// A secret is for endpoints over libp2p, of which this version has none; what is not even hex is told all the same.
fn secret(text: &str) -> Result<(), Failure> {
    match Secret::from_hex(text) {
        Ok(_) | Err(SecretError::Length(_)) => Ok(()),
        Err(error @ (SecretError::Odd | SecretError::NotHex { .. })) => {
            Err(Failure::argument("parsing secret", &error))
        }
    }
}

fn credentials(text: &str) -> (String, String) {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    (user.into(), password.into())
}

fn refused(error: &NewError) -> Failure {
    match error {
        NewError::Address { .. } | NewError::NoHost => Failure::argument("parsing host multiaddress", error),
        NewError::Libp2p(_) | NewError::Unusable(_) => Failure::argument("creating configs", error),
    }
}

fn log_to_stderr() {
    let filter = EnvFilter::new("ipfs_cluster=debug");
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr);
    // Another log can only be there in tests, and is as good.
    let _ = log.try_init();
}
