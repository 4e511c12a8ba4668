//! Finding each other again.
use std::time::Duration;

use ipfs_cluster::swarm::Args;
use ipfs_cluster::task;

use crate::node::{Node, args, own_address, start, start_with, until};

fn sees(node: &Node, others: &[&Node]) -> bool {
    others.iter().all(|other| node.swarm.connected().contains(&other.id()))
}

/// The arguments of a peer that comes back as the same peer at the same address.
fn steady() -> Args {
    Args { listen: vec![own_address()], ..args() }
}

#[tokio::test]
async fn three_peers_are_connected_again_after_one_restarts() {
    let a = start_with(&[]).await;
    let args = Args { addresses: vec![a.address()], ..steady() };
    let b = start(args.clone()).await;
    let c = start_with(&[a.address(), b.address()]).await;
    until("all connected", || sees(&a, &[&b, &c]) && sees(&b, &[&a, &c]) && sees(&c, &[&a, &b])).await;
    b.task.stop().await.unwrap();
    let id = b.swarm.own_id();
    until("the others notice", || !a.swarm.connected().contains(&id) && !c.swarm.connected().contains(&id)).await;
    let b = start(args).await;
    let begun = task::now();
    until("all connected again", || sees(&a, &[&b, &c]) && sees(&b, &[&a, &c]) && sees(&c, &[&a, &b])).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_address_that_is_dead_at_first_is_dialled_until_it_lives() {
    let args = steady();
    let a = start(args.clone()).await;
    let address = a.address();
    a.task.stop().await.unwrap();
    let b = start_with(&[address]).await;
    until("a dial fails", || b.swarm.counts().dials_failed > 0).await;
    let a = start(args).await;
    until("connected", || sees(&b, &[&a])).await;
}

#[tokio::test]
async fn peers_of_the_file_are_dialled_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peerstore");
    let a = start_with(&[]).await;
    let mut first = args();
    first.addresses = vec![a.address()];
    first.peerstore = Some(path.clone());
    let mut b = start(first.clone()).await;
    b.subscribed(a.id()).await;
    b.task.stop().await.unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains(&a.address().to_string()));
    first.addresses.clear();
    let b = start(first).await;
    until("connected from the file alone", || sees(&b, &[&a])).await;
}

#[tokio::test]
async fn two_that_met_through_a_third_connect_with_the_addresses_it_hands_on() {
    let a = start_with(&[]).await;
    let b = start_with(&[a.address()]).await;
    let c = start_with(&[a.address()]).await;
    until("both are with a", || sees(&a, &[&b, &c])).await;
    b.swarm.add_addresses(c.id(), &[c.address()]);
    until("connected", || sees(&b, &[&c])).await;
}

#[tokio::test]
async fn peers_find_each_other_through_the_hash_table() {
    let with_table = |addresses| {
        let mut args = args();
        args.dht = true;
        args.addresses = addresses;
        args
    };
    let a = start(with_table(vec![])).await;
    let b = start(with_table(vec![a.address()])).await;
    let c = start(with_table(vec![a.address()])).await;
    until("b and c are connected", || sees(&b, &[&c])).await;
}
