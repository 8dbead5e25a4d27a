//! Pages of docs/ against what they speak of: links lead somewhere, the log and exit codes are the programs', decisions have their parts.

#![allow(clippy::unwrap_used, reason = "test code")]

mod sources;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sources::{root, rust_files};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Returns the pages of the workspace.
fn pages(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(pages(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the lines of a page that are not code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the targets of `[text](target)`.
fn links(page: &str) -> Vec<&str> {
    let parts = prose(page).flat_map(|line| line.split("](").skip(1));
    parts.filter_map(|rest| rest.split(')').next()).collect()
}

/// Returns the name under which a heading is linked to.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Returns why a link leads nowhere.
fn broken(from: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let mut target = if file.is_empty() { from.to_path_buf() } else { from.parent()?.join(file) };
    if target.is_dir() && !anchor.is_empty() {
        target = target.join("README.md");
    }
    let missing = Some(format!("{}: {link}", from.display()));
    if !target.exists() {
        return missing;
    }
    let is_there = anchor.is_empty() || anchors(&std::fs::read_to_string(&target).ok()?).contains(anchor);
    (!is_there).then_some(missing).flatten()
}

#[test]
fn every_link_leads_somewhere() {
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages(&root()) {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            count += 1;
            wrong.extend(broken(&page, link));
        }
    }
    assert!(count > 100, "{count} links");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the string literals of a macro's arguments, up to its closing parenthesis.
fn literals(arguments: &str) -> Vec<String> {
    let (mut found, mut depth) = (Vec::new(), 1);
    let mut letters = arguments.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' => {
                let mut text = String::new();
                while let Some(letter) = letters.next_if(|letter| *letter != '"') {
                    match letter {
                        '\\' => match letters.next() {
                            Some('\n') => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
                            Some(letter) => text.push(letter),
                            None => {}
                        },
                        letter => text.push(letter),
                    }
                }
                letters.next();
                found.push(text);
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// Returns the texts that a source logs from `info` on, with their levels.
fn logged(source: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (level, start) in [("error", "error!("), ("warn", "warn!("), ("info", "info!(")] {
        for (at, _) in source.match_indices(start) {
            let before = source[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let text = literals(&source[at + start.len()..]).pop();
            // One that is put together elsewhere is described in words.
            found.extend(
                text.filter(|text| !text.starts_with('{') || !text.ends_with('}')).map(|text| (level, text)),
            );
        }
    }
    found
}

#[test]
fn the_lines_of_the_log_are_those_of_the_source() {
    let mut all = BTreeSet::new();
    for part in ["examples/gateway/src", "edge-bridge/src"] {
        for path in rust_files(&root().join(part)) {
            let name = path.to_string_lossy().into_owned();
            if !name.contains("test") && !name.contains("drill") {
                all.extend(logged(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let rows: BTreeSet<(&str, String)> = all.into_iter().collect();
    assert!(rows.len() > 80, "{} lines", rows.len());
    let page = read("docs/reference/log.md");
    let row = |line: &str| {
        let (level, text) = line.strip_prefix("| ")?.split_once(" | `")?;
        Some((level.to_owned(), text.strip_suffix("` |")?.replace("\\|", "|")))
    };
    let written: BTreeSet<(String, String)> = page.lines().filter_map(row).collect();
    let rows: BTreeSet<(String, String)> =
        rows.into_iter().map(|(level, text)| (level.to_owned(), text)).collect();
    let missing: Vec<_> = rows.difference(&written).collect();
    let gone: Vec<_> = written.difference(&rows).collect();
    assert!(missing.is_empty() && gone.is_empty(), "docs/reference/log.md lacks {missing:#?}, has {gone:#?}");
}

/// Returns the codes in a program's head: `//! Exit codes: 0 done, 1 failed.`
fn codes(source: &str) -> BTreeSet<String> {
    let lines = source.lines().skip_while(|line| !line.contains("Exit codes:"));
    let lines = lines.take_while(|line| line.starts_with("//! ") && line.len() > 4);
    let text: String = lines.map(|line| line.trim_start_matches("//! ")).collect::<Vec<_>>().join(" ");
    let (_, text) = text.split_once("Exit codes:").unwrap_or_default();
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    numbers.map(str::to_owned).collect()
}

#[test]
fn the_exit_codes_are_those_of_the_programs() {
    let page = read("docs/reference/exit-codes.md");
    let row = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let head = page.lines().find(|line| line.starts_with("| program")).map(row).unwrap();
    for (program, file) in [
        ("edge-gateway", "examples/gateway/src/main.rs"),
        ("edge-decode", "examples/decode/src/main.rs"),
        ("filter-lab", "examples/filter-lab/src/main.rs"),
        ("control-loop", "examples/control-loop/src/main.rs"),
        ("edge-queue", "edge-queue/src/bin/edge-queue.rs"),
        ("mqtt-bridge", "examples/mqtt-bridge/src/main.rs"),
    ] {
        let rows = page.lines().filter(|line| line.starts_with(&format!("| `{program}"))).map(row);
        let written: BTreeSet<String> = rows
            .flat_map(|cells| head.iter().cloned().zip(cells).skip(1))
            .filter(|(_, meaning)| !meaning.is_empty())
            .map(|(code, _)| code)
            .collect();
        assert_eq!(written, codes(&read(file)), "{program}");
    }
}

/// Returns the headings of the second level.
fn sections(page: &str) -> Vec<&str> {
    prose(page).filter_map(|line| line.strip_prefix("## ")).collect()
}

/// Returns whether a decision's page has question, choice and price, in this order, and at most the evidence besides.
fn is_decision(page: &str) -> bool {
    matches!(
        sections(page)[..],
        ["Question", "Choice", "Price"] | ["Question", "Choice", "Evidence", "Price"]
    )
}

#[test]
fn every_decision_has_question_choice_and_price() {
    let list = read("docs/decisions/README.md");
    let all = pages(&root().join("docs/decisions"));
    let notes: Vec<_> = all.iter().filter(|page| !page.ends_with("README.md")).collect();
    assert!(notes.len() >= 16, "{} decisions", notes.len());
    for path in notes {
        let (page, name) =
            (std::fs::read_to_string(path).unwrap(), path.file_name().unwrap().to_string_lossy());
        let (number, title) = (&name[..4], page.lines().next().unwrap_or_default());
        assert!(is_decision(&page), "{name}: {:?}", sections(&page));
        let row = title
            .strip_prefix(&format!("# {number} "))
            .map(|title| format!("| [{number}]({name}) | {title} |"));
        assert!(row.is_some_and(|row| list.contains(&row)), "{name}: {title:?} is not in the list");
    }
}

#[test]
fn the_looks_can_fail() {
    let page = "# A `b` c\n[x](#a-b-c) [y](#d)\n```\n[z](none)\n```\n";
    assert_eq!(links(page), ["#a-b-c", "#d"]);
    assert!(anchors(page).contains("a-b-c") && !anchors(page).contains("d"));
    assert!(broken(&root().join("README.md"), "docs/none.md").is_some());
    assert!(broken(&root().join("README.md"), "docs/promises.md#none").is_some());
    assert!(is_decision("# T\n## Question\na\n## Choice\n## Evidence\n## Price\n"));
    assert!(!is_decision("## Question\n## Choice\n") && !is_decision("## Choice\n## Question\n## Price\n"));
    let source = "tracing::warn!(x = %f(\"a\"), \"one \\\n    line\"); my_warn!(\"no\"); error!(\"{said}\"); info!(\"b (c)\");";
    assert_eq!(logged(source), [("warn", "one line".to_owned()), ("info", "b (c)".to_owned())]);
    assert_eq!(
        codes("//! x\n//!\n//! Exit codes: 0 done,\n//! 69 no.\n\nfn f() {}"),
        ["0", "69"].map(str::to_owned).into()
    );
}
