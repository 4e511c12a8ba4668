use super::*;
use crate::ipfs::fake::Fake;
use crate::monitor::Absent;

/// Informers whose messages are kept; time is virtual.
struct Bench {
    daemon: Fake,
    sent: Arc<Mutex<Vec<Metric>>>,
    queue: Arc<Mutex<Option<u64>>>,
    leaving: watch::Sender<bool>,
    bell: watch::Sender<()>,
    members: Arc<Members>,
    task: Task,
}

fn bench(change: impl FnOnce(&mut Args), prepare: impl FnOnce(&Fake)) -> Bench {
    let daemon = Fake::default();
    prepare(&daemon);
    let (sent, queue) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Some(250))));
    let (told, length) = (sent.clone(), queue.clone());
    let (own, bell, leaving) = (PeerId::random(), watch::Sender::new(()), watch::Sender::new(false));
    let members = Arc::new(Members::new(own, "ping".into()));
    let mut args = Args {
        own,
        peername: "rust".into(),
        ping_interval: Duration::from_secs(15),
        check_interval: Duration::from_secs(15),
        disk: None,
        tags: None,
        pinqueue: None,
        ipfs: Arc::new(daemon.clone()),
        ipfs_id: Arc::new(IpfsId::new(Arc::new(daemon.clone()))),
        publish: Box::new(move |bytes| {
            told.lock().unwrap().push(wire::metric::decode(&bytes).unwrap());
            true
        }),
        members: members.clone(),
        queue_size: Arc::new(move || length.lock().unwrap().ok_or(TrackerError::Ended)),
        grace: Duration::from_mins(5),
        keep: Arc::new(|_| Ok(())),
        alerts: None,
        share: None,
        leaving: leaving.subscribe(),
        trigger: watch::Sender::new(()).subscribe(),
        bell: bell.clone(),
    };
    change(&mut args);
    Bench { daemon, sent, queue, leaving, bell, members, task: spawn(args) }
}

fn disk(reposize: bool) -> impl FnOnce(&mut Args) {
    move |args| args.disk = Some(Disk { ttl: Duration::from_secs(30), reposize })
}

