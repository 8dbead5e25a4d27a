//! Sizes that a reader keeps in mind: a file has at most 400 lines, a function at most 70. Tests too.

#![allow(clippy::unwrap_used, reason = "test code")]

mod sources;

use sources::{root, rust_files};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Returns the functions of a formatted source with their lines, from `fn` to the closing brace.
fn functions(source: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = source.lines().collect();
    let heads = lines.iter().enumerate().filter_map(|(at, line)| Some((at, *line, name_of(line)?)));
    let length = |(at, head, name)| {
        let indent = indent_of(head);
        if ends_item(head) {
            return Some((name, 1));
        }
        // The first line that is no deeper, but for the end of the head: `) -> T {`, `where`.
        let rest = lines.iter().enumerate().skip(at + 1);
        let mut outer = rest.filter(|(_, line)| !line.trim().is_empty() && indent_of(line) <= indent);
        let (end, _) = outer.find(|(_, line)| line.trim() == "}" || ends_item(line))?;
        Some((name, end - at + 1))
    };
    heads.filter_map(length).collect()
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn ends_item(line: &str) -> bool {
    line.ends_with(';') || line.ends_with('}')
}

/// Returns the name of the function that begins in this line.
fn name_of(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let qualifiers =
        ["", "pub", "default", "const", "async", "unsafe", "extern", "\"C\"", "pub(crate)", "pub(super)"];
    // `pub(in crate::run)` has two words.
    let is_path = |word: &str| word.starts_with("pub(") || word.ends_with(')');
    let is_head = before.split(' ').all(|word| qualifiers.contains(&word) || is_path(word));
    is_head.then(|| after.split(|c: char| !(c.is_alphanumeric() || c == '_')).next())?
}

#[test]
fn no_file_is_longer_than_a_reader_keeps_in_mind() {
    let lines = |path| (std::fs::read_to_string(&path).unwrap().lines().count(), path);
    let mut long = rust_files(&root()).into_iter().map(lines).collect::<Vec<_>>();
    long.retain(|(lines, _)| *lines > FILE_LINES_MAX);
    assert!(long.is_empty(), "files have at most {FILE_LINES_MAX} lines: {long:#?}");
}

/// The README calls it a gateway in one file of 200 lines, to be copied.
#[test]
fn the_starter_has_at_most_200_lines() {
    let source = std::fs::read_to_string(root().join("examples/starter/src/main.rs")).unwrap();
    assert!(source.lines().count() <= 200, "{} lines", source.lines().count());
}

#[test]
fn no_function_is_longer_than_a_reader_keeps_in_mind() {
    let (mut long, mut count) = (Vec::new(), 0);
    for path in rust_files(&root()) {
        let source = std::fs::read_to_string(&path).unwrap();
        let found = functions(&source);
        count += found.len();
        let found = found.into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        long.extend(found.map(|(name, lines)| format!("{}: {name}, {lines} lines", path.display())));
    }
    assert!(count > 5_000, "{count} functions were looked at");
    assert!(long.is_empty(), "functions have at most {FUNCTION_LINES_MAX} lines: {long:#?}");
}

#[test]
fn the_rules_can_fail() {
    let source = "pub(in crate::run) fn e() {\n}\nfn a() {}\npub(crate) const fn b(\n    x: u8,\n) -> u8 {\n    x\n}\n\
                  trait T {\n    fn c(\n        &self,\n    );\n    async fn d(&self)\n    where\n        Self: Sized,\n    {\n\n    }\n}\n\
                  // A fn of prose.\nlet f = |fn_of: fn (u8)| 1;\n";
    assert_eq!(functions(source), [("e", 2), ("a", 1), ("b", 5), ("c", 3), ("d", 6)]);
}
