#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Cases of TLS between the gateway's program and foreign peers, at both sides: clients of Mosquitto and OpenSSL at the listener, Mosquitto as the hub.
//! Each case is one line of a table: what the peer presents, whether it is let in, and the words of a refusal. After each refusal the next good peer is
//! served, and nothing is lost.

#[path = "../support/mod.rs"]
mod support;

mod client_cases;
mod hub_cases;
mod listener;
mod materials;
mod own_files;
mod uplink;

use std::path::{Path, PathBuf};

/// What becomes of a peer.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    LetIn,
    /// With these words in the gateway's log.
    Refused(&'static str),
}

/// Lines of OpenSSL's configuration: the one version of TLS, or all, with keys and signatures of any strength, which it would refuse by itself.
fn openssl_conf(dir: &Path, version: Option<&str>) -> PathBuf {
    let file = dir.join(format!("openssl-{}.cnf", version.unwrap_or("any")));
    let bounds = version.map_or_else(String::new, |v| format!("MinProtocol = {v}\nMaxProtocol = {v}\n"));
    let text = format!(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nCipherString = DEFAULT:@SECLEVEL=0\n{bounds}"
    );
    std::fs::write(&file, text).unwrap();
    file
}
