//! What a tree has to keep.
use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Place, Tree};

/// Who is in which layer; a folder imports itself and lower layers.
const LAYERS: [(&str, u8); 18] = [
    ("task", 0),
    ("fuzz", 0),
    ("model", 0),
    ("https", 0),
    ("wire", 1),
    ("config", 1),
    ("observe", 1),
    ("crdt", 2),
    ("monitor", 2),
    ("ipfs", 2),
    ("store", 3),
    ("swarm", 3),
    ("tracker", 4),
    ("cluster", 5),
    ("client", 5),
    ("api", 6),
    ("doctor", 6),
    ("follow", 6),
];

/// Imports inside one layer: the one clock returns the moments that the nouns have, and fuzzing ends by the clock.
const ALLOWED: [(&str, &str); 2] = [("task", "model"), ("fuzz", "task")];

/// Returns the faults of `tree`, each with file, line and the line's text.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut faults = against_layers(tree);
    faults.extend(cycles(tree));
    faults
}

fn layer(folder: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == folder).map(|(_, layer)| *layer)
}

fn against_layers(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, file) in tree.files() {
        let (root, module) = place;
        let own = module.first().map(String::as_str).filter(|_| root == "src");
        if let Some(own) = own.filter(|own| layer(own).is_none()) {
            faults.push(format!(
                "{}: the folder `{own}` has no layer: see STYLE and tests/layers/rules.rs",
                file.quote(1)
            ));
            continue;
        }
        for found in &file.found {
            let Some((_, target)) = tree.absolute(place, found).filter(|(root, _)| root == "src") else { continue };
            let Some(other) = target.first() else { continue };
            let fault = match (own, layer(other)) {
                (_, None) => format!("`{other}` has no layer: see tests/layers/rules.rs"),
                (Some(own), Some(theirs)) if is_against(own, other, theirs) => {
                    format!("{own} (layer {}) imports {other} (layer {theirs})", layer(own).unwrap_or_default())
                }
                (Some(_) | None, Some(_)) => continue,
            };
            faults.push(format!("{}: {fault}", file.quote(found.line)));
        }
        faults.dedup();
    }
    faults
}

fn is_against(own: &str, other: &str, theirs: u8) -> bool {
    own != other && layer(own).is_some_and(|own| own <= theirs) && !ALLOWED.contains(&(own, other))
}

/// From a file to each file that it uses, with the line.
type Edges<'a> = BTreeMap<&'a Place, BTreeMap<Place, usize>>;

/// The imports of code, not of tests; files that only declare a folder use nobody.
fn edges(tree: &Tree) -> Edges<'_> {
    let mut edges = Edges::new();
    for (place, file) in tree.files().filter(|(place, file)| !tree.is_test(place) && !file.is_index()) {
        let uses = edges.entry(place).or_default();
        for found in file.found.iter().filter(|found| !found.in_test) {
            let targets = tree.absolute(place, found).map(|path| tree.resolve(&path)).unwrap_or_default();
            for target in targets.into_iter().filter(|target| target != place) {
                uses.entry(target).or_insert(found.line);
            }
        }
    }
    edges
}

fn cycles(tree: &Tree) -> Vec<String> {
    let edges = edges(tree);
    let mut told: BTreeSet<BTreeSet<&Place>> = BTreeSet::new();
    let mut faults = Vec::new();
    for start in edges.keys() {
        let Some(cycle) = shortest_way_back(&edges, start) else { continue };
        if told.insert(cycle.iter().copied().collect()) {
            faults.push(describe(tree, &edges, &cycle));
        }
    }
    faults
}

/// The shortest cycle through `start`, `start` first.
fn shortest_way_back<'a>(edges: &'a Edges<'_>, start: &'a Place) -> Option<Vec<&'a Place>> {
    let mut before: BTreeMap<&Place, &Place> = BTreeMap::new();
    let mut round = vec![start];
    while !round.is_empty() {
        let mut next = Vec::new();
        for from in round {
            for to in edges.get(from).into_iter().flat_map(BTreeMap::keys) {
                if to == start {
                    let mut way = vec![from];
                    while let Some(earlier) = before.get(way[way.len() - 1]) {
                        way.push(earlier);
                    }
                    way.reverse();
                    return Some(way);
                }
                if let std::collections::btree_map::Entry::Vacant(entry) = before.entry(to) {
                    entry.insert(from);
                    next.push(to);
                }
            }
        }
        round = next;
    }
    None
}

fn describe(tree: &Tree, edges: &Edges<'_>, cycle: &[&Place]) -> String {
    let files: BTreeMap<&Place, _> = tree.files().collect();
    let line = |n: usize| edges[cycle[n]][cycle[(n + 1) % cycle.len()]];
    let steps: Vec<String> = (0..cycle.len()).map(|n| format!("    {}", files[cycle[n]].quote(line(n)))).collect();
    format!("a cycle of {} files:\n{}", cycle.len(), steps.join("\n"))
}
