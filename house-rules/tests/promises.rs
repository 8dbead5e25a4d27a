//! Promises against their tests, both ways: each test that the index names exists, whoever quotes a promise stands in the index under it, and each
//! test of the libraries, the gateway, the control loop and the bridge belongs to a promise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{root, rust_files};

const PAGE: &str = "docs/promises.md";
const INDEX: &str = "docs/promises-tests.md";
/// Set to write the lists of those that quote a promise instead of comparing them.
const WRITE: &str = "EDGE_WRITE_DOCS";
/// Line behind which a section's list of those that quote the promise stands.
const ALSO: &str = "\nAlso, by their own words:\n\n";
const LINES_MAX: usize = 120;
/// Heading of the files and folders whose tests belong to no promise.
const NONE: &str = "\n## Of no promise\n";
const NONE_MAX: usize = 40;
/// Folders of which every test belongs to a promise, or to those.
const PRODUCTS: [&str; 7] = [
    "edge-queue/",
    "edge-bridge/",
    "edge-filter/",
    "edge-codec/",
    "examples/gateway/",
    "examples/control-loop/",
    "examples/mqtt-bridge/",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Returns the sections of a page: number, title, and text up to the next heading.
fn sections(page: &str) -> Vec<(usize, &str, &str)> {
    let parts = page.split("\n## ").skip(1);
    parts
        .filter_map(|part| {
            let (title, text) = part.split_once('\n')?;
            Some((title.split_once('.')?.0.parse().ok()?, title, text))
        })
        .collect()
}

/// Every test that a text names, in backquotes: `FILE.rs::TEST`, or a line of them, `FILE.rs`: `TEST`, `TEST`.
fn named_tests(text: &str) -> BTreeSet<(String, String)> {
    let quoted = text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"));
    let lists = text.lines().filter_map(|line| line.trim_start().strip_prefix("- `")?.split_once("`: "));
    let listed =
        lists.flat_map(|(file, tests)| tests.split('`').skip(1).step_by(2).map(move |name| (file, name)));
    quoted
        .chain(listed)
        .filter(|(file, _)| file.ends_with(".rs"))
        .map(|(file, name)| (file.to_owned(), name.to_owned()))
        .collect()
}

/// Every file and folder of which a text means all tests, in backquotes: `FILE.rs`, `FOLDER/`. A file before its own list of tests is none.
fn whole(text: &str) -> BTreeSet<String> {
    let lines =
        text.lines().filter(|line| !line.trim_start().starts_with("- `") || !line.contains(".rs`: `"));
    let quoted = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
    let places = quoted.filter(|quoted| quoted.contains('/') && !quoted.contains([' ', ':']));
    places.filter(|place| place.ends_with(".rs") || place.ends_with('/')).map(str::to_owned).collect()
}

/// Returns whether all tests of a file are meant by one of these places.
fn covers(places: &BTreeSet<String>, file: &str) -> bool {
    places.iter().any(|place| file == place || (place.ends_with('/') && file.starts_with(place.as_str())))
}

/// Returns the numbers behind "promise" or "promises": `3`, `1, 4 and 5`.
fn quoted(text: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for (_, rest) in text.match_indices("romise").map(|(at, word)| (at, &text[at + word.len()..])) {
        let mut rest = rest.trim_start_matches(['s', ' ', '_']);
        while let Some((number, behind)) = leading_number(rest) {
            found.insert(number);
            rest = behind.strip_prefix(", ").or(behind.strip_prefix(" and ")).unwrap_or("");
        }
    }
    found
}

fn leading_number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Returns the tests of a source, each with the promises that its comment or its name quotes.
fn tests(source: &str) -> Vec<(String, BTreeSet<usize>)> {
    let (mut found, mut comment, mut is_test) = (Vec::new(), String::new(), false);
    for line in source.lines().map(str::trim) {
        let signature = line.strip_prefix("async ").unwrap_or(line);
        if let Some(text) = line.strip_prefix("///") {
            comment += text;
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some((name, _)) = signature.strip_prefix("fn ").and_then(|rest| rest.split_once('('))
            && is_test
        {
            let mut numbers = quoted(&comment);
            numbers.extend(quoted(name));
            found.push((name.to_owned(), numbers));
            (comment, is_test) = (String::new(), false);
        } else if !line.starts_with("//") {
            (comment, is_test) = (String::new(), false);
        }
    }
    found
}

/// Returns the text of a source's head.
fn head(source: &str) -> String {
    let lines = source.lines().filter_map(|line| line.strip_prefix("//!"));
    lines.collect::<String>()
}

/// Returns whether a source holds tests alone, or is the head of a program of them.
fn is_program<T>(path: &str, tests: &[T]) -> bool {
    (path.contains("/tests/") || path.ends_with("tests.rs"))
        && (!tests.is_empty() || path.ends_with("/main.rs"))
}

/// Files of the workspace and their text, by their paths from its root.
fn all_sources() -> BTreeMap<String, String> {
    let from_root =
        |path: &std::path::Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let files = rust_files(&root()).into_iter();
    let texts = files.map(|path| (from_root(&path), std::fs::read_to_string(&path).unwrap()));
    texts.filter(|(path, _)| !path.starts_with("house-rules")).collect()
}

/// Lists who quotes a promise and is not named in its section by hand: tests, or files and folders whose head quotes it.
fn also(number: usize, by_hand: &str, sources: &BTreeMap<String, String>) -> String {
    let (named, places) = (named_tests(by_hand), whole(by_hand));
    let mut list = String::new();
    for (path, source) in sources.iter().filter(|(path, _)| !covers(&places, path)) {
        let all = tests(source);
        let own: Vec<_> = all.iter().filter(|(_, numbers)| numbers.contains(&number)).collect();
        let open = own.iter().filter(|(name, _)| !named.contains(&(path.clone(), name.clone())));
        let open: Vec<String> = open.map(|(name, _)| format!("`{name}`")).collect();
        // The head of a program in several files speaks of all of them.
        let place = path.strip_suffix("main.rs").unwrap_or(path);
        let is_named = !own.is_empty() || named.iter().any(|(file, _)| file.starts_with(place));
        if !open.is_empty() {
            list += &format!("- `{path}`: {}\n", open.join(", "));
        } else if is_program(path, &all) && quoted(&head(source)).contains(&number) && !is_named {
            list += &format!("- `{place}`\n");
        }
    }
    list
}

#[test]
fn every_test_named_in_the_index_exists() {
    let (index, sources) = (read(INDEX), all_sources());
    let named = named_tests(&index);
    assert!(named.len() >= 300, "{} tests were found in the text", named.len());
    let exists = |(file, name): &&(String, String)| {
        sources.get(file).is_some_and(|source| tests(source).iter().any(|(test, _)| test == name))
    };
    let missing: Vec<_> = named.iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "named in {INDEX} and not there: {missing:#?}");
    let has_tests = |place: &&String| {
        let one = BTreeSet::from([(*place).clone()]);
        sources.iter().any(|(path, source)| covers(&one, path) && !tests(source).is_empty())
    };
    let places = whole(&index);
    let empty: Vec<_> = places.iter().filter(|place| !has_tests(place)).collect();
    assert!(empty.is_empty(), "named in {INDEX} and without a test: {empty:#?}");
}

#[test]
fn every_test_of_the_products_belongs_to_a_promise_or_says_why_not() {
    let (index, sources) = (read(INDEX), all_sources());
    let (named, places) = (named_tests(&index), whole(&index));
    let is_product = |path: &String| PRODUCTS.iter().any(|product| path.starts_with(product));
    let mut forgotten = BTreeMap::new();
    for (path, source) in sources.iter().filter(|(path, _)| is_product(path) && !covers(&places, path)) {
        let names = tests(source).into_iter().map(|(name, _)| name);
        let open: Vec<_> = names.filter(|name| !named.contains(&(path.clone(), name.clone()))).collect();
        if !open.is_empty() {
            forgotten.insert(path, open);
        }
    }
    assert!(
        forgotten.is_empty(),
        "put each file under the promise whose rules it holds, or under `{NONE}` with the reason: {forgotten:#?}"
    );
    let rest = index.split(NONE).nth(1).unwrap();
    assert!(whole(rest).len() <= NONE_MAX, "{} files and folders of no promise", whole(rest).len());
}

#[test]
fn who_quotes_a_promise_stands_in_the_index() {
    let (mut index, sources) = (read(INDEX), all_sources());
    let mut changed = Vec::new();
    for (number, title, text) in sections(&read(INDEX)) {
        let by_hand = text.split(ALSO).next().unwrap_or_default();
        let list = also(number, by_hand, &sources);
        let block = if list.is_empty() { String::new() } else { format!("{ALSO}{list}") };
        let new = format!("{}\n{block}", by_hand.trim_end());
        if new.trim_end() != text.trim_end() {
            changed.push(title.to_owned());
            index = index.replace(text, &new);
        }
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(root().join(INDEX), index.trim_end().to_owned() + "\n").unwrap();
    } else {
        assert!(
            changed.is_empty(),
            "tests that quote these promises changed, {WRITE}=1 writes: {changed:#?}"
        );
    }
}

#[test]
fn every_promise_has_its_state_and_its_bound_on_one_page() {
    let (page, index) = (read(PAGE), read(INDEX));
    assert!(page.lines().count() <= LINES_MAX, "one page: {} lines", page.lines().count());
    let (promises, tested) = (sections(&page), sections(&index));
    assert_eq!(promises.len(), 14);
    for (promise, (number, title, text)) in promises.iter().enumerate() {
        assert_eq!(*number, promise + 1);
        assert!(page.contains(&format!("\n| {number} | ")), "{title}: no state");
        assert!(text.contains("**Bound**") || text.contains("**Not yet**"), "{title}: no bound");
        assert_eq!(tested.get(promise).map(|(_, title, _)| title), Some(title), "{INDEX}");
    }
}

#[test]
fn the_looks_can_fail() {
    assert_eq!(quoted("Promises 1, 4 and 12: as promised. promise_3_x"), BTreeSet::from([1, 3, 4, 12]));
    let source = "//! A head. Promise 7.\n\n/// Promise 2.\n#[test]\nfn proves() {}\n\n/// Promise 5.\nfn helper() {}\n#[tokio::test]\nasync fn promise_4_too() {}\n";
    assert_eq!(tests(source), [("proves".to_owned(), [2].into()), ("promise_4_too".to_owned(), [4].into())]);
    let sources = BTreeMap::from([("a/tests/b.rs".to_owned(), source.to_owned())]);
    assert_eq!(also(2, "", &sources), "- `a/tests/b.rs`: `proves`\n");
    assert_eq!(also(2, "`a/tests/b.rs::proves`", &sources), "");
    assert_eq!(also(7, "", &sources), "- `a/tests/b.rs`\n");
    assert_eq!(also(7, "`a/tests/b.rs::proves`", &sources), "");
    assert_eq!(also(2, "- By file:\n  - `a/tests/b.rs`: `proves`, `more`\n", &sources), "");
    let text =
        "- `a/tests/b.rs`: `proves`\n- `a/src/`, `a/tests/c.rs`: all\n  `a/d.rs::e` `a b/` `.ci/test`\n";
    let places = whole(text);
    assert_eq!(places, BTreeSet::from(["a/src/".to_owned(), "a/tests/c.rs".to_owned()]));
    assert!(
        covers(&places, "a/src/x.rs") && covers(&places, "a/tests/c.rs") && !covers(&places, "a/tests/b.rs")
    );
    assert_eq!(also(2, "- `a/tests/`\n", &sources), "");
    assert_eq!(sections("# T\n\n## 1. A\ntext\n\n## Rest\nb\n"), [(1, "1. A", "text\n")]);
}