impl Bench {
    /// Lets `time` pass; returns the values and weights of what was told meanwhile under `name`.
    async fn told(&self, name: &str, time: Duration) -> Vec<(String, i64)> {
        tokio::time::sleep(time).await;
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        sent.into_iter().filter(|metric| metric.name == name).map(|metric| (metric.value, metric.weight)).collect()
    }
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn pings_go_on_while_the_daemon_hangs() {
    let bench = bench(|_| (), |daemon| daemon.set_hung(true));
    let pings = bench.told("ping", Duration::from_secs(599)).await;
    assert_eq!(pings.len(), 40);
    assert!(pings.iter().all(|(value, _)| value == r#"{"peer_name":"rust"}"#));
    assert_eq!(bench.members.metrics("ping", task::wall()).len(), 1);
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_daemons_identity_is_told_as_soon_as_it_is_known() {
    let bench = bench(|_| (), |daemon| daemon.set_away(true));
    assert_eq!(bench.told("ping", Duration::from_secs(1)).await.len(), 1);
    bench.daemon.set_away(false);
    let pings = bench.told("ping", Duration::from_secs(15)).await;
    assert!(pings.iter().any(|(value, _)| value.contains("ipfs_id")), "{pings:?}");
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bell_tells_everything_again_at_once_and_many_bells_once_a_second() {
    let bench = bench(disk(false), |_| ());
    bench.told("", Duration::from_secs(1)).await;
    for _ in 0..100 {
        bench.bell.send_replace(());
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    let sent: Vec<String> = bench.sent.lock().unwrap().iter().map(|metric| metric.name.clone()).collect();
    assert!(sent.contains(&"freespace".to_owned()) && sent.contains(&"ping".to_owned()), "{sent:?}");
    assert!(sent.len() <= 4, "{sent:?}");
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_repository_tells_nothing_until_there_is_space() {
    let bench = bench(disk(false), |daemon| daemon.set_repo(4, 10));
    assert_eq!(bench.told("freespace", Duration::from_secs(1)).await, [("6".to_owned(), 6)]);
    bench.daemon.set_repo(12, 10);
    bench.told("freespace", Duration::from_secs(15)).await;
    bench.bell.send_replace(());
    assert!(bench.told("freespace", MINUTE).await.is_empty());
    bench.daemon.set_repo(9, 10);
    assert_eq!(bench.told("freespace", Duration::from_secs(15)).await, [("1".to_owned(), 1)]);
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_away_is_asked_again_soon() {
    let bench = bench(disk(true), |daemon| daemon.set_away(true));
    assert!(bench.told("reposize", MINUTE).await.is_empty());
    bench.daemon.set_away(false);
    let told = bench.told("reposize", RETRY).await;
    assert_eq!(told, [("1".to_owned(), -1)]);
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn tags_and_the_queue_are_told_and_a_queue_that_cannot_be_read_is_not() {
    let second = Duration::from_secs(1);
    let change = |args: &mut Args| {
        args.tags = Some((Duration::from_secs(30), BTreeMap::from([("group".into(), "a".into())])));
        args.pinqueue = Some((Duration::from_secs(30), 100));
    };
    let bench = bench(change, |_| ());
    assert_eq!(bench.told("tag:group", second).await, [("a".to_owned(), 0)]);
    assert_eq!(bench.told("pinqueue", second * 15).await, [("250".to_owned(), -2)]);
    *bench.queue.lock().unwrap() = None;
    assert!(bench.told("pinqueue", MINUTE).await.is_empty());
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn that_a_peer_leaves_is_told_for_as_long_as_it_does_and_its_end_at_once() {
    let second = Duration::from_secs(1);
    let bench = bench(|_| (), |_| ());
    assert!(bench.told(LEAVING, MINUTE).await.is_empty());
    bench.leaving.send_replace(true);
    assert_eq!(bench.told(LEAVING, second).await.len(), 1);
    assert_eq!(bench.members.leaving(task::wall()).len(), 1);
    assert_eq!(bench.told(LEAVING, MINUTE).await.len(), 4);
    assert_eq!(bench.members.leaving(task::wall()).len(), 1);
    bench.leaving.send_replace(false);
    assert_eq!(bench.told(LEAVING, second).await.len(), 1);
    assert!(bench.members.leaving(task::wall()).is_empty());
    bench.bell.send_replace(());
    assert!(bench.told(LEAVING, MINUTE).await.is_empty());
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_panics_ends_the_informers_with_an_error() {
    let mut bench = bench(|args| args.publish = Box::new(|_| panic!("the swarm is gone")), |_| ());
    assert!(bench.task.ended().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn much_that_is_pinned_has_space_and_queue_told_before_their_time_and_once_a_second() {
    let trigger = watch::Sender::new(());
    let rung = trigger.subscribe();
    let bench = bench(
        move |args| {
            disk(false)(args);
            args.pinqueue = Some((Duration::from_secs(30), 100));
            args.trigger = rung;
        },
        |_| (),
    );
    assert_eq!(bench.told("freespace", Duration::from_secs(5)).await.len(), 1);
    for _ in 0..100 {
        trigger.send_replace(());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = std::mem::take(&mut *bench.sent.lock().unwrap());
    for name in ["freespace", "pinqueue"] {
        let told = sent.iter().filter(|metric| metric.name == name).count();
        assert!((2..=4).contains(&told), "{name} was told {told} times in four seconds");
    }
    bench.task.stop().await.unwrap();
}

fn ping_of(peer: PeerId) -> Metric {
    crate::cluster::testing::metric_of("ping", peer, 0)
}

fn alerts() -> Arc<Alerts> {
    Arc::new(Alerts::new(Vec::new(), Arc::default()).0)
}

#[tokio::test(start_paused = true)]
async fn who_lived_before_and_is_not_heard_within_the_grace_is_an_alert_once() {
    let (heard, lost, alerts) = (PeerId::random(), PeerId::random(), alerts());
    let shown = alerts.clone();
    let bench = bench(|args| args.alerts = Some(alerts), |_| ());
    bench.members.wait_for(Absent::new([ping_of(heard), ping_of(lost)], &[]));
    tokio::time::sleep(MINUTE * 4).await;
    bench.members.receive(ping_of(heard), task::wall());
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(shown.count(), 0);
    for _ in 0..10 {
        tokio::time::sleep(MINUTE).await;
        assert_eq!(shown.all().iter().map(|alert| alert.metric.peer).collect::<Vec<_>>(), [lost]);
    }
    bench.task.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_lives_is_written_down_every_minute_and_at_the_end() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (written, other, absent) = (kept.clone(), PeerId::random(), PeerId::random());
    let keep: Keep = Arc::new(move |lives| {
        written.lock().unwrap().push(lives.iter().map(|ping| ping.peer).collect::<Vec<_>>());
        Ok(())
    });
    let bench = bench(|args| (args.alerts, args.keep) = (Some(alerts()), keep), |_| ());
    bench.members.receive(ping_of(other), task::wall());
    tokio::time::sleep(MINUTE * 3 + Duration::from_secs(1)).await;
    assert_eq!(*kept.lock().unwrap(), [[other], [other], [other]]);
    bench.members.wait_for(Absent::new([ping_of(absent)], &[]));
    bench.task.stop().await.unwrap();
    assert_eq!(kept.lock().unwrap()[3..], [[other, absent]], "who is still waited for is not forgotten");
}
