//! One keep-alive connection to a REST API.
#![allow(dead_code, reason = "each bench uses a part of it")]
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Error;

/// A connection; it closes when it is dropped.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    _driver: JoinSet<()>,
}

/// An answer, read to its end.
pub struct Answer {
    pub code: u16,
    pub body: Bytes,
}

impl Answer {
    /// The answer of a success.
    ///
    /// # Errors
    /// Any other code, with the body.
    pub fn ok(self) -> Result<Self, Error> {
        match self.code {
            200 => Ok(self),
            code => Err(format!("{code}: {}", String::from_utf8_lossy(&self.body)).into()),
        }
    }
}

impl Connection {
    pub async fn open(port: u16) -> Result<Self, Error> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // A broken connection is seen by who asks on it.
            let _ = connection.await;
        });
        Ok(Self { sender, _driver: driver })
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer, Error> {
        self.send("GET", path).await
    }

    pub async fn post(&mut self, path: &str) -> Result<Answer, Error> {
        self.send("POST", path).await
    }

    /// Reads an answer as it comes, and gives each of its pieces away; ends when `piece` is false.
    pub async fn read(&mut self, path: &str, mut piece: impl AsyncFnMut(Bytes) -> bool) -> Result<(), Error> {
        let request = Request::builder().uri(path).header("Host", "localhost").body(Empty::new())?;
        self.sender.ready().await?;
        let mut body = self.sender.send_request(request).await?.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data()
                && !piece(bytes).await
            {
                break;
            }
        }
        Ok(())
    }

    /// Asks and reads the answer to its end.
    pub async fn send(&mut self, method: &str, path: &str) -> Result<Answer, Error> {
        let request = Request::builder().method(method).uri(path).header("Host", "localhost").body(Empty::new())?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let code = response.status().as_u16();
        Ok(Answer { code, body: response.into_body().collect().await?.to_bytes() })
    }
}
