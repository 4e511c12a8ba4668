//! Many pins in one request.
use bytes::Bytes;
use futures::StreamExt;
use hyper::Method;

use super::calls::Documents;
use super::documents::documents;
use super::error::Error;
use super::request::Client;
use crate::wire::rest::PinOutcome;

impl Client {
    /// Pins what each line asks for, a JSON document with a `cid` and any of the fields of a pin; returns what became
    /// of each, in order, as it is known.
    ///
    /// # Errors
    /// [`Error`], with code 404 of a peer that takes no lines.
    pub async fn pin_lines(&self, lines: Bytes) -> Result<Documents<PinOutcome>, Error> {
        Ok(documents(self.send_body(Method::POST, "/pins", lines).await?).boxed())
    }
}
