//! One delivery to a webhook: a signed POST.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ring::hmac;

use super::courier::Deliver;
use crate::config::Webhook;
use crate::https;

/// The longest wait for the head of the answer, which is all of it that is read.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// The signature of the body, as GitHub's webhooks have it under another name.
const SIGNATURE: &str = "x-signature-256";

/// Posts to one webhook, over a new connection each time.
#[derive(Debug)]
pub struct Post {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    webhook: Webhook,
}

impl Post {
    /// A client for `webhook`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(webhook: Webhook) -> Result<Self, String> {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(https::connector()?);
        Ok(Self { client, webhook })
    }

    /// As a client whose every request is a [`Post::send`].
    ///
    /// # Errors
    /// As [`Post::new`].
    pub fn deliver(webhook: Webhook) -> Result<Deliver, String> {
        let post = Arc::new(Self::new(webhook)?);
        Ok(Box::new(move |body| {
            let post = post.clone();
            async move { post.send(body).await }.boxed()
        }))
    }

    /// Returns when the receiver has taken `body`, which it says with a status of 2xx within ten seconds.
    ///
    /// # Errors
    /// Why it has not; redirects are not followed, since nobody knows who would get the alert.
    pub async fn send(&self, body: Bytes) -> Result<(), String> {
        let request = self.request(body)?;
        let answer = tokio::time::timeout(ANSWER_TIME_MAX, self.client.request(request)).await;
        let answer = answer.map_err(|_| format!("no answer within {ANSWER_TIME_MAX:?}"))?;
        let status = answer.map_err(|error| https::causes(&error))?.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answers with the status {}", status.as_u16())) }
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let url = self.webhook.url();
        let mut request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("ipfs-cluster/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = https::authorization(url) {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(secret) = self.webhook.secret() {
            request = request.header(SIGNATURE, signature(secret, &body));
        }
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }
}

/// HMAC-SHA256 of `body`, in hex.
fn signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

#[cfg(test)]
#[path = "post_tests.rs"]
mod tests;
