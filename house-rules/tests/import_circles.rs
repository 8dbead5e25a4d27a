//! No import circles: files of a crate that use each other are parent and child.

#![allow(clippy::unwrap_used, reason = "test code")]

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sources::{root, rust_files};

/// Files of each crate that are in a circle today. A number may only become smaller.
const KNOWN: [(&str, usize); 5] =
    [("edge-clock", 0), ("edge-queue", 0), ("edge-bridge", 0), ("edge-filter", 0), ("edge-codec", 0)];

/// A module's path below the crate: `["pipeline", "slot"]`.
type Module = Vec<String>;
/// Names of a module that stand for a path elsewhere in the crate, as `use` brought them in.
type Names = BTreeMap<(Module, String), Module>;

/// The modules of a crate with their sources, without comments and tests.
fn modules(src: &Path) -> BTreeMap<Module, String> {
    let module = |path: &Path| -> Module {
        let below = path.strip_prefix(src).unwrap().with_extension("");
        let names = below.iter().map(|part| part.to_string_lossy().into_owned());
        names.filter(|name| name != "mod" && name != "lib").collect()
    };
    let is_test = |path: &PathBuf| path.iter().any(|part| part.to_string_lossy().contains("test"));
    let files = rust_files(src).into_iter().filter(|path| !is_test(path) && !path.ends_with("main.rs"));
    files.map(|path| (module(&path), code(&std::fs::read_to_string(path).unwrap()))).collect()
}

