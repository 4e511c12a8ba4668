//! The peers that the recordings were made at, as ours: three, each with its Kubo, and the content that was added.
use serde_json::{Value, json};

use crate::compare::differences;
use crate::exceptions::{Exception, exceptions};
use crate::exchange::{Answer, ask};
use crate::harness::{Peer, Test};
use crate::names::{Names, documents};
use crate::recording::Recording;
use crate::schema::Document;

/// Uploads whose content the later recordings are about; `/add` itself is not replayed.
const UPLOADS: [(&str, &str); 23] = [
    ("add-file", "add?"),
    ("add-file-b", "add?"),
    ("add-dir", "add?"),
    ("add-dir-wrap", "add?wrap-with-directory=true"),
    ("add-wrap", "add?wrap-with-directory=true"),
    ("add-implied-dirs", "add?"),
    ("add-two-files", "add?"),
    ("add-symlink", "add?"),
    ("add-empty-file", "add?"),
    ("add-empty-dir", "add?"),
    ("add-no-filename", "add?"),
    ("add-cid-v1", "add?cid-version=1"),
    ("add-cid-v1-no-raw", "add?cid-version=1&raw-leaves=false"),
    ("add-cid-v1-dir", "add?cid-version=1"),
    ("add-hash", "add?hash=sha3-512&cid-version=1"),
    ("add-local", "add?"),
    ("add-local-alloc", "add?"),
    ("add-chunker", "add?chunker=size-1024"),
    ("add-chunker-rabin", "add?chunker=rabin-512-1024-2048"),
    ("add-options", "add?"),
    ("add-user-allocations", "add?"),
    ("add-no-pin", "add?"),
    ("add-car", "dag/import?pin-roots=false"),
];

/// Peers, what is compared with them, and what was found.
pub struct Stage {
    peers: Vec<Peer>,
    there: Names,
    here: Names,
    exceptions: Vec<Exception>,
    document: Document,
    faults: Vec<String>,
}

/// What each peer of the recordings has in its configuration.
pub fn configure(peer: &Peer, number: usize) {
    peer.configure(|config| {
        config["cluster"]["peer_addresses"] = json!([]);
        config["informer"]["tags"]["tags"] = json!({"group": format!("g{number}")});
        config["ipfs_connector"]["ipfshttp"]["pin_timeout"] = json!("3s");
    });
}

impl Stage {
    /// Takes running peers; `told` are recordings that say which ID is whose.
    pub fn new(peers: Vec<Peer>, told: &[&str]) -> Self {
        let mut there = Names::default();
        for name in told {
            learn(&mut there, &Recording::read(name).answer);
        }
        let mut here = Names::default();
        for peer in &peers {
            peer.json(["id"]).iter().for_each(|id| here.learn(id));
        }
        Self { peers, there, here, exceptions: exceptions(), document: Document::new(), faults: Vec::new() }
    }

    pub fn peer(&self, number: usize) -> &Peer {
        &self.peers[number]
    }

    pub fn peer_mut(&mut self, number: usize) -> &mut Peer {
        &mut self.peers[number]
    }

    /// Puts what was uploaded into the first daemon.
    pub fn content(&self) {
        let kubo = self.peers[0].kubo().api().rsplit('/').next().and_then(|port| port.parse().ok());
        let kubo = kubo.expect("Kubo listens on TCP");
        for (name, options) in UPLOADS {
            let mut recording = Recording::read(name);
            recording.target = format!("/api/v0/{options}&pin=false");
            assert_eq!(ask(kubo, &recording, str::to_owned).status, "200 OK", "{name}");
        }
    }

    /// Makes the pinset that the uploads left behind.
    pub fn upload(&self) {
        self.content();
        let listed = Recording::read("allocations-filter-pin").answer;
        for pin in documents(&listed.text()).expect("pins are JSON") {
            let cid = pin["cid"].as_str().unwrap_or_default();
            let is_missing = self.exceptions.iter().any(|exception| exception.name == "*" && exception.cid == cid);
            // These are pinned by the recordings themselves.
            if !is_missing
                && !matches!(pin["name"].as_str(), Some("gone" | "gone2" | "deep" | "dir-a" | "updated" | "web site&"))
            {
                self.pin(&pin);
            }
        }
        let bee = "QmaRWDKmPxm3ivXqQGLrHsrp9bg2236FND6cHUo3jm22bD?name=bee&meta-kind=text&replication=2";
        self.put(&format!("{bee}&user-allocations={},{}", self.peers[0].id(), self.peers[1].id()));
    }

