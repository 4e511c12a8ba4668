//! HTTPS: a certificate and its key out of PEM files.
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, join, split};
use tokio_rustls::TlsAcceptor;

/// How long a handshake may take where the configuration sets no limit for heads.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// What a client is told that speaks HTTP to HTTPS, in Go's words.
const PLAIN: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has not what it should have.
    #[error("error loading TLS certificate/key: {}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: pem::Error,
    },
    /// The key is not the certificate's, or of a kind that is not served.
    #[error("error loading TLS certificate/key: {0}")]
    Pair(#[from] rustls::Error),
}

/// A certificate chain with its key; shows neither.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Loads a certificate chain and its key.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let of = |path: &Path| {
            let path = path.to_owned();
            |error| TlsError::File { path, error }
        };
        let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) });
        let chain = chain.map_err(of(certificate))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(of(key))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self(Arc::new(builder.with_no_client_auth().with_single_cert(chain, key)?)))
    }

    /// Shakes hands; a client that speaks plain HTTP is told so.
    ///
    /// # Errors
    /// When the client speaks no TLS, or is too slow.
    pub(super) async fn accept<S>(&self, socket: S, limit: Option<Duration>) -> io::Result<impl Encrypted + use<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.0));
        let shaken = tokio::time::timeout(limit.unwrap_or(HANDSHAKE_MAX), async move {
            let (mut reader, mut writer) = split(socket);
            let first = reader.read_u8().await?;
            // A handshake begins with a number below the letters that a method begins with.
            if first.is_ascii_alphabetic() {
                writer.write_all(PLAIN).await?;
                writer.shutdown().await?;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP without TLS"));
            }
            acceptor.accept(join(io::Cursor::new([first]).chain(reader), writer)).await
        });
        shaken.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A connection on which hands were shaken.
pub(super) trait Encrypted: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Encrypted for S {}
