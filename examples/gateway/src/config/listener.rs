//! Addresses and limits of the gateway's own listener: keys of `[local]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use edge_bridge::net::CertificateUser;
use edge_bridge::net::server::{Network, NetworkError};
use toml::de::DeValue;

use super::Findings;
use super::access::AccessFiles;
use super::conflicting_keys::conflict;
use super::section::{Placed, Section};
use super::tls;
use super::units::human_bytes;
use super::websocket::{self, WebSocket};

/// Most bytes, about, of sessions, of what waits in them and of retained messages that outlive a restart. Not a key: they are written as a whole, into
/// memory first, with each change.
pub(crate) const SAVED_CLIENTS_BYTES: u64 = 1 << 20;

/// Limits of all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerLimits {
    /// Most connections at a time.
    pub(crate) max_connections: u32,
    /// Longest packet in bytes.
    pub(crate) max_packet: u32,
    /// Most bytes of memory that all clients together may take.
    pub(crate) max_memory: u64,
    pub(crate) per_client: ClientLimits,
    /// Most topics with a retained message, and most bytes of those messages.
    pub(crate) max_retained: (u64, u64),
    /// Seconds between two publications of the `$SYS` figures; 0 for none.
    pub(crate) sys_interval_s: u32,
}

/// Limits for each client, within those of all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientLimits {
    /// Most messages, and most bytes, that wait for the client.
    pub(crate) max_queued: (u64, u64),
    /// Most messages to the client without its PUBACK.
    pub(crate) max_in_flight: u16,
    /// Most bytes that the client has not read.
    pub(crate) max_unread: u64,
    pub(crate) max_subscriptions: u64,
    /// Most bytes per second that are read of the client; `None` for no limit.
    pub(crate) max_rate: Option<u32>,
    /// Longest session expiry of the client.
    pub(crate) max_session_expiry: Duration,
    pub(crate) max_keep_alive: Duration,
    /// Shortest keep alive of the client; `None` for no limit.
    pub(crate) min_keep_alive: Option<Duration>,
}

/// Addresses at which clients connect, at least one in `plain` or in `tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) plain: Vec<SocketAddr>,
    pub(crate) tls: Option<TlsAddresses>,
    pub(crate) ws: WebSocket,
    /// Proxies that are believed from whom their connections come.
    pub(crate) proxies: Vec<Network>,
}

/// Addresses with TLS, at least one, and their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsAddresses {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Authority that must have signed the clients' certificates. `None`: clients need no certificate.
    pub(crate) client_ca: Option<PathBuf>,
    /// Lists of certificates that the authority has revoked.
    pub(crate) client_crl: Option<PathBuf>,
    /// Name in a client's certificate that is its user name.
    pub(crate) client_user: CertificateUser,
}