fn code(source: &str) -> String {
    // Tests of a feature stand under `cfg(all(test, ...))`.
    let end = ["#[cfg(test)]\nmod ", "\nmod tests {"].iter().filter_map(|tests| source.find(tests)).min();
    let source = source.get(..end.unwrap_or(source.len())).unwrap_or_default();
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// A path as it is written, with the name that it has in its file.
type NamedPath = (Vec<String>, String);

/// All paths of a use tree with their names in this file: `a::{b, c::d as e}` is `a::b` as `b` and `a::c::d` as `e`.
fn leaves(tree: &str, prefix: &[String], into: &mut Vec<NamedPath>) {
    let (head, inner) = match tree.split_once('{') {
        Some((head, rest)) => (head, rest.rsplit_once('}').map(|(inner, _)| inner)),
        None => (tree, None),
    };
    let (head, alias) = head.split_once(" as ").map_or((head, None), |(head, alias)| (head, Some(alias)));
    let parts = head.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self");
    let path: Vec<String> = prefix.iter().cloned().chain(parts.map(str::to_owned)).collect();
    let Some(inner) = inner else {
        let name = alias.map(str::trim).or(path.last().map(String::as_str)).unwrap_or_default().to_owned();
        return into.push((path, name));
    };
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices().chain([(inner.len(), ',')]) {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = inner[start..at].trim();
                if !branch.is_empty() {
                    leaves(branch, &path, into);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The path from the root of the crate, if it is one of this crate.
fn absolute(module: &Module, path: &[String], known: &BTreeMap<Module, String>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "super" => {
            let mut base = module.clone();
            let ups = path.iter().take_while(|part| *part == "super").count();
            base.truncate(module.len().checked_sub(ups)?);
            base.extend_from_slice(&path[ups..]);
            Some(base)
        }
        child => {
            let mut inner = module.clone();
            inner.push(child.to_owned());
            known.contains_key(&inner).then(|| [module.as_slice(), path].concat())
        }
    }
}

/// The file in which the thing at a path stands, over `use` of `use`.
fn file_of(path: &[String], known: &BTreeMap<Module, String>, names: &Names, depth: usize) -> Module {
    let length = (0..=path.len()).rev().find(|length| known.contains_key(&path[..*length])).unwrap_or(0);
    let module = path[..length].to_vec();
    let Some(name) = path.get(length) else { return module };
    match names.get(&(module.clone(), name.clone())) {
        Some(target) if depth < 8 && target != path => file_of(target, known, names, depth + 1),
        _ => module,
    }
}

/// Every path that a source uses: in `use`, and written out where it is needed.
fn paths(source: &str) -> (Vec<NamedPath>, Vec<Vec<String>>) {
    let (mut used, mut inline) = (Vec::new(), Vec::new());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("use ") {
        rest = after;
        if before.chars().next_back().is_none_or(char::is_whitespace)
            && let Some((tree, behind)) = after.split_once(';')
        {
            leaves(tree, &[], &mut used);
            rest = behind;
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in source.match_indices(start) {
            let path = source[at..].split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
            let path = path.into_iter().next().unwrap_or_default();
            inline.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
        }
    }
    (used, inline)
}

/// Files with the files they use, but for those above and below them in the tree of modules.
fn imports(known: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut names = Names::new();
    let mut all = Vec::new();
    for (module, source) in known {
        let (used, inline) = paths(source);
        for (path, name) in &used {
            let Some(path) = absolute(module, path, known) else { continue };
            names.insert((module.clone(), name.clone()), path.clone());
            all.push((module, path));
        }
        all.extend(inline.iter().filter_map(|path| absolute(module, path, known)).map(|path| (module, path)));
    }
    let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, path) in all {
        let file = file_of(&path, known, &names, 0);
        if !file.starts_with(module) && !module.starts_with(&file) {
            imports.entry(module.clone()).or_default().insert(file);
        }
    }
    imports
}

/// Files that come back to themselves along imports.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<String> {
    let reach = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in imports.get(module).into_iter().flatten() {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    imports.keys().filter(|module| reach(module).contains(module)).map(|module| module.join("::")).collect()
}

fn of_sources(sources: &[(&str, &str)]) -> BTreeSet<String> {
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    circles(&imports(&sources.iter().map(|(name, source)| (module(name), code(source))).collect()))
}

#[test]
fn no_files_use_each_other_but_parent_and_child() {
    for (name, known) in KNOWN {
        let found = circles(&imports(&modules(&root().join(name).join("src"))));
        println!("{name}: {}", found.len());
        assert!(found.len() <= known, "{name}: {found:#?}");
    }
}

#[test]
fn the_look_for_circles_can_fail() {
    let two = [("", "mod a;\nmod b;"), ("a", "use crate::b::B;\n"), ("b", "use super::a::{self, A};\n")];
    assert_eq!(of_sources(&two).len(), 2);
    let inline = [("a", "fn f() { crate::b::g() }"), ("b", "use crate::a::f;")];
    assert_eq!(of_sources(&inline).len(), 2);
    let by_root = [("", "pub use a::A;\npub use b::B;"), ("a", "use crate::B;"), ("b", "use crate::{A, C};")];
    assert_eq!(of_sources(&by_root).len(), 2, "over what the root gives on");
    let renamed = [
        ("", "pub use a::A;"),
        ("a", "use crate::b::A as Other;\nstruct A;"),
        ("b", "use crate::A as Third;\nenum A {}"),
    ];
    assert_eq!(of_sources(&renamed).len(), 2, "a name of another file's is not this file's under `as`");
    let of_three = [("a", "use crate::b::B;"), ("b", "use crate::c::C;"), ("c", "use crate::a::A;")];
    assert_eq!(of_sources(&of_three).len(), 3);
    let parent = [("p", "mod c;\nuse c::C;"), ("p::c", "use super::P;")];
    assert_eq!(of_sources(&parent).len(), 0);
    let tests = [
        ("a", "use crate::b::B;"),
        ("b", "// use crate::a::A;\n#[cfg(test)]\nmod tests {\nuse crate::a::A;\n}"),
    ];
    assert_eq!(of_sources(&tests).len(), 0);
    let of_a_feature = "#[cfg(all(test, feature = \"x\"))]\nmod tests {\nuse crate::a::A;\n}";
    assert_eq!(of_sources(&[("a", "use crate::b::B;"), ("b", of_a_feature)]).len(), 0);
}
