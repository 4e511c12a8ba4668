//! Dials servers over TCP, unix sockets and libp2p, below TLS or not.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::{TcpStream, UnixStream};

use super::error::NewError;
use super::host::Target;
use crate::swarm::Secret;
use crate::swarm::tunnel::{self, TunnelStream};
use crate::wire::rest::io_words;

/// How certificates are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// No server is reached over TLS.
    Unused,
    /// Against the system's roots.
    Roots,
    /// Not at all.
    Nothing,
}

/// Makes a connector to one server.
pub(super) fn connector(
    target: Target,
    secret: Option<Secret>,
    check: Check,
) -> Result<HttpsConnector<Dialer>, NewError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let unusable = |error: &dyn std::fmt::Display| NewError::Unusable(format!("cannot use TLS: {error}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| unusable(&error))?;
    let config = match check {
        Check::Unused => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        Check::Roots => builder.with_native_roots().map_err(|error| unusable(&error))?.with_no_client_auth(),
        Check::Nothing => {
            let verifier = Arc::new(Anybody(supported(&provider)));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1();
    Ok(builder.wrap_connector(Dialer { target, secret }))
}

fn supported(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

/// Dials one target, whatever the URL says.
#[derive(Clone, Debug)]
pub(super) struct Dialer {
    target: Target,
    /// The key of the private network that a target over libp2p is in.
    secret: Option<Secret>,
}

impl tower::Service<Uri> for Dialer {
    type Response = Socket;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Socket>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        dial(self.clone()).boxed()
    }
}

async fn dial(Dialer { target, secret }: Dialer) -> io::Result<Socket> {
    let fault = |what: String, error: &io::Error| {
        io::Error::new(error.kind(), format!("dial {what}: connect: {}", io_words(error)))
    };
    match target {
        Target::Tcp(target) => {
            let socket = TcpStream::connect(&target).await.map_err(|error| fault(format!("tcp {target}"), &error))?;
            socket.set_nodelay(true)?;
            Ok(Socket::Tcp(TokioIo::new(socket)))
        }
        Target::Unix(path) => {
            let socket = UnixStream::connect(&path).await;
            let socket = socket.map_err(|error| fault(format!("unix {}", path.display()), &error))?;
            Ok(Socket::Unix(TokioIo::new(socket)))
        }
        Target::Libp2p(address) => {
            let socket = tunnel::dial(address, secret.as_ref()).await?;
            Ok(Socket::Libp2p(TokioIo::new(Box::new(socket))))
        }
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TokioIo<TcpStream>),
    Unix(TokioIo<UnixStream>),
    Libp2p(TokioIo<Box<TunnelStream>>),
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Libp2p(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Libp2p(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Libp2p(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Libp2p(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}

/// Believes every certificate, because the user said so; the handshake itself is still checked.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
