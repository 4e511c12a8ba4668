//! What stands between a program and a peer, and harms the answers.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Listens in place of the peer on that port; returns its own port. It ends with the test.
pub fn between(peer: u16, error: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    std::thread::spawn(move || {
        while let Ok((program, _)) = listener.accept() {
            // The program may be gone.
            let _ = relay(program, peer, error);
        }
    });
    port
}

fn relay(mut program: TcpStream, peer: u16, error: &'static str) -> std::io::Result<()> {
    let mut head = [0; 8192];
    let length = program.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut stream = TcpStream::connect(("127.0.0.1", peer))?;
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    program.write_all(&harmed(&answer, error))
}

/// The answer with that error in its trailer.
fn harmed(answer: &[u8], error: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let name = "\r\nx-stream-error:";
    let at = text.to_ascii_lowercase().rfind(name).expect("a stream ends with its trailer") + name.len();
    let end = text[at..].find("\r\n").expect("a trailer is a line") + at;
    format!("{} {error}{}", &text[..at], &text[end..]).into_bytes()
}
