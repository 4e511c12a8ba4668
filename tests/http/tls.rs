//! HTTPS: who speaks it is answered, others are told.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipfs_cluster::api::http::{Args, Listener, Timeouts, Tls, serve};
use ipfs_cluster::task::Task;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{QUICK, routes, talk};

/// A certificate for localhost that signs itself, in files, and its DER.
fn certificate(folder: &Path) -> (PathBuf, PathBuf, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.key_pair.serialize_pem()).unwrap();
    (cert, key, made.cert.der().clone())
}

async fn server(timeouts: Timeouts) -> (String, CertificateDer<'static>, Task) {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, der) = certificate(folder.path());
    let tls = Some(Tls::load(&cert, &key).unwrap());
    let listener = Listener::bind("/ip4/127.0.0.1/tcp/0").await.unwrap();
    let address = listener.tcp_address().unwrap().to_string();
    let listeners = vec![listener];
    (address, der, serve(Args { listeners, router: routes(), tls, timeouts, max_header_bytes: 4096 }))
}

#[tokio::test]
async fn who_knows_the_certificate_is_answered() {
    let (address, der, task) = server(QUICK).await;
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let socket = TcpStream::connect(&address).await.unwrap();
    let mut socket = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    socket.write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("0\r\nX-Stream-Error: one\r\nX-Stream-Error: two\r\n\r\n"), "{answer}");
    task.stop().await.unwrap();
}

#[tokio::test]
async fn who_speaks_http_is_told_in_gos_words() {
    let (address, _, _task) = server(QUICK).await;
    let told = talk(&address, "GET /plain HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(told, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_let_go() {
    let read_header = Some(std::time::Duration::from_millis(40));
    let (address, _, _task) = server(Timeouts { read_header, ..QUICK }).await;
    assert_eq!(talk(&address, "").await, "");
}

#[test]
fn files_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, _) = certificate(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (_, stranger, _) = certificate(other.path());
    let fault = |cert: &Path, key: &Path| Tls::load(cert, key).unwrap_err().to_string();
    let missing = folder.path().join("missing.pem");
    assert!(fault(&missing, &key).starts_with("error loading TLS certificate/key: "));
    assert!(fault(&missing, &key).contains("missing.pem"));
    assert!(fault(&cert, &missing).contains("missing.pem"));
    assert!(fault(&key, &key).contains("key.pem"));
    assert!(fault(&cert, &stranger).starts_with("error loading TLS certificate/key: "));
    assert_eq!(format!("{:?}", Tls::load(&cert, &key).unwrap()), "Tls");
}