impl Addresses {
    pub(crate) fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        let secure = self.tls.iter().flat_map(|tls| &tls.addresses);
        self.plain.iter().chain(secure).copied().chain(self.ws.iter())
    }

    /// Returns whether other machines can reach the listener.
    pub(super) fn reach_beyond(&self) -> bool {
        self.iter().any(|address| !address.ip().is_loopback())
    }

    /// Returns whether every client has to show a certificate.
    pub(crate) fn are_certified(&self) -> bool {
        self.plain.is_empty()
            && self.ws.plain.is_empty()
            && self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

/// Keys of the listener alone.
const KEYS: [&str; 26] = [
    "tls_listen",
    "cert",
    "key",
    "client_ca",
    "client_crl",
    "client_user_from",
    "trusted_proxies",
    "password_file",
    "acl_file",
    "accept_mqtt_3_1",
    "max_connections",
    "max_packet",
    "max_memory",
    "max_queued_messages",
    "max_queued_bytes",
    "max_inflight_messages",
    "max_unread",
    "max_subscriptions",
    "max_rate",
    "max_retained_messages",
    "max_retained_bytes",
    "max_session_expiry",
    "max_keep_alive",
    "min_keep_alive",
    "sys_interval",
    "persistence",
];
/// Keys that belong to `tls_listen`.
const OF_TLS: [&str; 5] = ["cert", "key", "client_ca", "client_crl", "client_user_from"];

/// Reads the limits. `persistence`: whether what is retained is to outlive a restart.
pub(super) fn limits(section: &Section<'_>, persistence: bool, findings: &mut Findings) -> ListenerLimits {
    let limits = ListenerLimits {
        max_connections: u32::try_from(section.integer_in_force("max_connections", findings))
            .unwrap_or(u32::MAX),
        max_packet: u32::try_from(section.size_in_force("max_packet", findings)).unwrap_or(u32::MAX),
        max_memory: section.size_in_force("max_memory", findings),
        per_client: ClientLimits {
            max_queued: (
                section.integer_in_force("max_queued_messages", findings),
                section.size_in_force("max_queued_bytes", findings),
            ),
            max_in_flight: u16::try_from(section.integer_in_force("max_inflight_messages", findings))
                .unwrap_or(u16::MAX),
            max_unread: section.size_in_force("max_unread", findings),
            max_subscriptions: section.integer_in_force("max_subscriptions", findings),
            max_rate: section.size("max_rate", findings).and_then(|size| u32::try_from(size.value).ok()),
            max_session_expiry: section.duration_in_force("max_session_expiry", findings),
            max_keep_alive: section.duration_in_force("max_keep_alive", findings),
            min_keep_alive: section.duration("min_keep_alive", findings).map(|placed| placed.value),
        },
        max_retained: (
            section.integer_in_force("max_retained_messages", findings),
            section.size_in_force("max_retained_bytes", findings),
        ),
        sys_interval_s: u32::try_from(section.integer_in_force("sys_interval", findings)).unwrap_or(u32::MAX),
    };
    if limits.per_client.min_keep_alive.is_some_and(|min| min > limits.per_client.max_keep_alive) {
        let message = "more than `max_keep_alive`: no client could keep to both";
        findings.error(section.at_key("min_keep_alive"), "local.min_keep_alive", message);
    }
    let slow = limits.per_client.max_rate.is_some_and(|rate| rate < limits.max_packet / 5);
    if slow {
        let message = "less than a fifth of `max_packet`: a client would count as silent while its packet is read; lower that too";
        findings.error(section.at_key("max_rate"), "local.max_rate", message);
    }
    // Each of them alone can be as large; both together would have clients give way that keep to their limits.
    let together = limits.per_client.max_queued.1.saturating_add(limits.max_retained.1);
    if together > limits.max_memory {
        let message = "less than `max_queued_bytes` and `max_retained_bytes` together: clients that keep to their limits give way";
        findings.warning(section.at_key("max_memory"), "local.max_memory", message);
    }
    // What is retained without persistence ends with the process whatever its size.
    if limits.max_retained.1 > SAVED_CLIENTS_BYTES && persistence {
        let saved = human_bytes(SAVED_CLIENTS_BYTES);
        let message = format!(
            "more than the {saved} of sessions and retained messages that outlive a restart: what is beyond ends with the process"
        );
        findings.warning(section.at_key("max_retained_bytes"), "local.max_retained_bytes", message);
    }
    limits
}

/// Reads the addresses. `None`: there is none, or one is wrong.
pub(super) fn addresses(
    section: &Section<'_>,
    access: &AccessFiles,
    findings: &mut Findings,
) -> Option<Addresses> {
    let plain = several(section, "listen", findings);
    let secure = several(section, "tls_listen", findings);
    let [cert, client_ca, client_crl] =
        ["cert", "client_ca", "client_crl"].map(|key| section.file(key, findings));
    let key = section.private_key("key", false, findings);
    if section.get("tls_listen").is_none() {
        for key in OF_TLS.into_iter().filter(|key| section.get(key).is_some()) {
            findings.error(0, &format!("local.{key}"), "belongs to `tls_listen`, which is missing");
        }
    } else if section.get("cert").is_none() || section.get("key").is_none() {
        findings.error(section.at_key("tls_listen"), "local.tls_listen", "needs `cert` and `key`");
    }
    for key in ["client_crl", "client_user_from"] {
        if section.get(key).is_some() && section.get("client_ca").is_none() {
            let message = "belongs to `client_ca`, which is missing";
            findings.error(section.at_key(key), &format!("local.{key}"), message);
        }
    }
    let client_user = match section.one_of("client_user_from", findings) {
        Some(Placed { value: "san", .. }) => CertificateUser::AlternativeName,
        _ => CertificateUser::CommonName,
    };
    if let (Some(cert), Some(key)) = (&cert, &key) {
        tls::check_listener(cert, key, [client_ca.as_ref(), client_crl.as_ref()], findings);
    }
    let ws = [several(section, "ws_listen", findings), several(section, "wss_listen", findings)];
    let origins = websocket::origins(section, findings);
    let [ws_plain, ws_secure] = &ws;
    let places = [
        ("listen", &plain, false),
        ("tls_listen", &secure, true),
        ("ws_listen", ws_plain, false),
        ("wss_listen", ws_secure, true),
    ];
    check_places(section, access, &places, findings);
    // One that is wrong was told.
    let [plain, secure, ws_plain, ws_secure] = [plain?, secure?, ws_plain.clone()?, ws_secure.clone()?]
        .map(|places| places.into_iter().map(|place| place.value).collect::<Vec<_>>());
    let tls = match (secure.is_empty(), cert, key) {
        (false, Some(cert), Some(key)) => Some(TlsAddresses {
            addresses: secure,
            cert: cert.value,
            key: key.value,
            client_ca: client_ca.map(|placed| placed.value),
            client_crl: client_crl.map(|placed| placed.value),
            client_user,
        }),
        (false, ..) => return None,
        (true, ..) => None,
    };
    let ws = WebSocket { plain: ws_plain, tls: ws_secure, origins };
    let proxies = proxies(section, findings);
    Some(Addresses { plain, tls, ws, proxies })
}

/// Reads the networks of the trusted proxies, and reports texts that are none.
fn proxies(section: &Section<'_>, findings: &mut Findings) -> Vec<Network> {
    let Some(Placed { value: texts, at }) = section.strings("trusted_proxies", findings) else {
        return Vec::new();
    };
    let parse = |text: String| {
        let parsed = text.parse();
        let told = parsed.map_err(|error: NetworkError| format!("\"{text}\": {error}"));
        told.map_err(|message| findings.error(at, "local.trusted_proxies", message)).ok()
    };
    texts.into_iter().filter_map(parse).collect()
}

/// Key of addresses, the addresses, and a flag that is set if they have TLS.
type Places<'a> = (&'static str, &'a Option<Vec<Placed<SocketAddr>>>, bool);

/// Reports addresses that are open to every client, and addresses that are set twice.
fn check_places(section: &Section<'_>, access: &AccessFiles, places: &[Places<'_>], findings: &mut Findings) {
    // A file that cannot be read is told by itself.
    let has_certificates = section.get("client_ca").is_some();
    let mut before: Vec<(&str, SocketAddr)> = Vec::new();
    let each = places.iter().flat_map(|(key, places, is_tls)| {
        places.iter().flatten().map(move |Placed { value, at }| (key, value, at, is_tls))
    });
    for (key, address, at, is_tls) in each {
        let name = format!("local.{key}");
        let is_open = access.passwords.is_none() && !access.allow_anonymous && !(*is_tls && has_certificates);
        if is_open && !address.ip().is_loopback() {
            let or_ca = if *is_tls { ", a client_ca" } else { "" };
            let message = format!(
                "anyone who reaches this address may publish: give a password_file{or_ca}, or set allow_anonymous = true to accept that"
            );
            findings.error(*at, &name, message);
        }
        if let Some((other, _)) = before.iter().find(|(_, other)| conflict(*other, *address)) {
            let message = match other == key {
                true => "another one of its addresses has this address and port already".to_owned(),
                false => format!("`{other}` has this address and port already"),
            };
            findings.error(*at, &name, message);
        }
        before.push((key, *address));
    }
}

