//! The connectivity graph in the DOT language, as Go's program draws it.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipfs_cluster::wire::rest::ConnectGraph;

const STYLE: &str = r#"style="filled" colorscheme="x11" fontcolor="black" fontname="Arial""#;

/// Draws a graph; daemons that belong to no peer of the cluster only when `all`.
pub fn dot(graph: &ConnectGraph, all: bool) -> String {
    let mut drawing = Drawing { text: String::new(), peers: BTreeMap::new(), daemons: BTreeMap::new() };
    drawing.text += "digraph cluster {\n/* The nodes of the connectivity graph */\n/* The cluster-service peers */\n";
    drawing.peers(graph);
    drawing.text += "\n/* The ipfs peers */\n";
    drawing.daemons(graph, all);
    drawing.text += "\n/* Edges representing active connections in the cluster */\n\
        /* The connections among cluster-service peers */\n";
    drawing.edges(&graph.cluster_links, |drawing| (&drawing.peers, &drawing.peers));
    drawing.text += "\n/* The connections between cluster peers and their ipfs daemons */\n";
    drawing.homes(graph);
    drawing.text += "\n/* The swarm peer connections among ipfs daemons in the cluster */\n";
    drawing.edges(&graph.ipfs_links, |drawing| (&drawing.daemons, &drawing.daemons));
    drawing.text += "}";
    drawing.text
}

/// Names of nodes by peer ID.
type Nodes = BTreeMap<String, String>;

struct Drawing {
    text: String,
    peers: Nodes,
    daemons: Nodes,
}

impl Drawing {
    fn peers(&mut self, graph: &ConnectGraph) {
        self.text += "subgraph  {\nrank=\"min\"\n";
        for (number, id) in graph.cluster_links.keys().enumerate() {
            let is_own = *id == graph.cluster_id;
            let is_trusted = graph.cluster_trust_links.get(id).copied().unwrap_or_default();
            let letter = if is_trusted && !is_own { 'T' } else { 'C' };
            let color = if is_trusted || is_own { "orange" } else { "darkorange3" };
            let rings = if is_own { " peripheries=\"2\"" } else { "" };
            let node = format!("{letter}{number}");
            let label = label(graph.id_to_peername.get(id).map_or("", String::as_str), &short(id));
            let shape = format!("shape=\"box3d\"{rings}");
            let _ =
                writeln!(self.text, "{node} [{label} group=\"{}\" color=\"{color}\" {STYLE} {shape} ]", escaped(id));
            self.peers.insert(id.clone(), node);
        }
        self.text += "}\n";
    }

    fn daemons(&mut self, graph: &ConnectGraph, all: bool) {
        self.text += "subgraph  {\nrank=\"max\"\n";
        let strangers = graph.ipfs_links.values().flatten().filter(|_| all);
        for id in graph.ipfs_links.keys().chain(strangers) {
            if !self.daemons.contains_key(id) {
                self.daemon(id, "turquoise3", &short(id));
            }
        }
        for id in graph.cluster_links.keys().filter(|id| !graph.cluster_to_ipfs.contains_key(*id)) {
            self.daemon(id, "firebrick1", "Errored");
        }
        self.text += "}\n";
    }

    fn daemon(&mut self, id: &str, color: &str, name: &str) {
        let node = format!("I{}", self.daemons.len());
        let (label, group) = (label("IPFS", name), escaped(id));
        let _ = writeln!(self.text, "{node} [{label} group=\"{group}\" color=\"{color}\" {STYLE} shape=\"cylinder\" ]");
        self.daemons.insert(id.to_owned(), node);
    }

    fn edges(&mut self, links: &BTreeMap<String, Vec<String>>, nodes: impl Fn(&Self) -> (&Nodes, &Nodes)) {
        let (from, to) = nodes(self);
        let edge = |(id, other): (&String, &String)| Some(format!("{} -> {}\n", from.get(id)?, to.get(other)?));
        let pairs = links.iter().flat_map(|(id, others)| others.iter().map(move |other| (id, other)));
        let drawn: String = pairs.filter_map(edge).collect();
        self.text += &drawn;
    }

    /// A peer whose daemon does not answer has a node of its own for it.
    fn homes(&mut self, graph: &ConnectGraph) {
        for id in graph.cluster_links.keys() {
            let (home, style) = match graph.cluster_to_ipfs.get(id) {
                Some(daemon) => (daemon, ""),
                None => (id, " [ style=\"dotted\" ]"),
            };
            if let (Some(peer), Some(daemon)) = (self.peers.get(id), self.daemons.get(home)) {
                let _ = writeln!(self.text, "{peer} -> {daemon}{style}");
            }
        }
    }
}

fn label(name: &str, id: &str) -> String {
    format!("label=< <B> {} </B> <BR/> <B> {} </B> >", escaped(name), escaped(id))
}

/// The first two characters and the last six.
fn short(id: &str) -> String {
    let count = id.chars().count();
    let (start, end): (String, String) =
        (id.chars().take(2).collect(), id.chars().skip(count.saturating_sub(6)).collect());
    format!("{start}*{end}")
}

/// Peers choose their names themselves.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\\', "&#92;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> ConnectGraph {
        let text = include_str!("../../../../tests/vectors/rest/graph.txt");
        serde_json::from_str(text.split_once("body:\n").unwrap().1).unwrap()
    }

    fn sorted(text: &str) -> Vec<&str> {
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn a_recorded_graph_is_drawn_as_gos_program_draws_it() {
        let text = include_str!("../../../../tests/vectors/ctl/health-graph.txt");
        let drawn = text.split_once("--- stdout\n").unwrap().1.split_once("--- stderr").unwrap().0;
        let ours = dot(&recorded(), false);
        // The order of edges is random in Go's.
        assert_eq!(sorted(&ours), sorted(drawn.trim_end_matches("\n(no newline at the end)\n")));
        assert!(ours.ends_with('}'));
    }

    #[test]
    fn a_daemon_that_does_not_answer_and_strangers_are_drawn() {
        let mut graph = recorded();
        let own = graph.cluster_id.clone();
        let daemon = graph.cluster_to_ipfs.remove(&own).unwrap();
        graph.ipfs_links.get_mut(&daemon).unwrap().push("12D3KooWStranger".into());
        let few = dot(&graph, false);
        assert!(few.contains("<B> Errored </B>") && few.contains("C2 -> I3 [ style=\"dotted\" ]"), "{few}");
        assert!(!few.contains("12*ranger"));
        assert!(dot(&graph, true).contains("12*ranger"));
    }

    #[test]
    fn names_of_peers_cannot_break_out() {
        let mut graph = recorded();
        graph.id_to_peername.insert(graph.cluster_id.clone(), "</B>\"] evil \\".into());
        assert!(dot(&graph, false).contains("<B> &lt;/B&gt;&quot;] evil &#92; </B>"));
    }
}
