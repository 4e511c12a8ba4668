//! What this peer answers when others call it.
use futures::stream::{self, BoxStream, StreamExt};

use crate::cluster::{Cluster, Error};
use crate::model::{PeerId, PinInfo};
use crate::swarm::calls::{Call, Reply, Serve};

/// Answers calls about a cluster; who may call what is the swarm's table.
pub struct Answers(pub Cluster);

impl Serve for Answers {
    fn trusted(&self, peer: &PeerId) -> bool {
        let inner = &self.0.inner;
        inner.trust().trusts(&inner.own, peer)
    }

    fn call(&self, _: PeerId, call: Call) -> BoxStream<'static, Result<Reply, String>> {
        let cluster = self.0.clone();
        match call {
            Call::Id | Call::IdStream => once(async move { Ok(Reply::Id(Box::new(cluster.id().await))) }),
            Call::Version => once(async move { Ok(Reply::Version(cluster.version())) }),
            // Membership comes from pings: joining changes nothing, and is answered with who joined, as in Go.
            Call::PeerAdd(peer) => {
                once(async move { Ok(Reply::Id(Box::new(cluster.add_peer(peer).await.map_err(text)?))) })
            }
            Call::Peers => cluster.peers().map(|info| Ok(Reply::Id(Box::new(info)))).boxed(),
            Call::SwarmPeers => once(async move {
                let peers = cluster.inner.ipfs.swarm_peers().await;
                peers.map(Reply::Peers).map_err(|error| error.to_string())
            }),
            // A follower's disk is its owner's: Go's followers refuse, too.
            Call::RepoGc if cluster.inner.follower => once(async { Err(Error::Follower.to_string()) }),
            Call::RepoGc => once(async move { Ok(Reply::Gc(Box::new(cluster.gc_local().await.map_err(text)?))) }),
            // So is what it holds.
            Call::Drain(_) if cluster.inner.follower => once(async { Err(Error::Follower.to_string()) }),
            Call::Drain(what) => once(async move { cluster.drain_own(what).await.map(Reply::Drain).map_err(text) }),
            Call::Status(cid) => once(async move { cluster.inner.local.status(cid).await.map(reply).map_err(text) }),
            Call::StatusAll(filter) => replies(cluster.inner.local.statuses(filter)),
            Call::Recover(cid) | Call::RecoverLocal(cid) => {
                once(async move { cluster.inner.local.recover(&cid).await.map(reply).map_err(text) })
            }
            Call::RecoverAllLocal => replies(cluster.inner.local.recover_all()),
        }
    }
}

fn once(
    answer: impl Future<Output = Result<Reply, String>> + Send + 'static,
) -> BoxStream<'static, Result<Reply, String>> {
    stream::once(answer).boxed()
}

fn replies(rows: BoxStream<'static, Result<PinInfo, Error>>) -> BoxStream<'static, Result<Reply, String>> {
    rows.map(|row| row.map(reply).map_err(text)).boxed()
}

fn reply(info: PinInfo) -> Reply {
    Reply::Status(Box::new(info))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn text(error: Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{Lone, cid};
    use crate::model::{Draining, PinOptions, StatusFilter, TrackerStatus, Trust};

    async fn ask(answers: &Answers, call: Call) -> Vec<Result<Reply, String>> {
        answers.call(PeerId::random(), call).collect().await
    }

    #[tokio::test]
    async fn a_peer_answers_for_itself() {
        let lone = Lone::start(|_| ()).await;
        let answers = Answers(lone.cluster.clone());
        lone.cluster.pin(cid(1), PinOptions::default()).await.unwrap();
        assert!(
            matches!(&ask(&answers, Call::Version).await[..], [Ok(Reply::Version(version))] if *version == lone.cluster.version())
        );
        assert!(
            matches!(&ask(&answers, Call::Id).await[..], [Ok(Reply::Id(info))] if info.id == lone.cluster.own_id())
        );
        let absent = ask(&answers, Call::Status(cid(2))).await;
        assert!(matches!(&absent[..], [Ok(Reply::Status(info))] if info.short.status == TrackerStatus::Unpinned));
        let all = ask(&answers, Call::StatusAll(StatusFilter::ALL)).await;
        assert!(matches!(&all[..], [Ok(Reply::Status(info))] if info.cid == cid(1)));
        assert!(matches!(&ask(&answers, Call::Recover(cid(1))).await[..], [Ok(Reply::Status(_))]));
        lone.stop().await;
    }

    #[tokio::test]
    async fn a_peer_is_drained_at_anothers_word_and_a_follower_is_not() {
        let lone = Lone::start(|_| ()).await;
        let answers = Answers(lone.cluster.clone());
        for (what, leaving) in [(Draining::Begin, true), (Draining::Look, true), (Draining::End, false)] {
            let answer = ask(&answers, Call::Drain(what)).await;
            assert!(matches!(&answer[..], [Ok(Reply::Drain(drain))] if drain.leaving == leaving), "{answer:?}");
        }
        drop(answers);
        lone.stop().await;
        let lone = Lone::start(|config| config.cluster.follower_mode = true).await;
        let answers = Answers(lone.cluster.clone());
        assert!(matches!(&ask(&answers, Call::Drain(Draining::Begin)).await[..], [Err(_)]));
        assert!(!lone.cluster.drain(lone.cluster.own_id(), Draining::Look).await.unwrap().leaving);
        drop(answers);
        lone.stop().await;
    }

    #[tokio::test]
    async fn joining_is_answered_with_who_joined_and_an_unknown_peer_is_an_error() {
        let lone = Lone::start(|_| ()).await;
        let answers = Answers(lone.cluster.clone());
        let own = lone.cluster.own_id();
        assert!(matches!(&ask(&answers, Call::PeerAdd(own)).await[..], [Ok(Reply::Id(info))] if info.id == own));
        assert!(matches!(&ask(&answers, Call::PeerAdd(PeerId::random())).await[..], [Err(_)]));
        lone.stop().await;
    }

    #[tokio::test]
    async fn those_are_trusted_that_the_list_of_now_has() {
        let lone = Lone::start(|config| config.crdt.trusted_peers = Trust::Only([].into())).await;
        let (answers, peer) = (Answers(lone.cluster.clone()), PeerId::random());
        assert!(!answers.trusted(&peer) && answers.trusted(&lone.cluster.own_id()));
        lone.cluster.set_trust(Trust::Only([peer].into())).await.unwrap();
        assert!(answers.trusted(&peer));
        lone.stop().await;
    }
}
