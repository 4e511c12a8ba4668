//! Signs and verifies under a domain: what it is, and for which cluster.
use libp2p::identity::{Keypair, PublicKey};

use super::codec::{ensure, put_sized};
use crate::crdt::Refused;
use crate::model::PeerId;

/// Greatest length of a signature: RSA-4096.
pub const SIGNATURE_MAX: usize = 512;

/// Greatest length of a public key that is sent along: RSA-4096 with its framing, with room.
pub const KEY_MAX: usize = 1024;

/// What keeps signatures of one purpose and cluster from serving another.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    /// What is signed.
    pub purpose: &'static str,
    /// The cluster's name.
    pub cluster: &'a str,
}

impl Domain<'_> {
    fn message(&self, fields: &[u8]) -> Vec<u8> {
        let mut message = self.purpose.as_bytes().to_vec();
        put_sized(&mut message, self.cluster.as_bytes());
        message.extend_from_slice(fields);
        message
    }

    /// Signs `fields`.
    ///
    /// # Panics
    /// When the key cannot sign, which a key in memory always can.
    pub fn sign(&self, keypair: &Keypair, fields: &[u8]) -> Vec<u8> {
        keypair.sign(&self.message(fields)).expect("a private key in memory signs")
    }

    /// Verifies that `signer` signed `fields`; `key` is its public key where its peer id does not hold it.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub fn verify(&self, signer: &PeerId, key: &[u8], fields: &[u8], signature: &[u8]) -> Result<(), Refused> {
        let key = public_key(signer, key)?;
        ensure(key.verify(&self.message(fields), signature), "the signature is not its author's")
    }
}

/// The bytes of the public key to send along: none when the peer id holds it.
pub fn key_to_send(keypair: &Keypair) -> Vec<u8> {
    let public = keypair.public();
    match inline_key(&public.to_peer_id()) {
        Some(_) => Vec::new(),
        None => public.encode_protobuf(),
    }
}

fn public_key(signer: &PeerId, key: &[u8]) -> Result<PublicKey, Refused> {
    let inline = inline_key(signer);
    let bytes = match (&inline, key.is_empty()) {
        (Some(inline), true) => inline,
        (None, false) => key,
        (Some(_), false) | (None, true) => return Err(Refused::Malformed("a public key where none belongs, or none")),
    };
    let public = PublicKey::try_decode_protobuf(bytes).map_err(|_| Refused::Malformed("no public key"))?;
    ensure(public.to_peer_id() == *signer && public.encode_protobuf() == bytes, "the public key is not its author's")?;
    Ok(public)
}

/// The encoded key that a peer id holds whole.
fn inline_key(peer: &PeerId) -> Option<Vec<u8>> {
    const IDENTITY: u64 = 0;
    (peer.as_ref().code() == IDENTITY).then(|| peer.as_ref().digest().to_vec())
}
