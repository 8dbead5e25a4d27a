#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! The names on `/metrics`, against docs/reference/metrics.md and the other pages.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::authority::Authority;
use support::free_port;
use support::gateway::Gateway;
use support::hub::Hub;

const LOOPS: &str = r#"
[[output]]
name = "heater"
value = 0.0
"#;

const CONFIG: &str = "
[control]
rules = 'control.toml'
[[route]]
match = '#'
[[command]]
match = 'g/cmd/#'
to = 'valve/#'
";

fn printed(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

/// Words of the page that begin like a metric's name and are none.
const OTHERS: [&str; 3] = ["edge_batch", "edge_bridge", "edge_id"];

/// Metrics that the page names anywhere.
fn mentioned(docs: &str) -> BTreeSet<&str> {
    let words = docs.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("edge_") && !OTHERS.contains(word)).collect()
}

/// The first cells of the tables' rows.
fn explained(docs: &str) -> BTreeSet<&str> {
    docs.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).flat_map(mentioned).collect()
}

#[test]
fn every_metric_is_explained_in_the_docs_and_no_other_is_named_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), LOOPS).unwrap();
    let hub = Hub::start();
    Authority::new(dir.path(), "plant").sign(dir.path(), "own", Some("own"));
    let config = format!(
        "[gateway]\nid = 'g'\n[hub]\nurl = 'mqtt://{}'\n[local]\nlisten = '{}'\ntls_listen = '{}'\ncert = 'own.crt'\nkey = 'own.key'\n{CONFIG}",
        hub.address,
        free_port(),
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let (status, page) = gateway.get("/metrics").unwrap();
    assert_eq!(status, 200, "{page}");
    let printed = printed(&page);
    assert!(printed.len() > 25 && printed.iter().any(|name| name.starts_with("edge_control_")), "{page}");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let read = |page: &str| std::fs::read_to_string(docs.join(page)).unwrap();
    let metrics = read("reference/metrics.md");
    assert_eq!(explained(&metrics), printed);
    let guide =
        ["getting-started", "hub", "outages", "sensors", "sizing", "upgrading", "certificates", "commands"];
    let guide = guide.map(|page| read(&format!("guide/{page}.md")));
    let all = [read("operations.md"), metrics, guide.join("\n")].join("\n");
    assert_eq!(mentioned(&all), printed);
}
