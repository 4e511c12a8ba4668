//! What all that asks other people's servers shares (configurations, alerts, traces): TLS, passwords in URLs, the words for errors.
use base64::Engine;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use url::Url;

/// Connects over http and https; certificates are held against those of the machine.
///
/// # Errors
/// What rustls says.
pub fn connector() -> Result<HttpsConnector<HttpConnector>, String> {
    let provider = rustls::crypto::ring::default_provider;
    let builder = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider()) {
        Ok(builder) => builder,
        // A machine without certificates of its own.
        Err(_) => HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider()).map_err(|e| e.to_string())?,
    };
    Ok(builder.https_or_http().enable_http1().build())
}

/// Returns the header `Authorization` for the user and password in a URL.
#[must_use]
pub fn authorization(url: &Url) -> Option<String> {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = || format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
    let encode = |pair: String| base64::engine::general_purpose::STANDARD.encode(pair);
    (!url.username().is_empty()).then(|| format!("Basic {}", encode(pair())))
}

/// An error with what caused it, outermost first.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
