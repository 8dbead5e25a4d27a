#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    missing_docs,
    reason = "test code"
)]
//! The names on `/metrics`, against docs/reference/metrics.md and the other pages, the alerts and the dashboard.

#[path = "../support/mod.rs"]
mod support;

#[allow(unreachable_pub, reason = "a module of this test")]
mod alerts;
#[allow(unreachable_pub, reason = "a module of this test")]
mod dashboard;
#[allow(unreachable_pub, reason = "a module of this test")]
mod expressions;
#[path = "../deploy/yaml.rs"]
#[allow(unreachable_pub, dead_code, reason = "a module of another test")]
mod yaml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use expressions::Exported;
use support::authority::Authority;
use support::free_port;
use support::gateway::Gateway;
use support::hub::Hub;
use support::wait_until;

const LOOPS: &str = r#"
[[output]]
name = "heater"
value = 0.0
"#;

const CONFIG: &str = "
[control]
rules = 'control.toml'
[queue]
lanes = ['alarm', 'state', 'telemetry', 'bulk']
[[command]]
match = 'g/cmd/#'
to = 'valve/#'
";
/// A large site has as many.
const ROUTES: usize = 16;

fn printed(page: &str) -> BTreeSet<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

/// Words of the page that begin like a metric's name and are none.
const OTHERS: [&str; 3] = ["edge_batch", "edge_bridge", "edge_id"];

/// Metrics that are exported where the kernel tells the wear of the disk, which few do.
const OF_THE_DISK: [&str; 2] = ["edge_flash_life_used", "edge_flash_pre_eol"];

/// Metrics that the page names anywhere.
fn mentioned(docs: &str) -> BTreeSet<&str> {
    let words = docs.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("edge_") && !OTHERS.contains(word)).collect()
}

/// The first cells of the tables' rows.
fn explained(docs: &str) -> BTreeSet<&str> {
    docs.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).flat_map(mentioned).collect()
}

/// The page of a gateway that has everything.
fn page() -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("control.toml"), LOOPS).unwrap();
    let hub = Hub::start();
    Authority::new(dir.path(), "plant").sign(dir.path(), "own", Some("own"));
    let routes: String = (1..ROUTES)
        .map(|n| format!("[[route]]\nmatch = 'line{n}/#'\n"))
        .chain(["[[route]]\nmatch = '#'\n".to_owned()])
        .collect();
    let config = format!(
        "[gateway]\nid = 'g'\n[hub]\nurl = 'mqtt://{}'\n[local]\nlisten = '{}'\ntls_listen = '{}'\ncert = 'own.crt'\nkey = 'own.key'\n{CONFIG}{routes}",
        hub.address,
        free_port(),
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut page = String::new();
    // Totals are not known before the parked messages are.
    wait_until("the page has totals", 30, || {
        page = gateway.get("/metrics").filter(|(status, _)| *status == 200).unwrap_or_default().1;
        page.contains("\nedge_delivered_total ")
    });
    page
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(page: &str) -> String {
    std::fs::read_to_string(docs().join(page)).unwrap()
}

#[test]
fn every_metric_is_explained_in_the_docs_and_no_other_is_named_there() {
    let page = page();
    let mut printed = printed(&page);
    printed.extend(OF_THE_DISK);
    assert!(printed.len() > 25 && printed.iter().any(|name| name.starts_with("edge_control_")), "{page}");
    let metrics = read("reference/metrics.md");
    assert_eq!(explained(&metrics), printed);
    let guide =
        ["getting-started", "hub", "outages", "sensors", "sizing", "upgrading", "certificates", "commands"];
    let guide = guide.map(|page| read(&format!("guide/{page}.md")));
    let all = [read("operations.md"), metrics, guide.join("\n")].join("\n");
    assert_eq!(mentioned(&all), printed);
}

/// Of a server for many gateways each series costs memory: none may be of a route, a topic or a client.
#[test]
fn a_page_of_sixteen_routes_has_600_series_and_60_kilobytes_at_most() {
    let page = page();
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    println!("{series} series, {} bytes", page.len());
    assert!(page.contains("{lane=\"bulk\"}"), "{page}");
    assert!(series <= 600 && page.len() <= 60_000, "{series} series, {} bytes", page.len());
}

/// A name that is exported under another condition than those of the page would be found missing by nobody.
#[test]
fn alerts_and_dashboard_ask_for_what_is_exported() {
    let exported = Exported::of(&page());
    let asked = alerts::expressions().into_iter().chain(dashboard::expressions());
    let wrong: Vec<String> = asked.flat_map(|expression| exported.problems(&expression)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
