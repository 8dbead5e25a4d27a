//! Commands in docs: the packages, test programs and tests that they name are there. A filter that matches nothing would pass without a test.

#![allow(clippy::unwrap_used, reason = "test code")]

mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sources::{root, rust_files};

/// Returns the folders of the workspace's packages, by name.
fn packages() -> BTreeMap<String, PathBuf> {
    let folders = [root(), root().join("examples")];
    let inside = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let manifests = inside.map(|entry| entry.unwrap().path()).flat_map(|dir| [dir.join("fuzz"), dir]);
    manifests.filter_map(|dir| Some((name(&dir)?, dir))).collect()
}

fn name(dir: &Path) -> Option<String> {
    let manifest = std::fs::read_to_string(dir.join("Cargo.toml")).ok()?;
    let line = manifest.lines().find(|line| line.starts_with("name = "))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// Returns the pages with commands: READMEs and docs.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    pages.extend(packages().into_values().map(|dir| dir.join("README.md")).filter(|page| page.exists()));
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// Parts of `cargo test`.
#[derive(Debug, Default)]
struct Command<'a> {
    packages: Vec<&'a str>,
    programs: Vec<&'a str>,
    filters: Vec<&'a str>,
}

fn command(text: &str) -> Command<'_> {
    let mut command = Command::default();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-p" => command.packages.extend(words.next()),
            "--test" => command.programs.extend(words.next()),
            "--features" | "--target-dir" | "--skip" | "--profile" | "--target" => drop(words.next()),
            word if word.starts_with('-') => {}
            filter => command.filters.push(filter),
        }
    }
    command
}

/// Returns whether a test below one of the folders has this filter in its path: `module::module::start_of_its_name`.
fn matches_a_test(folders: &[PathBuf], filter: &str) -> bool {
    let parts: Vec<&str> = filter.split("::").filter(|part| !part.is_empty()).collect();
    let Some((last, before)) = parts.split_last() else { return false };
    // The folders above a package are of the machine, and match nothing.
    let files =
        folders.iter().flat_map(|folder| rust_files(folder).into_iter().map(move |file| (folder, file)));
    files.into_iter().any(|(folder, file)| {
        let inside = file.strip_prefix(folder).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let inline: Vec<String> = before.iter().map(|part| format!("mod {part}")).collect();
        let of_file: Vec<_> =
            inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let is_in = |(part, inline): (&&str, &String)| {
            of_file.iter().any(|name| name.strip_suffix(".rs").unwrap_or(name) == *part)
                || text.contains(inline)
        };
        let is_module = of_file.iter().any(|name| name.strip_suffix(".rs").unwrap_or(name) == *last);
        let is_named = text.lines().any(|line| {
            let line = line.trim_start();
            let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn "));
            rest.is_some_and(|name| name.split('(').next().unwrap_or_default().contains(last))
        });
        let has_tests = text.contains("#[test]") || text.contains("#[tokio::test");
        has_tests && (is_named || is_module) && before.iter().zip(&inline).all(is_in)
    })
}

/// Returns what is wrong with a command.
fn wrong(packages: &BTreeMap<String, PathBuf>, text: &str) -> Option<String> {
    let command = command(text);
    let mut folders = Vec::new();
    for package in &command.packages {
        let Some(dir) = packages.get(*package) else { return Some(format!("no package {package}")) };
        folders.push(dir.clone());
    }
    if folders.is_empty() {
        return None;
    }
    let program = |name: &str| {
        folders
            .iter()
            .flat_map(|dir| [format!("tests/{name}.rs"), format!("tests/{name}")].map(|path| dir.join(path)))
            .find(|path| path.exists())
    };
    if let Some(missing) = command.programs.iter().find(|name| program(name).is_none()) {
        return Some(format!("no program {missing}"));
    }
    let missing = command.filters.iter().find(|filter| !matches_a_test(&folders, filter));
    missing.map(|filter| format!("no test {filter}"))
}

/// Returns what stands behind `cargo test` in a page: between backquotes, in fences, and in lines that are indented as code.
fn commands_of(page: &str) -> Vec<&str> {
    let (mut found, mut is_fence) = (Vec::new(), false);
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_fence = !is_fence;
        } else if is_fence || line.starts_with("    ") {
            found.extend(line.split_once("cargo test ").map(|(_, command)| command));
        } else {
            found.extend(line.split('`').filter_map(|piece| Some(piece.split_once("cargo test ")?.1)));
        }
    }
    found
}

#[test]
fn commands_in_docs_name_tests_that_are_there() {
    let packages = packages();
    let (mut count, mut found) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for command in commands_of(&text) {
            count += 1;
            found
                .extend(wrong(&packages, command).map(|why| format!("{}: {command}: {why}", page.display())));
        }
    }
    assert!(count > 40, "{count} commands: they are no longer found");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_filter_is_held_against_modules_and_names() {
    let packages = packages();
    let wrong = |text: &str| wrong(&packages, text);
    assert_eq!(wrong("-p house-rules --test commands a_filter_is_held"), None);
    assert_eq!(wrong("-p edge-gateway --lib mule::history_tests"), None);
    assert_eq!(wrong("-p edge-gateway --lib mule::histories"), Some("no test mule::histories".to_owned()));
    assert_eq!(wrong("-p edge-gateway --test nothing"), Some("no program nothing".to_owned()));
    assert_eq!(wrong("-p nobody"), Some("no package nobody".to_owned()));
}
