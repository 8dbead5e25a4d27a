//! WebSocket addresses and origins: keys of `[local]`.

use std::net::SocketAddr;

use super::Findings;
use super::section::{Placed, Section};

/// Keys that concern only WebSocket.
pub(super) const KEYS: [&str; 3] = ["ws_listen", "wss_listen", "ws_origins"];

/// Addresses at which clients connect by WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WebSocket {
    pub(crate) plain: Vec<SocketAddr>,
    /// Addresses for WebSocket over TLS, with the certificate of `tls_listen`.
    pub(crate) tls: Vec<SocketAddr>,
    /// Origins of web pages that may connect beside pages of the listener's own origin.
    pub(crate) origins: Vec<String>,
}

impl WebSocket {
    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        self.plain.iter().chain(&self.tls).copied()
    }
}

/// Reads the origins, and reports WebSocket keys that need another key which is missing.
pub(super) fn origins(section: &Section<'_>, findings: &mut Findings) -> Vec<String> {
    let origins = section.strings("ws_origins", findings);
    if section.get("wss_listen").is_some() && section.get("tls_listen").is_none() {
        let at = section.at_key("wss_listen");
        findings.error(at, "local.wss_listen", "speaks the TLS of `tls_listen`, which is missing");
    }
    let Some(Placed { value: origins, at }) = origins else { return Vec::new() };
    if KEYS.iter().filter(|key| section.get(key).is_some()).count() == 1 {
        findings.error(at, "local.ws_origins", "belongs to `ws_listen` and `wss_listen`, which are missing");
    }
    for origin in origins.iter().filter(|origin| !is_origin(origin)) {
        let message = format!(
            "\"{origin}\" is no origin: \"https://HOST\", with :PORT where it is not the scheme's own, or \"null\""
        );
        findings.error(at, "local.ws_origins", message);
    }
    origins
}

/// Returns whether the text has the form in which browsers send origins.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    let is_scheme =
        !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "/",
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    is_scheme && !host.is_empty() && host.chars().all(is_host) && !host.ends_with(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in
            ["https://panel.example", "http://10.0.0.7:8080", "http://[::1]:8080", "null", "app://x"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "*",
            "",
            "panel.example",
            "https://",
            "://x",
            "https://panel.example/",
            "https://panel.example:443",
            "http://10.0.0.7:80",
            "https://*.example",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
