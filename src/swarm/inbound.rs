//! Streams that peers open to us, one event each: bursts wait in the event queue, and what finds it full is reset.
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, InboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, StreamProtocol};
use tokio::sync::mpsc;

use super::counts::Counters;
use super::event::Event;

/// Hands inbound streams of some protocols on.
pub struct Behaviour {
    protocols: Arc<[StreamProtocol]>,
    events: mpsc::Sender<Event>,
    counters: Arc<Counters>,
}

impl Behaviour {
    /// Accepts `protocols`.
    pub fn new(protocols: Vec<StreamProtocol>, events: mpsc::Sender<Event>, counters: Arc<Counters>) -> Self {
        Self { protocols: protocols.into(), events, counters }
    }

    fn handler(&self, peer: PeerId) -> Handler {
        let (protocols, events, counters) = (self.protocols.clone(), self.events.clone(), self.counters.clone());
        Handler { peer, protocols, events, counters }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// The part of [`Behaviour`] in one connection.
pub struct Handler {
    peer: PeerId,
    protocols: Arc<[StreamProtocol]>,
    events: mpsc::Sender<Event>,
    counters: Arc<Counters>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Accept;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(Accept(self.protocols.clone()), ())
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Accept, DeniedUpgrade>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: (stream, protocol), ..
        }) = event
        {
            match self.events.try_send(Event::Stream { peer: self.peer, protocol, stream }) {
                Ok(()) => self.counters.streams_accepted.add(1),
                Err(_) => self.counters.streams_dropped.add(1),
            }
        }
    }
}

/// Negotiates one of the protocols and hands the stream out as it is.
pub struct Accept(Arc<[StreamProtocol]>);

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.to_vec()
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
