//! Four peers in a line: each is connected to its neighbours only.
use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use ipfs_cluster::crdt::{Rows, Table};
use ipfs_cluster::model::Multiaddr;
use ipfs_cluster::store::{Options, PINSET_FILE, PinsetDb, StoreError};
use ipfs_cluster::task;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::ports::free_port;
use crate::rig::{Home, Node, alone, until};

/// A door that lets in one connection: peers hand known addresses on, and nobody else is to come in. So it is shut until
/// the one who may is about to come, and after that.
struct Door {
    outside: u16,
    behind: u16,
}

impl Door {
    /// Puts a door before `home`, which lets nobody know where it really listens.
    fn before(home: &mut Home) -> Self {
        let (outside, behind) = (free_port(), free_port());
        let address = |port: u16| -> Multiaddr { format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap() };
        home.config.cluster.listen_multiaddress = vec![address(behind)];
        home.config.cluster.announce_multiaddress = vec![address(outside)];
        Self { outside, behind }
    }

    /// Opens; the job lets the one connection in, for as long as it runs.
    async fn open(self) -> impl Future<Output = ()> + Send + 'static {
        let listener = TcpListener::bind(("127.0.0.1", self.outside)).await.unwrap();
        Self::let_in(listener, self.behind)
    }

    async fn let_in(listener: TcpListener, behind: u16) {
        let (mut outside, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut inside = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
        for socket in [&outside, &inside] {
            socket.set_nodelay(true).unwrap();
        }
        // It ends with either side.
        let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
    }
}

/// Starts the peers, each dialling the one before it through that one's door.
async fn line(homes: &mut [Home; 4], doors: &mut JoinSet<()>) -> [Node; 4] {
    let mut nodes = Vec::new();
    let mut last_door: Option<Door> = None;
    for home in homes {
        let door = Door::before(home);
        let before = match nodes.last() {
            Some(node) => vec![Node::address(node).await],
            None => Vec::new(),
        };
        if let Some(door) = last_door.replace(door) {
            doors.spawn(door.open().await);
        }
        let node = home.start(&before).await;
        if let Some(last) = nodes.last() {
            let (last, node): (&Node, &Node) = (last, &node);
            until("the neighbours hear each other", || {
                [last, node].iter().all(|node| node.cluster.metrics("ping").len() >= 2)
            })
            .await;
        }
        nodes.push(node);
    }
    nodes.try_into().unwrap_or_else(|_| panic!("there are four"))
}

/// Drops the log of a pinset, as each peer may on its own decision: the pins stay, nobody can be brought up to them.
fn drop_log(folder: &Path) {
    let db = PinsetDb::open(folder, Options::default()).unwrap();
    let all = |rows: &mut dyn Rows| {
        let mut keys = Vec::new();
        rows.scan(Table::Changes, &[]..&[], &mut |key, _| {
            keys.push(key.to_vec());
            std::ops::ControlFlow::Continue(())
        })?;
        keys.iter().try_for_each(|key| rows.remove(Table::Changes, key))
    };
    db.write::<_, Failed>(|rows| Ok(all(rows)?)).unwrap();
}

#[derive(Debug)]
#[expect(dead_code, reason = "it is shown when a test fails")]
enum Failed {
    Store(StoreError),
    Rows(ipfs_cluster::crdt::RowsError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ipfs_cluster::crdt::RowsError> for Failed {
    fn from(error: ipfs_cluster::crdt::RowsError) -> Self {
        Self::Rows(error)
    }
}

const HISTORY: u32 = 50;
const ROUNDS: u32 = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fourth_has_a_change_at_once_though_the_second_lacks_its_history() {
    let _turn = alone().await;
    let mut homes = [Home::new(), Home::new(), Home::new(), Home::new()];
    let author = homes[0].start(&[]).await;
    author.pin_each(0..HISTORY).await;
    author.stop().await;
    drop_log(homes[0].folder.path());
    for home in [&homes[2], &homes[3]] {
        std::fs::copy(homes[0].folder.path().join(PINSET_FILE), home.folder.path().join(PINSET_FILE)).unwrap();
    }
    let mut doors = JoinSet::new();
    let [a, b, c, d] = line(&mut homes, &mut doors).await;
    until("the first's messages reach the fourth", || d.cluster.metrics("ping").len() == 4).await;
    let mut took = Vec::new();
    for n in HISTORY..HISTORY + ROUNDS {
        a.pin(n).await;
        let written = task::now();
        took.push(d.got(n).await.saturating_duration_since(written));
    }
    took.sort_unstable();
    println!("first to fourth in a line: median {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
    // What is lost comes with a heartbeat, a second later: nothing was.
    assert!(took[took.len() - 1] < Duration::from_millis(200), "{took:?}");
    // What a peer shows of itself follows its commit.
    until("three peers show every pin", || [&a, &c, &d].iter().all(|node| node.entries() == 65)).await;
    assert_eq!((b.entries(), b.has(HISTORY)), (0, false), "the second lacks what the changes stand on");
    assert!(b.summary().pending > 0 && b.counted("actors_out_of_reach") > 0);
    assert!(doors.join_next().now_or_never().is_none(), "every connection stands");
}
