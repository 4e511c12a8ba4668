//! Checks of `api`.
use std::path::Path;
use std::time::Duration;

use super::fault::{Faults, Faulty};
use super::reader::Reader;
use super::resolve::Resolved;
use crate::config::disk::{Identity, IdentityError};
use crate::config::file::reason;
use crate::config::typed::{Cors, HttpApiConfig, Libp2pApi, ProxyConfig, TlsFiles};
use crate::config::value::Credentials;

/// The shortest limit of a request's head, in bytes.
const HEADER_MIN: i64 = 4096;

/// `api.restapi` or `api.pinsvcapi`; `None` when the section is absent.
pub(super) fn http(resolved: &Resolved, faults: &mut Faults, folder: &Path, section: &str) -> Option<HttpApiConfig> {
    let mut r = Reader::new(resolved, faults, folder, section);
    if !r.is_present() {
        return None;
    }
    let name = r.name().to_owned();
    let key = |key: &str| format!("{name}.{key}");
    let tls = tls(&mut r);
    let libp2p = libp2p(&mut r);
    let config = HttpApiConfig {
        http_listen_multiaddress: r.endpoints("http_listen_multiaddress", &key("http_listen_multiaddress")),
        tls,
        libp2p,
        read_timeout: timeout(&mut r, "read_timeout", &key("read_timeout is invalid")),
        read_header_timeout: timeout(&mut r, "read_header_timeout", &key("read_header_timeout is invalid")),
        write_timeout: timeout(&mut r, "write_timeout", &key("write_timeout is invalid")),
        idle_timeout: timeout(&mut r, "idle_timeout", &key("idle_timeout invalid")),
        max_header_bytes: header_bytes(&mut r, &key("max_header_bytes must be not less then 4096")),
        basic_auth_credentials: credentials(&mut r),
        http_log_file: r.path("http_log_file"),
        headers: r.lists("headers"),
        cors: Cors {
            allowed_origins: r.texts("cors_allowed_origins"),
            allowed_methods: r.texts("cors_allowed_methods"),
            allowed_headers: r.texts("cors_allowed_headers"),
            exposed_headers: r.texts("cors_exposed_headers"),
            allow_credentials: r.is_on("cors_allow_credentials"),
            max_age: r.not_negative("cors_max_age", &key("cors_max_age is invalid")),
        },
    };
    Some(config)
}

/// Zero is no limit.
fn timeout(r: &mut Reader, key: &str, message: &str) -> Option<Duration> {
    Some(r.not_negative(key, message)).filter(|timeout| !timeout.is_zero())
}

fn header_bytes(r: &mut Reader, message: &str) -> usize {
    let bytes: u32 = r.at_least("max_header_bytes", HEADER_MIN, message);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn credentials(r: &mut Reader) -> Option<Credentials> {
    let pairs = r.map("basic_auth_credentials")?;
    if pairs.is_empty() {
        let message = format!("{}.basic_auth_creds should be null or have at least one entry", r.name());
        r.fault("basic_auth_credentials", message);
    }
    Some(Credentials::new(pairs))
}

/// Both files or none, and both can be read.
fn tls(r: &mut Reader) -> Option<TlsFiles> {
    let (ssl_cert_file, ssl_key_file) = match (r.path("ssl_cert_file"), r.path("ssl_key_file")) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) | (None, Some(_)) => {
            let message = format!("{}: missing TLS configuration", r.name());
            r.fault("ssl_cert_file", message);
            return None;
        }
    };
    for (key, path) in [("ssl_cert_file", &ssl_cert_file), ("ssl_key_file", &ssl_key_file)] {
        if let Err(e) = std::fs::File::open(path) {
            let reason = reason(&e);
            r.fault(key, format!("error loading TLS certificate/key: open {}: {reason}", path.display()));
            break;
        }
    }
    Some(TlsFiles { ssl_cert_file, ssl_key_file })
}

/// A host of its own on libp2p: address, ID and key, all or none.
fn libp2p(r: &mut Reader) -> Option<Box<Libp2pApi>> {
    let name = r.name().to_owned();
    let listen = r.addresses("libp2p_listen_multiaddress", &format!("{name}.libp2p_listen_multiaddress"));
    let (id, key) = (r.text("id"), r.text("private_key"));
    match (r.texts("libp2p_listen_multiaddress").is_empty(), id.is_empty(), key.is_empty()) {
        (true, true, true) => return None,
        (false, false, false) => (),
        _ => {
            r.fault("libp2p_listen_multiaddress", "all ID, private_key and libp2p_listen_multiaddress should be set");
            return None;
        }
    }
    match Identity::parse(id, key) {
        Ok(identity) => Some(Box::new(Libp2pApi { listen, identity })),
        Err(error) => {
            let (key, message) = match error {
                IdentityError::Id(error) => ("id", format!("error parsing {name}.ID: {error}")),
                IdentityError::Base64(error) => ("private_key", format!("error decoding {name}.private_key: {error}")),
                IdentityError::Key(error) => ("private_key", format!("error parsing {name}.private_key ID: {error}")),
                IdentityError::Mismatch | IdentityError::Json(_) | IdentityError::TooLong | IdentityError::Io(_) => {
                    ("id", format!("{name}.ID does not match private_key"))
                }
            };
            r.fault(key, message);
            None
        }
    }
}

/// `api.ipfsproxy`; `Ok(None)` when the section is absent.
pub(super) fn proxy(resolved: &Resolved, faults: &mut Faults, folder: &Path) -> Result<Option<ProxyConfig>, Faulty> {
    let mut r = Reader::new(resolved, faults, folder, "api.ipfsproxy");
    if !r.is_present() {
        return Ok(None);
    }
    let listen = r.endpoints("listen_multiaddress", "proxy listen_multiaddress");
    let node = r.endpoint("node_multiaddress", "ipfs node_multiaddress", "ipfsproxy.node_multiaddress not set");
    let config = ProxyConfig {
        listen_multiaddress: listen,
        node_https: r.is_on("node_https"),
        log_file: r.path("log_file"),
        read_timeout: timeout(&mut r, "read_timeout", "ipfsproxy.read_timeout is invalid"),
        read_header_timeout: timeout(&mut r, "read_header_timeout", "ipfsproxy.read_header_timeout is invalid"),
        write_timeout: timeout(&mut r, "write_timeout", "ipfsproxy.write_timeout is invalid"),
        idle_timeout: timeout(&mut r, "idle_timeout", "ipfsproxy.idle_timeout invalid"),
        max_header_bytes: header_bytes(&mut r, "ipfsproxy.max_header_size must be greater or equal to 4096"),
        extract_headers_extra: r.texts("extract_headers_extra"),
        extract_headers_path: r.text("extract_headers_path").into(),
        extract_headers_ttl: r.not_negative("extract_headers_ttl", "ipfsproxy.extract_headers_ttl is invalid"),
        node_multiaddress: node.ok_or(Faulty)?,
    };
    Ok(Some(config))
}