/// Reads one address or an array of them; none if the key is missing. `None`: one is wrong, which was told.
fn several(
    section: &Section<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> Option<Vec<Placed<SocketAddr>>> {
    let Some(value) = section.get(key) else { return Some(Vec::new()) };
    let (texts, count) = match value.get_ref() {
        DeValue::Array(items) => (section.placed_strings(key, findings)?.value, items.len()),
        _ => (vec![section.string(key, findings)?], 1),
    };
    if count == 0 {
        findings.error(value.span().start, &section.key(key), "no address: leave the key out");
    }
    let mut parsed = Vec::new();
    for Placed { value: text, at } in texts {
        match text.parse() {
            Ok(value) => parsed.push(Placed { value, at }),
            Err(_) => findings.error(at, &section.key(key), format!("\"{text}\" is not ADDRESS:PORT")),
        }
    }
    (count > 0 && parsed.len() == count).then_some(parsed)
}

/// Warns of the listener's keys in a configuration with a separate broker, where they have no effect.
pub(super) fn warn_beside_broker(section: &Section<'_>, findings: &mut Findings) {
    for key in KEYS.into_iter().chain(websocket::KEYS) {
        if let Some(value) = section.get(key) {
            let advice = match key {
                "password_file" => ": the password for it belongs into `broker_password_file`",
                _ => "",
            };
            let message =
                format!("`{key}` has no effect with `broker`, which has rules and limits of its own{advice}");
            findings.warning(value.span().start, &section.key(key), message);
        }
    }
}
