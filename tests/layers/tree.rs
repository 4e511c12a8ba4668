//! The files of a crate, and where a path leads.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::paths::{Found, paths, public_items};

/// How far one name may be re-exported; a loop of re-exports ends here.
const HOPS_MAX: usize = 8;

/// A module's place: the crate that it belongs to (`src`, or `src/bin/NAME`) and its path in it.
pub type Place = (String, Vec<String>);

/// The files of a crate, by their module.
pub struct Tree {
    files: BTreeMap<Place, File>,
    /// The modules that are declared for tests only.
    tests: BTreeSet<Place>,
}

/// One source file.
pub struct File {
    /// Its path, as it is printed.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The paths that it names.
    pub found: Vec<Found>,
    items: Vec<String>,
}

impl File {
    /// Returns whether the file only declares its folder.
    pub fn is_index(&self) -> bool {
        ["/mod.rs", "/lib.rs", "/main.rs"].iter().any(|name| self.path.ends_with(name))
    }

    /// The line `line`, as it is printed with the path.
    pub fn quote(&self, line: usize) -> String {
        let text = self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        format!("{}:{line}: {text}", self.path)
    }
}

impl Tree {
    /// Reads `src` below `root`.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::from("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    files.push((path.to_string_lossy().into_owned(), fs::read_to_string(root.join(&path))?));
                }
            }
        }
        Ok(Self::of(&files))
    }

    /// The tree of these paths and texts.
    pub fn of<P: AsRef<str>, T: AsRef<str>>(files: &[(P, T)]) -> Self {
        let moved: BTreeMap<String, Place> =
            files.iter().flat_map(|(path, text)| moved(path.as_ref(), text.as_ref())).collect();
        let file = |(path, text): &(P, T)| {
            let (path, text) = (path.as_ref().to_owned(), text.as_ref().to_owned());
            let (found, items) = (paths(&text), public_items(&text));
            (moved.get(&path).cloned().unwrap_or_else(|| place(&path)), File { path, text, found, items })
        };
        let files: BTreeMap<Place, File> = files.iter().map(file).collect();
        let of = |(place, file): (&Place, &File)| -> Vec<Place> {
            declared(&file.text).iter().filter(|d| d.in_test).map(|d| child(place, &d.name)).collect()
        };
        let tests = files.iter().flat_map(of).collect();
        Self { files, tests }
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Every file with its place, in order.
    pub fn files(&self) -> impl Iterator<Item = (&Place, &File)> {
        self.files.iter()
    }

    /// Returns whether the file at `place` is for tests only, itself or by what it belongs to.
    pub fn is_test(&self, (root, module): &Place) -> bool {
        (1..=module.len()).any(|n| self.tests.contains(&(root.clone(), module[..n].to_vec())))
    }

    /// Returns the segments of `found` from the root of its crate, and the crate; [`None`] for another crate's path.
    pub fn absolute(&self, place: &Place, found: &Found) -> Option<Place> {
        let (root, module) = place;
        let first = found.segments.first()?.as_str();
        let rest = || found.segments[1..].to_vec();
        match first {
            "crate" => Some((root.clone(), rest())),
            "ipfs_cluster" => Some(("src".to_owned(), rest())),
            "super" | "self" => {
                let supers = found.segments.iter().take_while(|segment| *segment == "super").count();
                let rest = found.segments.iter().skip_while(|segment| *segment == "super" || *segment == "self");
                let up = supers.saturating_sub(found.depth).min(module.len());
                Some((root.clone(), module[..module.len() - up].iter().chain(rest).cloned().collect()))
            }
            first => {
                let known = self.files.contains_key(&child(place, first));
                known.then(|| (root.clone(), module.iter().chain(&found.segments).cloned().collect()))
            }
        }
    }

    /// Returns the places of the files that an absolute path leads to: several for a glob of re-exports.
    pub fn resolve(&self, path: &Place) -> Vec<Place> {
        self.follow(path, HOPS_MAX)
    }

    fn follow(&self, (root, segments): &Place, hops: usize) -> Vec<Place> {
        let mut module: Place = (root.clone(), Vec::new());
        for (n, segment) in segments.iter().enumerate() {
            let inner = child(&module, segment);
            if self.files.contains_key(&inner) {
                module = inner;
                continue;
            }
            let exported = self.exported(&module, segment);
            if exported.is_empty() || hops == 0 {
                break;
            }
            let further =
                |(root, path): Place| (root, path.into_iter().chain(segments[n + 1..].iter().cloned()).collect());
            return exported.into_iter().flat_map(|path| self.follow(&further(path), hops - 1)).collect();
        }
        if self.files.contains_key(&module) { vec![module] } else { Vec::new() }
    }

    /// What `name` is a re-export of in `module`.
    fn exported(&self, module: &Place, name: &str) -> Vec<Place> {
        let Some(file) = self.files.get(module).filter(|file| file.is_index()) else { return Vec::new() };
        let uses = || file.found.iter().filter(|found| found.is_use && found.depth == 0);
        let named = uses().filter(|found| found.name == name || name == "*");
        let mut targets: Vec<Place> = named.filter_map(|found| self.absolute(module, found)).collect();
        if targets.is_empty() {
            let globs = uses().filter(|found| found.name == "*").filter_map(|found| self.absolute(module, found));
            let owner = |(root, mut path): Place| {
                path.pop();
                (root, path)
            };
            let has =
                |place: &Place| self.files.get(place).is_some_and(|file| file.items.iter().any(|item| item == name));
            targets = globs.map(owner).filter(has).collect();
        }
        targets
    }
}

/// The place of the file `path`.
fn place(path: &str) -> Place {
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let roots = if parts.get(1) == Some(&"bin") { 3.min(parts.len() - 1) } else { 1 };
    let mut module: Vec<String> = parts[roots..].iter().map(|part| (*part).to_owned()).collect();
    let last = module.last().map(String::as_str);
    if last == Some("mod") || (module.len() == 1 && matches!(last, Some("lib" | "main"))) {
        module.pop();
    }
    (parts[..roots].join("/"), module)
}

/// A `mod name;` line with its attributes.
struct Declared {
    name: String,
    /// The file of `#[path = ".."]`.
    file: Option<String>,
    in_test: bool,
}

fn declared(text: &str) -> Vec<Declared> {
    let mut declared = Vec::new();
    let mut attributes: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let item = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
        if let Some(name) = item.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let file = attributes.iter().find_map(|a| a.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            let in_test = attributes.contains(&"#[cfg(test)]");
            declared.push(Declared { name: name.to_owned(), file: file.map(str::to_owned), in_test });
        }
        attributes.clear();
    }
    declared
}

/// The files beside `path` that it declares under another name, and the places they get by that.
///
/// A file of another folder is shared by several, and keeps its own place.
fn moved(path: &str, text: &str) -> Vec<(String, Place)> {
    let (folder, _) = path.rsplit_once('/').unwrap_or_default();
    let files = declared(text).into_iter().filter_map(|d| Some((d.file.filter(|file| !file.contains('/'))?, d.name)));
    files.map(|(file, name)| (format!("{folder}/{file}"), child(&place(path), &name))).collect()
}

fn child((root, module): &Place, name: &str) -> Place {
    (root.clone(), module.iter().cloned().chain([name.to_owned()]).collect())
}
