//! Rules about the workspace itself: licences, dependencies between crates, ignored tests, unsafe code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod sources;

use std::collections::BTreeSet;
use std::process::Command;

use cargo_metadata::MetadataCommand;
use sources::{root, rust_files};

/// Licences we may ship next to MIT and Apache-2.0. An SPDX expression passes if one of its alternatives does.
const ALLOWED: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSL-1.0",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "Unlicense",
    // minicbor, a peer in the benches. Permissive, approved by the OSI.
    "BlueOak-1.0.0",
    // libfuzzer-sys, in cargo-fuzz's programs alone. Permissive, approved by the OSI.
    "NCSA",
];

/// `A OR B` passes if one side passes, `A AND B` if both do; an exception (`WITH ...`) only widens a licence.
fn passes(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], " ").replace('/', " OR ");
    flat.split(" OR ").any(|alternative| {
        alternative.split(" AND ").all(|one| {
            let name = one.split(" WITH ").next().unwrap_or("").trim();
            ALLOWED.contains(&name)
        })
    })
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap();
    let mut refused = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none stated");
        if !passes(licence) {
            refused.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert!(metadata.packages.len() > 50, "the whole tree was looked at");
    assert!(refused.is_empty(), "licences outside the list: {refused:#?}");
}

#[test]
fn the_licence_check_can_fail() {
    assert!(passes("MIT OR Apache-2.0") && passes("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!passes("GPL-3.0-only") && !passes("MIT AND MPL-2.0") && !passes("none stated"));
}

/// Major and minor number of a Rust version.
fn rust(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Ours is stated, and checked by a job of CI's own, which a dependency would fail.
#[test]
fn no_dependency_needs_a_newer_rust_than_is_stated() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec().unwrap();
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let stated =
        manifest.split("\nrust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let of = |package: &cargo_metadata::Package| {
        let needed = package.rust_version.as_ref()?;
        Some((u32::try_from(needed.major).unwrap(), u32::try_from(needed.minor).unwrap()))
    };
    let needs = metadata.packages.iter().filter_map(|package| Some((of(package)?, &package.name)));
    let newer: Vec<_> = needs.clone().filter(|(needed, _)| *needed > rust(stated)).collect();
    assert!(newer.is_empty(), "newer than {stated}: {newer:?}");
    assert!(needs.clone().count() > 50 && needs.max().unwrap().0 == rust(stated), "most say what they need");
    assert!(rust("1.90.0") < rust("1.91") && rust("1.100") > rust("1.99"), "the look can fail");
}

fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn siblings_do_not_depend_on_each_other_but_through_two_features() {
    let siblings = ["edge-queue", "edge-bridge", "edge-filter", "edge-codec"];
    for package in siblings {
        let all = tree(&["-p", package, "--all-features"]);
        let found: Vec<_> = siblings.iter().filter(|s| **s != package && all.contains(**s)).collect();
        match package {
            "edge-bridge" => {
                assert_eq!(found, [&"edge-queue"], "only through feature spool-queue");
                let bare = tree(&["-p", package, "--no-default-features", "--features", "net"]);
                assert!(!bare.contains("edge-queue"), "without spool-queue the bridge stands alone");
            }
            "edge-filter" => {
                assert_eq!(found, [&"edge-codec"], "only through feature codec");
                let bare = tree(&["-p", package]);
                assert!(!bare.contains("edge-codec"), "without the feature codec the filter stands alone");
            }
            _ => assert!(found.is_empty(), "{package} depends on {found:?}"),
        }
    }
}

#[test]
fn the_queue_stays_small_enough_to_embed() {
    let ring = tree(&["-p", "edge-queue", "--no-default-features", "--features", "ring"]);
    let dependencies: Vec<_> = ring.iter().filter(|name| *name != "edge-queue").collect();
    assert!(dependencies.len() <= 6, "at most 6 normal dependencies, found {dependencies:?}");
}

/// README's first command builds it, on small machines too.
#[test]
fn the_gateway_that_is_shipped_builds_neither_zstandard_nor_a_client_of_http() {
    let shipped = tree(&["-p", "edge-gateway"]);
    assert!(shipped.contains("edge-codec"));
    for (feature, brought) in [("zstd", "zstd"), ("est", "edge-est"), ("est", "want")] {
        assert!(!shipped.contains(brought), "{brought} is off by default");
        assert!(tree(&["-p", "edge-gateway", "--features", feature]).contains(brought));
    }
}

/// And in its reason, which `.ci/test` and `.ci/promise` print.
#[test]
fn every_ignored_test_has_its_command_in_the_docs() {
    let docs = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let (mut missing, mut without) = (Vec::new(), Vec::new());
    for file in rust_files(&root()) {
        let text = std::fs::read_to_string(&file).unwrap();
        let marker = ["#[", "ignore"].concat();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.trim_start().starts_with(&marker) {
                continue;
            }
            let name =
                lines.find_map(|l| l.trim_start().strip_prefix("fn ")?.split('(').next()).unwrap_or("?");
            if !docs.contains(name) {
                missing.push(format!("{}: {name}", file.display()));
            }
            if !line.contains("cargo test -p ") || !line.contains(" -- --ignored\"") {
                without.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/testing.md: {missing:#?}");
    assert!(
        without.is_empty(),
        "no command in the reason, which is what a run of the tests prints: {without:#?}"
    );
}

/// `println!` and `eprintln!` panic when their reader has gone, as in `… | head`: clippy refuses them outside of tests.
#[test]
fn no_program_panics_when_nobody_reads() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    let is_of_a_program = |path: &str| path.contains("/examples/") || path.contains("/src/bin/");
    let sources = targets
        .filter(|target| (target.is_lib() || target.is_bin()) && is_of_a_program(target.src_path.as_str()));
    let denies = "#![deny(clippy::print_stdout, clippy::print_stderr)]\n";
    let (denying, open): (Vec<_>, Vec<_>) = sources
        .map(|target| &target.src_path)
        .partition(|path| std::fs::read_to_string(path).unwrap().contains(denies));
    assert!(denying.len() > 10 && open.is_empty(), "without {denies}: {open:#?}");
}

/// The products' one `unsafe` call is in edge-clock.
#[test]
fn every_library_and_binary_but_one_forbids_unsafe_code() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap();
    // A target of cargo-fuzz is a C function, and no product.
    let packages = metadata.packages.iter().filter(|package| !package.name.ends_with("-fuzz"));
    let targets = packages.flat_map(|package| &package.targets);
    let products = targets.filter(|target| target.is_lib() || target.is_bin());
    let allows: Vec<_> = products
        .filter(|target| {
            !std::fs::read_to_string(&target.src_path).unwrap().contains("#![forbid(unsafe_code)]")
        })
        .map(|target| target.name.as_str())
        .collect();
    assert_eq!(allows, ["edge_clock"]);
    let source = std::fs::read_to_string(root().join("edge-clock/src/lib.rs")).unwrap();
    assert_eq!(source.matches("unsafe {").count(), 1);
}
