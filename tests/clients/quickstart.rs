//! The session of Go's documentation (quickstart; deployment: setup, bootstrap; guides: pinning, backups), typed with Go's programs and then with ours.
use crate::harness::Test;
use crate::host::{Host, Place, Whose, plain};
use crate::judge::{Answer, Judge};

/// What is typed once both peers see each other; `{..}` stands for an ID, a CID or a file.
const TYPED: [(usize, &str); 25] = [
    (0, "ipfs-cluster-ctl id"),
    (1, "ipfs-cluster-ctl id"),
    (0, "ipfs-cluster-ctl peers ls"),
    (1, "ipfs-cluster-ctl peers ls"),
    (0, "ipfs-cluster-ctl version"),
    (0, "ipfs-cluster-ctl --enc=json version"),
    (0, "ipfs-cluster-ctl pin ls"),
    (0, "ipfs-cluster-ctl pin add --wait --name site {site}"),
    (0, "ipfs-cluster-ctl status {site}"),
    (0, "ipfs-cluster-ctl status"),
    (0, "ipfs-cluster-ctl pin ls"),
    (0, "ipfs-cluster-ctl pin ls {site}"),
    (0, "ipfs-cluster-ctl pin add --wait --replication-min 1 --replication-max 1 --allocations {node1} {book}"),
    (0, "ipfs-cluster-ctl status {book}"),
    (0, "ipfs-cluster-ctl status --filter pinned"),
    (0, "ipfs-cluster-ctl recover {site}"),
    (0, "ipfs-cluster-ctl recover"),
    (0, "ipfs-cluster-ctl health metrics"),
    (0, "ipfs-cluster-ctl health metrics freespace"),
    (0, "ipfs-cluster-ctl health alerts"),
    (0, "ipfs-cluster-ctl pin update --wait {site} {news}"),
    (0, "ipfs-cluster-ctl pin rm --wait {site}"),
    (0, "ipfs-cluster-ctl status {site}"),
    (0, "ipfs-cluster-ctl pin rm {site}"),
    (0, "ipfs-cluster-ctl peers rm {node1}"),
];

/// A backup, and a peer that starts from it; no daemon runs.
const BACKUP: [&str; 6] = [
    "ipfs-cluster-service state export",
    "ipfs-cluster-service state export --file {backup}",
    "ipfs-cluster-service state cleanup --force",
    "ipfs-cluster-service state export",
    "ipfs-cluster-service state import --force {backup}",
    "ipfs-cluster-service state export",
];

#[test]
fn a_session_of_gos_documentation_goes_the_same_way() {
    let test = Test::new();
    let places = ["kubo0", "kubo1"].map(|name| Place::new(&test.path(name)));
    places[1].kubo.connect(&places[0].kubo);
    let cids = ["site", "book", "news"].map(|name| (name, places[0].kubo.add(name.as_bytes())));
    let [go, ours] = Whose::BOTH.map(|whose| {
        let folder = test.path(&format!("{whose:?}"));
        std::fs::create_dir(&folder).expect("a folder can be made");
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let hosts =
            [0, 1].map(|number| Host::new(whose, &places[number], folder.join(format!("node{number}")), &secret));
        let mut names: Vec<_> = cids.iter().map(|(name, cid)| ((*name).to_owned(), cid.clone())).collect();
        names.push(("backup".into(), folder.join("backup.json").to_string_lossy().into_owned()));
        Session { hosts, names, typed: Vec::new() }.run()
    });
    let mut judge = Judge::new("quickstart");
    assert_eq!(go.len(), ours.len());
    for ((line, gos), (_, our)) in go.into_iter().zip(ours) {
        judge.compare(&line, &[gos, our]);
    }
    judge.finish();
}

struct Session<'a> {
    hosts: [Host<'a>; 2],
    names: Vec<(String, String)>,
    typed: Vec<(String, Answer)>,
}

impl Session<'_> {
    fn run(mut self) -> Vec<(String, Answer)> {
        self.set_up();
        for (host, line) in TYPED {
            self.types(host, line);
        }
        self.ends(1);
        self.ends(0);
        for line in BACKUP {
            self.types(0, line);
        }
        self.hosts[0].starts("ipfs-cluster-service daemon");
        self.types(0, "ipfs-cluster-ctl pin ls");
        self.types(0, "ipfs-cluster-ctl pin rm --no-status {news}");
        self.types(0, "ipfs-cluster-ctl pin rm --no-status {book}");
        self.types(0, "ipfs-cluster-ctl pin ls");
        self.ends(0);
        self.typed
    }

    /// Two peers that see each other.
    fn set_up(&mut self) {
        self.types(0, "ipfs-cluster-service init");
        self.hosts[0].starts("ipfs-cluster-service daemon");
        self.types(0, "ipfs-cluster-ctl id");
        self.types(1, "ipfs-cluster-service init");
        let address = self.hosts[0].address();
        self.hosts[1].starts(&format!("ipfs-cluster-service daemon --bootstrap {address}"));
        for host in &self.hosts {
            host.until("ipfs-cluster-ctl peers ls", |peers| peers.matches("Sees 1 other peers").count() == 2);
            // Those are what a peer is chosen by.
            for metric in ["tag:group", "freespace"] {
                let line = format!("ipfs-cluster-ctl health metrics {metric}");
                host.until(&line, |metrics| metrics.lines().count() == 2);
            }
        }
        self.names.push(("node1".into(), self.hosts[1].id()));
    }

    fn types(&mut self, host: usize, line: &str) {
        let filled =
            self.names.iter().fold(line.to_owned(), |line, (name, text)| line.replace(&format!("{{{name}}}"), text));
        let answer = self.hosts[host].types(&filled, |text| plain(text, &self.hosts, line));
        self.typed.push((format!("{} $ {line}", self.hosts[host].name), answer));
    }

    fn ends(&mut self, host: usize) {
        let code = self.hosts[host].interrupts();
        let answer = Answer { code: format!("{code:?}"), stdout: String::new(), stderr: String::new() };
        self.typed.push((format!("{} ^C", self.hosts[host].name), answer));
    }
}
