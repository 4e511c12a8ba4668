//! A configuration that is elsewhere: GET over http or https.
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::Url;

use super::file::FILE_MAX;
use crate::https;

/// The longest wait for the whole answer: a source that is slower than this is as good as gone.
const FETCH_TIME_MAX: Duration = Duration::from_secs(30);
/// Redirects that are followed, as Go's client does.
const REDIRECTS_MAX: usize = 10;
/// Bytes of a refusal that are shown.
const SHOWN_MAX: usize = 512;

/// Why a configuration could not be fetched; the texts begin as Go's.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer, or none that is of use.
    #[error("could not fetch configuration from source: {url}: {cause}")]
    Failed {
        /// From where, without user and password.
        url: String,
        /// Why.
        cause: String,
    },
    /// The server refuses.
    #[error("unsuccessful request ({code}): {body}")]
    Refused {
        /// The status.
        code: u16,
        /// The beginning of what it says.
        body: String,
    },
}

/// Returns what is at a URL: at most 4 MiB, within 30 seconds, over at most 10 redirects.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(source: &str) -> Result<Bytes, FetchError> {
    let failed = |cause: String| FetchError::Failed { url: shown(source), cause };
    let url = Url::parse(source).map_err(|e| failed(e.to_string()))?;
    match tokio::time::timeout(FETCH_TIME_MAX, follow(url, &failed)).await {
        Ok(result) => result,
        Err(_) => Err(failed(format!("no answer within {FETCH_TIME_MAX:?}"))),
    }
}

/// A URL without user and password.
#[must_use]
pub fn shown(source: &str) -> String {
    match Url::parse(source) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // Fails only for URLs that can have neither.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.into()
        }
        Ok(_) | Err(_) => source.into(),
    }
}

fn client() -> Result<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>, String> {
    Ok(Client::builder(TokioExecutor::new()).build(https::connector()?))
}

async fn follow(mut url: Url, failed: &impl Fn(String) -> FetchError) -> Result<Bytes, FetchError> {
    let client = client().map_err(failed)?;
    for _ in 0..=REDIRECTS_MAX {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(failed(format!("{:?} is neither http nor https", url.scheme())));
        }
        let request = request(&url).map_err(failed)?;
        let answer = client.request(request).await.map_err(|e| failed(https::causes(&e)))?;
        let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        match target.filter(|_| answer.status().is_redirection()) {
            Some(target) => url = url.join(target).map_err(|e| failed(e.to_string()))?,
            None => return body(answer, failed).await,
        }
    }
    Err(failed(format!("more than {REDIRECTS_MAX} redirects")))
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, String> {
    let mut request =
        Request::get(url.as_str()).header(USER_AGENT, concat!("ipfs-cluster/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = https::authorization(url) {
        request = request.header(AUTHORIZATION, authorization);
    }
    request.body(Empty::new()).map_err(|e| e.to_string())
}

async fn body(
    answer: Response<hyper::body::Incoming>,
    failed: &impl Fn(String) -> FetchError,
) -> Result<Bytes, FetchError> {
    let status = answer.status();
    let limit = usize::try_from(FILE_MAX).unwrap_or(usize::MAX);
    let bytes = match Limited::new(answer.into_body(), limit).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(e) if e.is::<LengthLimitError>() => return Err(failed(format!("the answer is longer than {limit} bytes"))),
        Err(e) => return Err(failed(e.to_string())),
    };
    if status < StatusCode::MULTIPLE_CHOICES {
        return Ok(bytes);
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]);
    let body = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    Err(FetchError::Refused { code: status.as_u16(), body: body.trim().into() })
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