    fn pin(&self, pin: &Value) {
        let text = |name: &str| pin[name].as_str().unwrap_or_default().to_owned();
        let texts = |name: &str| {
            let list: Vec<_> = pin[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            list.join(",")
        };
        let mut query = vec![
            format!("name={}", text("name")),
            format!("replication-min={}", pin["replication_factor_min"]),
            format!("replication-max={}", pin["replication_factor_max"]),
            format!("shard-size={}", pin["shard_size"]),
            format!("origins={}", texts("origins")),
            format!("user-allocations={}", self.there.translate(&texts("allocations"), &self.here)),
        ];
        if !text("expire_at").starts_with("0001") {
            query.push(format!("expire-at={}", text("expire_at")));
        }
        let metadata = pin["metadata"].as_object().into_iter().flatten();
        query.extend(metadata.map(|(key, value)| format!("meta-{key}={}", value.as_str().unwrap_or_default())));
        self.put(&format!("{}?{}", text("cid"), query.join("&")));
    }

    /// Pins, with options in the query.
    pub fn put(&self, target: &str) {
        let (code, body) = crate::harness::request(self.peers[0].rest_port(), "POST", &format!("/pins/{target}"))
            .expect("the API answers");
        assert_eq!(code, 200, "{target}: {body}");
    }

    /// Asks the peer of that number what the recording asked, and compares.
    pub fn replay(&mut self, number: usize, name: &str) {
        let recording = Recording::read(name);
        let translate = |text: &str| self.there.translate(text, &self.here);
        let found = ask(self.peers[number].rest_port(), &recording, translate);
        learn(&mut self.here, &found);
        let said = self.document.judge(&recording.method, &recording.target, &found);
        self.faults
            .extend(said.into_iter().flatten().map(|fault| format!("{name}: not as the document says: {fault}")));
        self.judge(name, &recording.answer, &found);
    }

    /// An exception has to be one, or it goes from the list.
    fn judge(&mut self, name: &str, recorded: &Answer, found: &Answer) {
        let fitting: Vec<_> = self.exceptions.iter().filter(|exception| exception.fits(name)).cloned().collect();
        // Single documents are compared, or excepted, as a whole.
        let is_stream = !recorded.trailers.is_empty();
        let rows = fitting.iter().filter(|_| is_stream);
        let apart: Vec<_> = rows.map(|fit| fit.cid.clone()).filter(|cid| !cid.is_empty()).collect();
        let compare = |apart: &[String]| differences(recorded, found, &self.there, &self.here, apart);
        let is_excepted = fitting.iter().any(|fit| fit.cid.is_empty());
        let differences = compare(&apart);
        let mut faults = Vec::new();
        let is_open = fitting.iter().any(|fit| fit.varies && fit.cid.is_empty());
        if is_excepted == differences.is_empty() && !is_open {
            faults.push(if is_excepted {
                "is excepted, and is answered alike".into()
            } else {
                differences.join("\n  ")
            });
        }
        let steady = |cid: &String| !fitting.iter().any(|fit| fit.varies && fit.cid == *cid);
        for at in (0..apart.len()).filter(|at| recorded.text().contains(&apart[*at]) && steady(&apart[*at])) {
            let mut fewer = apart.clone();
            let cid = fewer.remove(at);
            if !is_excepted && compare(&fewer).is_empty() {
                faults.push(format!("{cid} is excepted, and is answered alike"));
            }
        }
        faults.retain(|fault| !fault.is_empty());
        self.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
    }

    /// Fails with all that was found.
    pub fn finish(self) {
        let log = self.peers.first().map(|peer| crate::common::process::tail(&peer.log())).unwrap_or_default();
        assert!(self.faults.is_empty(), "{} faults:\n{}\n\n{log}", self.faults.len(), self.faults.join("\n"));
    }
}

fn learn(names: &mut Names, answer: &Answer) {
    for document in documents(&answer.text()).into_iter().flatten() {
        names.learn(&document);
    }
}

/// Three running peers of the recordings, as [`Test::peers`].
pub fn three(test: &Test) -> Vec<Peer> {
    let mut peers: Vec<Peer> = (0..3).map(|n| test.peer(&format!("peer{n}"))).collect();
    let first = peers[0].swarm_address();
    for (number, peer) in peers.iter_mut().enumerate() {
        configure(peer, number);
        if number == 0 { peer.start(&[]) } else { peer.start(&["--bootstrap", &first]) }
    }
    for peer in &peers {
        peer.wait_for_members(3);
        for other in &peers {
            peer.kubo().connect(other.kubo());
        }
    }
    peers
}
