#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! The status page in headless Chromium: its script runs under its own policy, the console stays empty, it fits a telephone, and axe-core finds
//! nothing.

mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::gateway::Gateway;
use support::hub::Hub;
use support::mosquitto::Mosquitto;
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

const CONFIG: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

#[test]
#[ignore = "needs Chromium: cargo test -p edge-gateway --test run_status_browser -- --ignored"]
fn the_page_refreshes_itself_and_says_nothing_on_the_console() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (gateway, _) = Gateway::started(dir.path(), hub.address, CONFIG);
    wait_until("connected", 30, || gateway.metric("edge_verdict{verdict=\"delivering\"}") == Some(1.0));
    let url = format!("http://{}/", gateway.metrics);
    for size in ["--window-size=320,640", "--window-size=1280,900"] {
        let browser = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", size])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .args(["--virtual-time-budget=12000", "--dump-dom", &url])
            .stdin(Stdio::null())
            .output();
        let browser = browser.expect("chromium is not installed: apt-get install chromium");
        let (dom, said) =
            (String::from_utf8_lossy(&browser.stdout), String::from_utf8_lossy(&browser.stderr));
        assert!(
            dom.contains("Updated every 5 s.") && dom.contains(">Pause updates</button>"),
            "{dom}\n{said}"
        );
        assert!(dom.contains("role=\"status\">Delivering</b>"), "{dom}");
        let console: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert_eq!(console, [""; 0]);
    }
}

/// Looks at a page, light and dark, at 320 and 1 280 pixels.
fn looks(url: &str) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/status_page/examine.js");
    let output = Command::new("node").args([script, url, "/usr/bin/chromium"]).stdin(Stdio::null()).output();
    let output = output.expect("node is not installed: apt-get install nodejs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "docs/testing.md says what this needs in EDGE_FOREIGN_CLIENTS: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What is wrong with what was seen, but for the verdict.
fn faults(seen: &Value) -> Vec<String> {
    let lists = ["console", "elsewhere", "findings"].map(|key| seen[key].as_array().unwrap().clone());
    let mut faults: Vec<_> = lists.concat().iter().map(Value::to_string).collect();
    if seen["beyond"].as_i64().unwrap() > 0 {
        faults.push(format!("{} pixels wider than the window", seen["beyond"]));
    }
    faults
}

#[track_caller]
fn is_well_made(gateway: &Gateway, verdict: &str) {
    let looks = looks(&format!("http://{}/", gateway.metrics));
    assert_eq!(looks.len(), 4);
    for seen in &looks {
        assert_eq!(seen["verdict"], verdict, "{seen}");
        assert_eq!(faults(seen), [""; 0], "{verdict}, {} pixels, {}", seen["width"], seen["scheme"]);
        assert!(seen["rules"].as_u64().unwrap() > 15, "axe-core looked at little: {seen}");
    }
    assert_ne!(looks[0]["background"], looks[1]["background"], "dark is another page than light");
}

#[test]
#[ignore = "needs Chromium, node, puppeteer-core and axe-core: cargo test -p edge-gateway --test run_status_browser -- --ignored"]
fn in_normal_outage_drain_and_loss_the_page_fits_and_axe_core_finds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 100000");
    let relay = Relay::start(hub.address);
    let config = format!("[queue]\nmax_bytes = \"1MiB\"\nlanes = [\"all\"]\n{CONFIG}");
    let (gateway, listen) = Gateway::started(dir.path(), relay.address, &config);
    let mut sensor = Publisher::new(listen, "sensor", 20);
    let mut publish = |count: u32, bytes: usize| {
        (0..count).for_each(|n| sensor.publish(&format!("plant/{n}"), &"x".repeat(bytes)));
        sensor.settle(0, 60);
    };
    let wait_for = |verdict: &str| {
        let line = format!("edge_verdict{{verdict=\"{verdict}\"}}");
        wait_until(verdict, 60, || gateway.metric(&line) == Some(1.0));
    };

    publish(50, 100);
    wait_for("delivering");
    is_well_made(&gateway, "Delivering");
    relay.cut();
    publish(300, 1_000);
    wait_for("storing");
    is_well_made(&gateway, "Storing");
    // Two and a half minutes for what waits.
    relay.limit(2_000);
    relay.mend();
    wait_for("catching-up");
    is_well_made(&gateway, "Catching up");
    relay.cut();
    publish(200, 10_000);
    wait_for("losing");
    is_well_made(&gateway, "Losing messages");
}

/// Control: what is wrong with a page is found.
#[test]
#[ignore = "needs Chromium, node, puppeteer-core and axe-core: cargo test -p edge-gateway --test run_status_browser -- --ignored"]
fn a_page_with_faults_is_found_to_have_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("page.html");
    let page = "<!doctype html><html><title>t</title><body style=\"width:400px;background:#fff\"><b role=status>Delivering</b>\
        <p style=\"color:#ccc\">pale<img src=none>";
    std::fs::write(&path, page).unwrap();
    let looks = looks(&format!("file://{}", path.display()));
    let [narrow, wide] = [&looks[0], &looks[2]].map(|seen| faults(seen).join("\n"));
    for fault in ["html-has-lang", "image-alt", "color-contrast", "ERR_FILE_NOT_FOUND"] {
        assert!(narrow.contains(fault) && wide.contains(fault), "{fault}: {narrow}");
    }
    assert!(narrow.contains("wider than the window") && !wide.contains("wider than the window"), "{narrow}");
}
