#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! The status page in headless Chromium: its script runs under its own policy, and the console stays empty.

mod support;

use std::process::{Command, Stdio};

use support::gateway::Gateway;
use support::hub::Hub;
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
