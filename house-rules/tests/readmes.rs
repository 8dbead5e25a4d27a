//! READMEs of the libraries beside their packages: features with what they bring, examples.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;

use cargo_metadata::{MetadataCommand, Package};

const LIBRARIES: [&str; 4] = ["edge-queue", "edge-bridge", "edge-codec", "edge-filter"];

/// Returns the libraries with the text of their READMEs.
fn libraries() -> Vec<(Package, String)> {
    let metadata = MetadataCommand::new().manifest_path("../Cargo.toml").no_deps().exec().unwrap();
    let packages = metadata.packages.into_iter().filter(|package| LIBRARIES.contains(&package.name.as_str()));
    let with_readme = |package: Package| {
        let readme = std::fs::read_to_string(package.manifest_path.with_file_name("README.md")).unwrap();
        (package, readme)
    };
    packages.map(with_readme).collect()
}

/// Returns the rows of the table whose first head is `feature`, cell by cell.
fn features(readme: &str) -> Vec<Vec<&str>> {
    let table = readme.lines().skip_while(|line| !line.starts_with("| feature |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// Returns what stands in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_feature_is_in_its_readme_and_no_other() {
    for (package, readme) in libraries() {
        let told: BTreeSet<_> =
            features(&readme).iter().flat_map(|row| quoted(row[0])).map(str::to_owned).collect();
        let there: BTreeSet<_> = package.features.keys().filter(|name| *name != "default").cloned().collect();
        assert_eq!(told, there, "{}", package.name);
    }
}

/// The queue's README says what each feature brings into the tree.
#[test]
fn features_of_the_queue_bring_what_its_readme_says() {
    let (package, readme) =
        libraries().into_iter().find(|(package, _)| package.name.as_str() == "edge-queue").unwrap();
    for row in features(&readme) {
        let feature = quoted(row[0]).next().unwrap();
        let brought = package.features[feature].iter().map(|item| item.trim_start_matches("dep:").to_owned());
        // What is said about a dependency stands in brackets behind it.
        let told =
            row[2].split(", ").map(|item| item.split(" (").next().unwrap().trim_matches('`').to_owned());
        let told: BTreeSet<_> = told.filter(|item| item != "nothing").collect();
        assert_eq!(told, brought.collect(), "{feature}");
    }
    let always = package.dependencies.iter().filter(|dependency| {
        dependency.kind == cargo_metadata::DependencyKind::Normal && !dependency.optional
    });
    let always: Vec<_> = always.map(|dependency| dependency.name.as_str()).collect();
    assert!(readme.contains(&format!("Always there: {}.", always.join(", "))), "{always:?}");
}

#[test]
fn every_example_is_in_its_readme() {
    for (package, readme) in libraries() {
        let examples: Vec<_> = package.targets.iter().filter(|target| target.is_example()).collect();
        assert!(examples.len() >= 4, "{}", package.name);
        let untold: Vec<_> =
            examples.iter().filter(|example| !readme.contains(&format!("`{}`", example.name))).collect();
        assert!(untold.is_empty(), "{}: {untold:?}", package.name);
    }
}

#[test]
fn tables_are_read_as_they_are_written() {
    let rows =
        features("| feature | gives |\n|---|---|\n| `a`, `b` (default) | x: `c` |\n| `d` | |\n\n| `e` | |\n");
    assert_eq!(rows.len(), 2);
    assert_eq!(quoted(rows[0][0]).collect::<Vec<_>>(), ["a", "b"]);
}
