use std::collections::VecDeque;
use std::sync::Mutex;

use futures::FutureExt;
use serde_json::Value;
use tokio::time::Instant;

use super::*;
use crate::cluster::testing::metric_of;
use crate::model::UnixMillis;
use crate::task::Task;

/// A peer with a ledger and a receiver that is made up.
struct Bench {
    own: PeerId,
    ledger: Arc<LedgerDb>,
    /// What the receiver answers next; it takes what comes when there is nothing left.
    answers: Arc<Mutex<VecDeque<Result<(), String>>>>,
    /// What it was sent, and when.
    got: Arc<Mutex<Vec<(Instant, Value)>>>,
    calls: watch::Sender<()>,
    kept: watch::Sender<()>,
    counts: Arc<Counts>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Arc::new(LedgerDb::open(folder.path()).unwrap());
        ledger.begin_webhook().unwrap();
        Self {
            own: PeerId::random(),
            ledger,
            answers: Arc::default(),
            got: Arc::default(),
            calls: watch::Sender::new(()),
            kept: watch::Sender::new(()),
            counts: Arc::default(),
            _folder: folder,
        }
    }

    fn start(&self) -> Task {
        let (answers, got, calls) = (self.answers.clone(), self.got.clone(), self.calls.clone());
        let deliver = Box::new(move |body: Bytes| {
            let answer = answers.lock().unwrap().pop_front().unwrap_or(Ok(()));
            got.lock().unwrap().push((Instant::now(), serde_json::from_slice(&body).unwrap()));
            calls.send_replace(());
            async { answer }.boxed()
        });
        let courier = Courier::new(Args {
            own: self.own,
            peername: "rust".into(),
            ledger: self.ledger.clone(),
            deliver,
            receiver: "http://receiver".into(),
            kept: self.kept.subscribe(),
            counts: self.counts.clone(),
        });
        Task::spawn(|stop| courier.run(stop))
    }

    fn raise(&self, triggered: &[i64]) {
        let metric = |at: &i64| metric_of("ping", PeerId::random(), *at);
        let alerts = triggered.iter().map(|at| Alert { metric: metric(at), triggered: UnixMillis(*at) });
        self.ledger.add_alerts(&alerts.collect::<Vec<_>>()).unwrap();
        self.kept.send_replace(());
    }

    fn refuse(&self, times: usize) {
        self.answers.lock().unwrap().extend(vec![Err("it is away".to_owned()); times]);
    }

    /// Waits until the receiver was called so often; returns the weights of what it was sent.
    async fn called(&self, times: usize) -> Vec<i64> {
        let mut calls = self.calls.subscribe();
        while self.got.lock().unwrap().len() < times {
            calls.changed().await.unwrap();
        }
        self.got.lock().unwrap().iter().map(|(_, body)| body["weight"].as_i64().unwrap()).collect()
    }

    fn waits(&self) -> Vec<u64> {
        let got = self.got.lock().unwrap();
        got.windows(2).map(|two| (two[1].0 - two[0].0).as_secs()).collect()
    }
}

fn now() -> i64 {
    task::wall().0
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_is_asked_more_and_more_seldom_and_then_gets_all_in_order() {
    let bench = Bench::new();
    let (first, second) = (now(), now() + 1);
    bench.raise(&[first, second]);
    bench.refuse(12);
    let task = bench.start();
    let told = bench.called(14).await;
    task.stop().await.unwrap();
    assert_eq!(told, [vec![first; 13], vec![second]].concat());
    assert_eq!(bench.waits(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 0]);
    let counts = bench.counts.all();
    assert_eq!((counts["webhooks_failed"], counts["webhooks_delivered"]), (12, 2));
}

#[tokio::test(start_paused = true)]
async fn a_success_makes_the_next_failure_the_first_one() {
    let bench = Bench::new();
    bench.refuse(3);
    bench.answers.lock().unwrap().push_back(Ok(()));
    bench.refuse(1);
    bench.raise(&[now(), now()]);
    let task = bench.start();
    bench.called(6).await;
    task.stop().await.unwrap();
    assert_eq!(bench.waits(), [1, 2, 4, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_with_what_was_not_taken_under_the_same_name() {
    let bench = Bench::new();
    let [one, two, three] = [1, 2, 3].map(|n| now() + n);
    bench.answers.lock().unwrap().push_back(Ok(()));
    bench.refuse(1);
    bench.raise(&[one, two]);
    let task = bench.start();
    bench.called(2).await;
    task.stop().await.unwrap();
    bench.raise(&[three]);
    let task = bench.start();
    assert_eq!(bench.called(4).await, [one, two, two, three]);
    task.stop().await.unwrap();
    let got = bench.got.lock().unwrap();
    let id = |n: usize| got[n].1["delivery_id"].as_str().unwrap().to_owned();
    assert_eq!((id(1), id(1).len()), (id(2), 32));
    assert!(id(0) != id(1) && id(1) != id(3) && id(0) != id(3));
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_it_rests_is_delivered_at_once() {
    let bench = Bench::new();
    let task = bench.start();
    for n in 1..=3 {
        bench.raise(&[now()]);
        bench.called(n).await;
    }
    task.stop().await.unwrap();
    assert_eq!(bench.waits(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn an_alert_of_yesterday_is_given_up() {
    let bench = Bench::new();
    let (old, fresh) = (now() - 86_401_000, now() - 80_000_000);
    bench.raise(&[old, old, fresh]);
    let task = bench.start();
    assert_eq!(bench.called(1).await, [fresh]);
    task.stop().await.unwrap();
    assert_eq!(bench.counts.all()["webhooks_given_up"], 2);
    assert_eq!(bench.ledger.begin_webhook().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_ring_lost_while_the_receiver_was_away_is_counted() {
    let bench = Bench::new();
    let first = now();
    bench.raise(&(first..first + 1_010).collect::<Vec<_>>());
    let task = bench.start();
    let told = bench.called(1_000).await;
    task.stop().await.unwrap();
    assert_eq!(told, (first + 10..first + 1_010).collect::<Vec<_>>());
    assert_eq!(bench.counts.all()["webhooks_given_up"], 10);
}

#[tokio::test]
async fn a_receiver_that_never_answers_does_not_hold_up_the_end() {
    let bench = Bench::new();
    bench.raise(&[now()]);
    let (called, mut calls) = watch::channel(());
    let courier = Courier::new(Args {
        own: bench.own,
        peername: "rust".into(),
        ledger: bench.ledger.clone(),
        deliver: Box::new(move |_| {
            called.send_replace(());
            std::future::pending().boxed()
        }),
        receiver: "http://receiver".into(),
        kept: bench.kept.subscribe(),
        counts: bench.counts.clone(),
    });
    let task = Task::spawn(|stop| courier.run(stop));
    calls.changed().await.unwrap();
    task.stop().await.unwrap();
    assert_eq!(bench.ledger.begin_webhook().unwrap(), 0);
    assert!(bench.counts.all().is_empty());
}
