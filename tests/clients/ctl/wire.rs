//! What stands between a program and a peer, and harms the answers.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What happens to an answer.
#[derive(Clone, Copy)]
pub enum Harm {
    /// Its trailer tells an error.
    Trailer(&'static str),
    /// It ends in the middle of a document.
    Cut,
}

/// Listens in place of the peer on that port; returns its own port. It ends with the test.
pub fn between(peer: u16, harm: Harm) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the kernel has a free port");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    std::thread::spawn(move || {
        while let Ok((program, _)) = listener.accept() {
            // The program may be gone.
            let _ = relay(program, peer, harm);
        }
    });
    port
}

fn relay(mut program: TcpStream, peer: u16, harm: Harm) -> std::io::Result<()> {
    let mut head = [0; 8192];
    let length = program.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let mut stream = TcpStream::connect(("127.0.0.1", peer))?;
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let answer = match harm {
        Harm::Trailer(error) => with_trailer(&answer, error),
        Harm::Cut => answer[..answer.rfind('}').expect("a stream has documents") - 20].to_owned(),
    };
    program.write_all(answer.as_bytes())
}

/// The answer with that error in its trailer.
fn with_trailer(answer: &str, error: &str) -> String {
    let name = "\r\nx-stream-error:";
    let at = answer.to_ascii_lowercase().rfind(name).expect("a stream ends with its trailer") + name.len();
    let end = answer[at..].find("\r\n").expect("a trailer is a line") + at;
    format!("{} {error}{}", &answer[..at], &answer[end..])
}
