//! Where alerts are posted.
use std::fmt;

use url::Url;
use zeroize::Zeroizing;

/// A receiver of alerts, and what they are signed with. Of the URL only scheme, host and port are ever shown: the path is
/// the password of many receivers.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    url: Url,
    secret: Zeroizing<String>,
}

/// Why a text is no URL of a receiver; it is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No URL.
    #[error(transparent)]
    NoUrl(#[from] url::ParseError),
    /// Of another scheme.
    #[error("neither http nor https")]
    Scheme,
}

impl Webhook {
    /// Takes a URL and a secret, which is empty when nothing is to be signed.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(url: &str, secret: &str) -> Result<Self, WebhookError> {
        let url = Url::parse(url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookError::Scheme);
        }
        Ok(Self { url, secret: Zeroizing::new(secret.into()) })
    }

    /// The whole URL; for the request alone.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// What requests are signed with.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        Some(self.secret.as_str()).filter(|secret| !secret.is_empty())
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({}, the rest hidden)", self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_http_or_https() {
        let refused = |url: &str| Webhook::new(url, "").unwrap_err().to_string();
        assert_eq!(refused("ftp://host/x"), "neither http nor https");
        assert_eq!(refused("host/x"), "relative URL without a base");
        assert_eq!(refused("http://"), "empty host");
        assert_eq!(Webhook::new("https://host:8443/x", "").unwrap().origin(), "https://host:8443");
    }

    #[test]
    fn nothing_of_it_is_shown_but_where_it_is() {
        let webhook = Webhook::new("https://user:word@host/token?key=word", "hunter2").unwrap();
        assert_eq!(format!("{webhook:?}"), "Webhook(https://host, the rest hidden)");
        assert_eq!(webhook.secret(), Some("hunter2"));
        assert_eq!(Webhook::new("http://host", "").unwrap().secret(), None);
    }
}
