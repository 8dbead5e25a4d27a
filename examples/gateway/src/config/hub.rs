//! `[hub]`: addresses of the hub, TLS and proxy, client identifier and user, and the MQTT version.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use edge_bridge::bridge::IdentityForm;
use edge_bridge::net::{Target, TargetError};

use super::client_tls::{self, CertificateLife, ClientFiles};
use super::password;
use super::peer::Peer;
use super::proxy::proxy;
use super::section::{Placed, Section};
use super::{Findings, Hub, Protocol, est};

/// Ports that IANA lists for MQTT.
pub(super) const PLAIN_PORT: u16 = 1883;
pub(super) const TLS_PORT: u16 = 8883;

/// The gateway's user name and password at the hub, or at a local broker.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Vec<u8>,
    /// File with the password.
    pub(crate) file: PathBuf,
}

impl PartialEq for Credentials {
    /// Compares all but the password: it is read again before each connection, so that another one changes nothing in the configuration.
    fn eq(&self, other: &Self) -> bool {
        let Self { user, password: _, file } = self;
        (user, file) == (&other.user, &other.file)
    }
}

impl Eq for Credentials {}

impl std::fmt::Debug for Credentials {
    /// Writes the user alone, without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Reads the table. `max_age`: longest age of a message in the queue. `None`: `url` is missing or wrong.
pub(super) fn hub(
    section: &mut Section<'_>,
    id: &str,
    max_age: Option<Duration>,
    findings: &mut Findings,
) -> Option<Hub> {
    let url = url(section, findings);
    let further = further_urls(section, url.as_ref(), findings);
    let failback = section.boolean("failback", findings);
    if failback.is_some() && further.is_empty() {
        findings.warning(0, "hub.failback", "without effect: there is one address, `url`");
    }
    let est = est::est(section, id, findings);
    let is_claimed = est.as_ref().is_some_and(|est| est.claim.is_some());
    let life = CertificateLife { max_age, is_renewed: est.is_some(), is_claimed };
    let files = client_tls::client_files(section, Peer::Hub, life, findings);
    let alpn = client_tls::alpn(section, findings);
    let server_name = client_tls::server_name(section, Peer::Hub, findings);
    let proxy = proxy(section, findings);
    let why = "the hub keeps the session under this name; without the key it is gateway.id";
    let client_id = client_id(section, why, findings);
    let credentials = credentials(section, "user", "password_file", findings);
    let protocol = match section.one_of_in_force("protocol", findings) {
        "5" => Protocol::V5,
        "3.1.1" => Protocol::V311,
        _ => Protocol::Auto,
    };
    let keep_alive = section.duration_in_force("keep_alive", findings);
    let command_within = section.duration_in_force("command_within", findings);
    let window = u16::try_from(section.integer_in_force("window", findings)).unwrap_or(u16::MAX);
    let identity = identity(section, protocol, findings);
    client_tls::report_half_identity(section, Peer::Hub, findings);
    let url = url?;
    client_tls::check_address(section, (Peer::Hub, url.value.tls, url.at), &files, findings);
    let ClientFiles { ca, cert, key, crl, is_claimed: _ } = files;
    let hub = Hub {
        url: url.value.to_string(),
        further_urls: further,
        failback: failback.unwrap_or(true),
        ca,
        cert,
        key,
        crl,
        est,
        alpn,
        server_name,
        proxy,
        client_id: client_id.unwrap_or_else(|| id.to_owned()),
        credentials,
        protocol,
        command_within,
        keep_alive,
        window,
        identity,
    };
    if let Some(est) = &hub.est {
        est::check(est, section, &hub, findings);
    }
    if hub.credentials.is_some() && hub.is_in_the_clear() {
        findings.warning(url.at, "hub.url", "the password goes over mqtt:// in the clear: write mqtts://");
    }
    Some(hub)
}

/// Reads the form of the identity of raw messages.
fn identity(section: &mut Section<'_>, protocol: Protocol, findings: &mut Findings) -> IdentityForm {
    let at = section.get("identity").map(|value| value.span().start);
    let form = match section.one_of_in_force("identity", findings) {
        "binary" => IdentityForm::Binary,
        "off" => IdentityForm::Off,
        _ => IdentityForm::Text,
    };
    if let Some(at) = at.filter(|_| protocol == Protocol::V311) {
        findings.warning(at, "hub.identity", "without effect: MQTT 3.1.1 carries no identity of a message");
    }
    form
}

/// Reads the first address. `None`: it is missing or wrong.
fn url(section: &Section<'_>, findings: &mut Findings) -> Option<Placed<Target>> {
    if section.get("url").is_none() {
        findings.error(section.at(), "hub.url", "missing: mqtt://HOST:PORT or mqtts://HOST:PORT");
    }
    let url = section.parsed("url", findings, target)?;
    warn_of_the_port(url.at, "hub.url", &url.value, findings);
    Some(url)
}

/// Reads the other addresses, each with its port.
fn further_urls(
    section: &Section<'_>,
    first: Option<&Placed<Target>>,
    findings: &mut Findings,
) -> Vec<String> {
    const KEY: &str = "hub.further_urls";
    let mut targets: Vec<Target> = first.iter().map(|url| url.value.clone()).collect();
    let known = targets.len();
    for item in section.placed_strings("further_urls", findings).into_iter().flat_map(|list| list.value) {
        let target = match target(&item.value) {
            Ok(target) => target,
            Err(message) => {
                findings.error(item.at, KEY, message);
                continue;
            }
        };
        warn_of_the_port(item.at, KEY, &target, findings);
        if first.is_some_and(|first| first.value.tls != target.tls) {
            let message =
                "not the scheme of `url`: password and messages would go in the clear to one of them";
            findings.error(item.at, KEY, message);
        }
        if targets.contains(&target) {
            findings.warning(item.at, KEY, format!("{target} stands there twice"));
        }
        targets.push(target);
    }
    targets.iter().skip(known).map(Target::to_string).collect()
}

fn target(url: &str) -> Result<Target, String> {
    url.parse().map_err(|error: TargetError| error.to_string())
}

/// Warns of the usual port of MQTT with TLS at an address without it, and the other way round.
pub(super) fn warn_of_the_port(at: usize, key: &str, target: &Target, findings: &mut Findings) {
    let kind = match (target.tls, target.port) {
        (false, TLS_PORT) => "with TLS",
        (true, PLAIN_PORT) => "without TLS",
        _ => return,
    };
    let (port, meant) = (target.port, Target { tls: !target.tls, ..target.clone() });
    findings.warning(at, key, format!("{port} is the usual port of MQTT {kind}: is {meant} meant?"));
}

/// Returns the client identifier, which may not be empty for the reason `why`; `None`: one made of the gateway's id is used.
pub(super) fn client_id(section: &mut Section<'_>, why: &str, findings: &mut Findings) -> Option<String> {
    let placed = section.string("client_id", findings)?;
    if placed.value.is_empty() {
        findings.error(placed.at, &section.key("client_id"), format!("is empty: {why}"));
    }
    Some(placed.value)
}

/// Reads user name and password at these keys. The password has a file of its own, because people show gateway.toml to others.
pub(super) fn credentials(
    section: &Section<'_>,
    user_key: &'static str,
    file_key: &'static str,
    findings: &mut Findings,
) -> Option<Credentials> {
    let user = section.string(user_key, findings);
    let file = section.path(file_key, findings);
    if section.get(user_key).is_some() != section.get(file_key).is_some() {
        let message = format!("`{user_key}` and `{file_key}` belong together: one of them is missing");
        let (at, key) = section.first_of(&[user_key, file_key]);
        findings.error(at, &key, message);
    }
    let (user, file) = (user?, file?);
    if user.value.is_empty() {
        findings.error(user.at, &section.key(user_key), "empty");
    }
    let password = password::checked(&file, &section.key(file_key), findings)?;
    Some(Credentials { user: user.value, password, file: file.value })
}

impl Hub {
    /// Returns the files of TLS with the hub.
    pub(crate) fn tls_files(&self) -> ClientFiles {
        let (ca, cert, key, crl) = (self.ca.clone(), self.cert.clone(), self.key.clone(), self.crl.clone());
        let is_claimed = self.est.as_ref().is_some_and(|est| est.claim.is_some());
        ClientFiles { ca, cert, key, crl, is_claimed }
    }

    /// Returns the hub's addresses, in the order in which they are tried.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.url).chain(&self.further_urls).map(String::as_str)
    }

    /// Returns whether messages are sent unencrypted, so that others on the network can read and change them.
    pub(crate) fn is_in_the_clear(&self) -> bool {
        // Behind a proxy the loopback is another machine's.
        self.url.starts_with("mqtt://") && (self.proxy.is_some() || !self.urls().all(is_loopback))
    }
}

/// Returns whether the host of an address is this machine.
pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
