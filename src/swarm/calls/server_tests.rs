use futures::AsyncReadExt;
use futures::stream;
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::*;
use crate::model::PeerInfo;

const RPC: &str = include_str!("../../../tests/vectors/rpc.txt");

fn recorded(name: &str) -> Vec<u8> {
    let line = RPC.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    hex::decode(line.unwrap()).unwrap()
}

/// Trusts everybody, or nobody.
struct Stub {
    trusts: bool,
}

impl Serve for Stub {
    fn trusted(&self, _: &PeerId) -> bool {
        self.trusts
    }

    fn call(&self, peer: PeerId, call: Call) -> BoxStream<'static, Result<Reply, String>> {
        match call {
            Call::Version => stream::iter([Ok(Reply::Version("1.1.6".into()))]).boxed(),
            Call::Id | Call::IdStream => {
                stream::iter([Ok(Reply::Id(Box::new(PeerInfo::failed(peer, String::new()))))]).boxed()
            }
            Call::StatusAll(_) => stream::iter([]).boxed(),
            Call::PeerAdd(_)
            | Call::Status(_)
            | Call::Recover(_)
            | Call::RecoverLocal(_)
            | Call::RecoverAllLocal
            | Call::Peers
            | Call::SwarmPeers
            | Call::RepoGc
            | Call::Drain(_) => stream::iter([Err(format!("no answer to {call:?}"))]).boxed(),
        }
    }
}

/// What the server answers to `request`, and what became of the call.
async fn served(trusts: bool, request: &[u8], ends: bool) -> (Vec<u8>, Result<Outcome, Broken>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (mut near, mut far) = (near.compat(), far.compat());
    near.write_all(request).await.unwrap();
    if ends {
        near.close().await.unwrap();
    }
    let serving = async {
        let outcome = answer(&mut far, PeerId::random(), &Stub { trusts }, &CallMeters::default()).await;
        drop(far);
        outcome
    };
    let mut bytes = Vec::new();
    let calling = async {
        near.read_to_end(&mut bytes).await.unwrap();
        near.close().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(serving, calling);
    (bytes, outcome)
}

#[tokio::test]
async fn refusals_are_gos_byte_for_byte() {
    for (name, trusts) in [
        ("out-refused-unary", true),
        ("out-refused-stream", true),
        ("out-untrusted-unary", false),
        ("out-untrusted-stream", false),
        ("out-untrusted-blockstream", false),
        ("out-unknown-method", true),
        ("out-unknown-service", true),
        ("in-cluster-repogclocal-refused", false),
        ("in-cluster-peers-refused", false),
    ] {
        let (bytes, outcome) = served(trusts, &recorded(&format!("{name}-request")), false).await;
        assert_eq!(hex::encode(bytes), hex::encode(recorded(&format!("{name}-response"))), "{name}");
        assert_eq!(outcome.unwrap(), Outcome::Refused, "{name}");
    }
}

#[tokio::test]
async fn a_unary_call_is_answered_while_the_caller_keeps_its_half_open() {
    let (bytes, outcome) = served(false, &recorded("out-version-request"), false).await;
    assert_eq!(hex::encode(bytes), hex::encode(recorded("out-version-response")));
    assert_eq!(outcome.unwrap(), Outcome::Served);
}

#[tokio::test]
async fn a_stream_of_ids_is_one_id_with_or_without_an_argument() {
    for name in ["out-idstream-no-argument-request", "out-idstream-one-argument-request"] {
        let (bytes, outcome) = served(false, &recorded(name), true).await;
        assert_eq!(outcome.unwrap(), Outcome::Served);
        let mut reader = Reader::default();
        let mut bytes = futures::io::Cursor::new(bytes);
        let mut values = 0;
        while reader.next(&mut bytes, 1000).await.unwrap().is_some() {
            values += 1;
        }
        assert_eq!(values, 2);
    }
}

#[tokio::test]
async fn a_stream_of_nothing_is_no_bytes() {
    let (bytes, outcome) = served(true, &recorded("out-statusall-unpinning-empty-request"), true).await;
    assert!(bytes.is_empty());
    assert_eq!(outcome.unwrap(), Outcome::Served);
}

#[tokio::test]
async fn an_argument_that_does_not_decode_is_the_servers_error() {
    let (bytes, outcome) = served(true, &recorded("out-bad-argument-request"), false).await;
    let mut reader = Reader::default();
    let header = reader.next(&mut futures::io::Cursor::new(bytes), 1000).await.unwrap().unwrap();
    let response = Response::decode(&header).unwrap();
    assert_eq!(response.kind, ErrorKind::Server);
    assert!(response.error.contains("invalid cid"), "{}", response.error);
    assert_eq!(outcome.unwrap(), Outcome::Malformed);
}

#[tokio::test]
async fn bytes_that_are_no_call_are_malformed() {
    for bytes in [vec![0xc1; 10], vec![0x91; 100], vec![0xdb, 0xff, 0xff, 0xff, 0xff, 0], vec![5], vec![]] {
        let (_, outcome) = served(true, &bytes, true).await;
        assert_eq!(outcome.unwrap(), Outcome::Malformed, "{bytes:?}");
    }
}

proptest::proptest! {
    #[test]
    fn hostile_requests_end_without_a_panic(mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60), known: bool) {
        if known {
            bytes.splice(0..0, recorded("out-status-pinned-request").into_iter().take(30));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _ = runtime.block_on(served(true, &bytes, true));
    }
}
