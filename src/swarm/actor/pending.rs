//! Dials under way.
use libp2p::PeerId;
use tokio::sync::oneshot;

use super::redial::Target;
use crate::swarm::handle::DialError;

/// A dial under way.
#[derive(Debug)]
pub struct Pending {
    /// Why.
    pub cause: Cause,
    /// Who waits for it.
    pub reply: Option<oneshot::Sender<Result<PeerId, DialError>>>,
}

/// Why somebody is dialled.
#[derive(Debug)]
pub enum Cause {
    /// A target of ours.
    Target(Target),
    /// A find on the local network.
    Found,
    /// A caller's wish.
    Asked,
}
