//! Fails when a file imports against the layers, stands in an unknown folder, or is in a cycle with others.
#[path = "layers/paths.rs"]
mod paths;
#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/source.rs"]
mod source;
#[path = "layers/tree.rs"]
mod tree;

use std::path::Path;

use rules::check;
use tree::Tree;

#[test]
fn the_sources_keep_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = Tree::read(root).expect("the sources can be read");
    assert!(tree.len() > 30, "only {} files were found: the check looks at the wrong place", tree.len());
    let faults = check(&tree);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The checker itself, on trees that it must refuse, and on some that it must not.
mod checker {
    use super::*;

    fn faults(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files))
    }

    /// Asserts that there is one fault, and that it has all `parts`.
    fn refused(files: &[(&str, &str)], parts: &[&str]) {
        let faults = faults(files);
        assert_eq!(faults.len(), 1, "{faults:#?}");
        for part in parts {
            assert!(faults[0].contains(part), "no {part:?} in {:?}", faults[0]);
        }
    }

    #[test]
    fn an_import_of_a_higher_layer_is_refused_with_its_line() {
        let files = [
            ("src/model/mod.rs", "mod pin;\npub use pin::Pin;"),
            ("src/model/pin.rs", "//! A pin.\n\nuse crate::store::Db;\npub struct Pin;"),
            ("src/store/mod.rs", "pub struct Db;"),
        ];
        refused(&files, &["src/model/pin.rs:3:", "model (layer 0)", "store (layer 3)", "use crate::store::Db;"]);
    }

    #[test]
    fn an_import_of_a_neighbour_in_the_same_layer_is_refused() {
        let files = [("src/crdt/mod.rs", "use crate::ipfs::X;"), ("src/ipfs/mod.rs", "pub struct X;")];
        refused(&files, &["src/crdt/mod.rs:1:", "crdt (layer 2)", "ipfs (layer 2)"]);
    }

    #[test]
    fn inline_paths_nested_lists_and_reexports_are_seen() {
        let api = ("src/api/mod.rs", "pub struct Api;");
        let inline = ("src/wire/mod.rs", "fn f() { let _ = Vec::<crate::api::Api>::new(); }");
        refused(&[inline, api], &["src/wire/mod.rs:1:", "api (layer 6)"]);
        let nested = ("src/wire/mod.rs", "use crate::{\n    model::X,\n    api::{Api, other},\n};");
        refused(&[nested, api, ("src/model/mod.rs", "pub struct X;")], &["src/wire/mod.rs:3:", "api (layer 6)"]);
        let upward = ("src/wire/rest.rs", "use super::super::api::Api;");
        refused(&[upward, ("src/wire/mod.rs", "mod rest;"), api], &["src/wire/rest.rs:1:"]);
        let exported = ("src/wire/mod.rs", "pub use crate::api::Api;");
        refused(&[exported, api], &["src/wire/mod.rs:1:"]);
    }

    #[test]
    fn tests_keep_the_layers_too() {
        let wire = "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::api::Api;\n}";
        refused(&[("src/wire/mod.rs", wire), ("src/api/mod.rs", "pub struct Api;")], &["src/wire/mod.rs:4:"]);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_imports() {
        let text = "//! crate::api::Api\n/* crate::api /* crate::api */ */\nconst A: &str = \"crate::api::\\\"Api\";\n\
                    const B: &str = r#\"crate::api::\"Api\"#;\nconst C: char = '\"'; // crate::api\nfn f<'a>(x: &'a str) {}\n";
        assert_eq!(faults(&[("src/wire/mod.rs", text), ("src/api/mod.rs", "")]), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_folder_is_refused_as_a_place_and_as_an_import() {
        refused(&[("src/util/mod.rs", "")], &["src/util/mod.rs:1:", "util", "no layer"]);
        refused(&[("src/wire/mod.rs", "use crate::util::x;")], &["src/wire/mod.rs:1:", "util"]);
    }

    #[test]
    fn programs_may_import_everything_and_nothing_imports_them() {
        let main =
            ("src/bin/ipfs-cluster-ctl/main.rs", "mod args;\nuse ipfs_cluster::client::Client;\nuse crate::args::A;");
        let args = ("src/bin/ipfs-cluster-ctl/args.rs", "pub struct A;");
        assert_eq!(faults(&[main, args, ("src/client/mod.rs", "pub struct Client;")]), Vec::<String>::new());
        let unknown = ("src/bin/ipfs-cluster-ctl/main.rs", "use ipfs_cluster::util::x;");
        refused(&[unknown], &["ipfs-cluster-ctl/main.rs:1:", "util"]);
    }

    #[test]
    fn a_cycle_between_files_of_a_folder_is_refused_with_its_imports() {
        let files = [
            ("src/store/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub use b::*;"),
            ("src/store/a.rs", "use super::B;\npub struct A;"),
            ("src/store/b.rs", "use super::c::C;\npub struct B;"),
            ("src/store/c.rs", "\nfn f(_: crate::store::A) {}\npub struct C;"),
        ];
        refused(&files, &["cycle", "src/store/a.rs:1: use super::B;", "src/store/b.rs:1:", "src/store/c.rs:2:"]);
    }

    #[test]
    fn a_cycle_between_a_file_and_its_child_is_refused() {
        let files = [
            ("src/store/mod.rs", "pub mod db;"),
            ("src/store/db.rs", "mod page;\nuse page::Page;\npub struct Db;"),
            ("src/store/db/page.rs", "use super::Db;\npub struct Page;"),
        ];
        refused(&files, &["cycle", "src/store/db.rs:2:", "src/store/db/page.rs:1:"]);
    }

    #[test]
    fn a_cycle_between_the_files_of_a_program_is_refused() {
        let files = [
            ("src/bin/x/main.rs", "mod a;\nmod b;"),
            ("src/bin/x/a.rs", "use crate::b::f;\npub fn g() {}"),
            ("src/bin/x/b.rs", "pub fn f() { crate::a::g() }"),
        ];
        refused(&files, &["cycle", "src/bin/x/a.rs:1:", "src/bin/x/b.rs:1:"]);
    }

    #[test]
    fn tests_may_use_what_uses_them() {
        let files = [
            ("src/crdt/mod.rs", "mod a;\n#[cfg(test)]\nmod testing;"),
            (
                "src/crdt/a.rs",
                "pub struct A;\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::crdt::testing::t;\n}",
            ),
            ("src/crdt/testing.rs", "use super::a::A;\npub fn t() {}"),
        ];
        assert_eq!(faults(&files), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_declared_with_a_path_stands_where_it_is_declared() {
        let db = "struct Db;\n#[cfg(test)]\n#[path = \"db_tests.rs\"]\npub(super) mod tests;";
        let tests = "use super::Db;\nuse super::super::tables::T;\nuse crate::api::Api;";
        let files = [
            ("src/store/mod.rs", "mod db;\nmod tables;"),
            ("src/store/db.rs", db),
            ("src/store/db_tests.rs", tests),
            ("src/store/tables.rs", "pub struct T;"),
            ("src/api/mod.rs", "pub struct Api;"),
        ];
        refused(&files, &["src/store/db_tests.rs:3:"]);
    }

    #[test]
    fn downward_imports_and_chains_pass() {
        let files = [
            ("src/lib.rs", "pub mod model;\npub mod store;\npub mod task;"),
            ("src/task.rs", "use crate::model::Pin;"),
            ("src/model/mod.rs", "mod pin;\npub use pin::Pin;"),
            ("src/model/pin.rs", "pub struct Pin;"),
            ("src/store/mod.rs", "mod a;\nmod b;\npub use b::B;"),
            ("src/store/a.rs", "use crate::{model::Pin, task};\nuse super::B;"),
            ("src/store/b.rs", "use crate::model::Pin;\npub struct B;"),
        ];
        assert_eq!(faults(&files), Vec::<String>::new());
        let upward = ("src/model/mod.rs", "use crate::task::now;");
        refused(&[upward, ("src/task.rs", "pub fn now() {}")], &["model (layer 0)", "task (layer 0)"]);
    }
}
