//! Servers of which the gateway is a client, and the keys about TLS with them, by which mistakes and errors name what is to look at.

use edge_bridge::net::TlsSettingNames;

/// Server of which the gateway is a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Hub,
    LocalBroker,
}

/// Full names of the keys about TLS with one server.
#[derive(Debug)]
pub(super) struct ClientKeys {
    pub(super) address: &'static str,
    pub(super) ca: &'static str,
    pub(super) cert: &'static str,
    pub(super) key: &'static str,
    pub(super) crl: &'static str,
    pub(super) server_name: &'static str,
}

const OF_THE_HUB: ClientKeys = ClientKeys {
    address: "hub.url",
    ca: "hub.ca",
    cert: "hub.cert",
    key: "hub.key",
    crl: "hub.crl",
    server_name: "hub.tls_server_name",
};

const OF_THE_BROKER: ClientKeys = ClientKeys {
    address: "local.broker",
    ca: "local.broker_ca",
    cert: "local.broker_cert",
    key: "local.broker_key",
    crl: "local.broker_crl",
    server_name: "local.broker_tls_server_name",
};

impl Peer {
    pub(super) fn keys(self) -> &'static ClientKeys {
        match self {
            Self::Hub => &OF_THE_HUB,
            Self::LocalBroker => &OF_THE_BROKER,
        }
    }

    /// Returns the server in one word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::LocalBroker => "broker",
        }
    }

    /// Returns the keys that are to look at where the handshake fails.
    pub(super) fn setting_names(self) -> TlsSettingNames {
        let clock = "[clock] trusted";
        match self {
            Self::Hub => TlsSettingNames {
                server_name: "[hub] url, tls_server_name",
                authorities: "[hub] ca",
                certificate: "[hub] cert",
                peer: "",
                clock,
            },
            Self::LocalBroker => TlsSettingNames {
                server_name: "[local] broker, broker_tls_server_name",
                authorities: "[local] broker_ca",
                certificate: "[local] broker_cert",
                peer: "the local broker",
                clock,
            },
        }
    }
}

/// Returns the name of a key in its table.
pub(super) fn short(name: &'static str) -> &'static str {
    name.rsplit_once('.').map_or(name, |(_, key)| key)
}
