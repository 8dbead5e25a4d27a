//! `[local] broker`: a broker that is there already, as a client of which the gateway subscribes; the way to it, TLS and login included.

use edge_bridge::net::Target;

use super::client_tls::{self, CertificateLife, ClientFiles};
use super::hub::{PLAIN_PORT, TLS_PORT, credentials, is_loopback, warn_of_the_port};
use super::peer::Peer;
use super::section::{Placed, Section};
use super::{Credentials, Findings};

/// Keys of `[local]` that belong to `broker`, beside `client_id` and `topics`.
const KEYS: [&str; 7] = [
    "broker_ca",
    "broker_cert",
    "broker_key",
    "broker_crl",
    "broker_tls_server_name",
    "broker_user",
    "broker_password_file",
];

/// Way to a local broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerWay {
    /// `None`: without TLS.
    pub(crate) tls: Option<BrokerTls>,
    /// `None`: the gateway does not log in.
    pub(crate) credentials: Option<Credentials>,
}

/// TLS with a local broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerTls {
    pub(crate) files: ClientFiles,
    /// Name of the broker in TLS. `None`: the host of the address.
    pub(crate) server_name: Option<String>,
}

/// Reads address and way. `None`: the address is missing or wrong.
pub(super) fn broker(section: &Section<'_>, findings: &mut Findings) -> Option<(String, u16, BrokerWay)> {
    let address = section.parsed("broker", findings, target);
    let files = client_tls::client_files(section, Peer::LocalBroker, CertificateLife::default(), findings);
    client_tls::report_half_identity(section, Peer::LocalBroker, findings);
    let server_name = client_tls::server_name(section, Peer::LocalBroker, findings);
    let credentials = credentials(section, "broker_user", "broker_password_file", findings);
    let Placed { value: target, at } = address?;
    client_tls::check_address(section, (Peer::LocalBroker, target.tls, at), &files, findings);
    let bare = Target { host: target.host.trim_matches(['[', ']']).to_owned(), ..target.clone() };
    warn_of_the_port(at, "local.broker", &bare, findings);
    if credentials.is_some() && !target.tls && !is_loopback(&bare.to_string()) {
        let message = "the password goes to the broker in the clear: write mqtts://";
        findings.warning(at, "local.broker", message);
    }
    let tls = target.tls.then_some(BrokerTls { files, server_name });
    Some((target.host, target.port, BrokerWay { tls, credentials }))
}

/// Reads `HOST:PORT`, `mqtt://HOST:PORT` or `mqtts://HOST:PORT`. The host keeps the brackets of an IPv6 address.
fn target(text: &str) -> Result<Target, String> {
    let (tls, rest) = match text.strip_prefix("mqtts://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("mqtt://").unwrap_or(text)),
    };
    let (host, port) = host_port(rest, if tls { TLS_PORT } else { PLAIN_PORT })?;
    Ok(Target { host, port, tls })
}

/// Parses `HOST`, `HOST:PORT` or `[V6]:PORT`. `default` is the port if the text has none.
fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    if text.contains('@') {
        // Not quoted: it may be a password.
        return Err("a user or a password does not belong into this address".to_owned());
    }
    let text = text.trim_end_matches('/');
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            (host, port.parse::<u16>().map_err(|_| format!("`{port}` is not a port"))?)
        }
        _ => (text, default),
    };
    let bad = |c: char| c.is_whitespace() || matches!(c, '/' | '@' | '?' | '#');
    if host.is_empty() || host.contains(bad) {
        return Err(format!("\"{text}\" is not HOST:PORT"));
    }
    Ok((host.to_owned(), port))
}

/// Warns of the broker's keys in a configuration with a listener, where they have no effect.
pub(super) fn warn_beside_listen(section: &Section<'_>, findings: &mut Findings) {
    for key in KEYS {
        if let Some(Placed { at, .. }) = section.string(key, findings) {
            let message = format!("`{key}` has no effect with `listen`: it belongs to `broker`");
            findings.warning(at, &section.key(key), message);
        }
    }
}

#[cfg(test)]
mod tests;
