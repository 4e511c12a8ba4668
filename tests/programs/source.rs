//! A server of templates on loopback.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use crate::common::ports::free_port;

/// The paths that were asked for.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// Serves what `answer` makes of each path, or 404, until the test's process ends.
pub fn serve(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
    let here = listener.local_addr().expect("a bound socket has an address").to_string();
    let asked = Asked::default();
    let notes = Arc::clone(&asked);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            notes.lock().expect("nobody panics with it").push(path.clone());
            let (status, body) =
                answer(&path).map_or(("404 Not Found", "no such thing".into()), |body| ("200 OK", body));
            let length = body.len();
            // The client may be gone.
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    (here, asked)
}

/// An address on which nobody listens.
pub fn nobody() -> String {
    format!("127.0.0.1:{}", free_port())
}
