//! One `listener` of a mosquitto.conf.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::findings::{Findings, Place};

/// A `listener`, or the default one of `port` and `bind_address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) place: Place,
    /// Host name or address to listen at; `None`: all addresses of this machine.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
    pub(crate) cert: Option<(Place, PathBuf)>,
    pub(crate) key: Option<(Place, PathBuf)>,
    pub(crate) client_ca: Option<(Place, PathBuf)>,
    pub(crate) require_certificate: Option<(Place, bool)>,
    pub(crate) names_from_certificates: bool,
    /// Set for the default listener of `port` and `bind_address`, to which lines before the first `listener` belong.
    pub(super) is_own: bool,
}

impl Listener {
    pub(super) fn new(place: Place, host: Option<String>, port: u16) -> Self {
        Self {
            place,
            host,
            port,
            cert: None,
            key: None,
            client_ca: None,
            require_certificate: None,
            names_from_certificates: false,
            is_own: false,
        }
    }

    /// Returns whether the listener uses TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.cert.is_some()
    }

    /// Returns whether only clients with a certificate may connect.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.has_tls() && matches!(self.require_certificate, Some((_, true)))
    }

    /// Returns the files of its TLS, with what clients have to show.
    pub(super) fn tls_files(&self) -> ([Option<&PathBuf>; 3], [bool; 2]) {
        let files = [&self.cert, &self.key, &self.client_ca];
        let asks = [self.asks_for_certificates(), self.names_from_certificates];
        (files.map(|file| file.as_ref().map(|(_, path)| path)), asks)
    }

    /// Returns whether one of both cannot be bound where the other one is. Of a name it is known for the same one, and for all addresses.
    pub(super) fn conflicts_with(&self, other: &Self) -> bool {
        let covers = |one: &Self, other: &Self| match (one.address(), other.address()) {
            // `::` takes addresses of IPv4, too.
            (Some(one), _) if one.is_unspecified() && one.is_ipv6() => true,
            (Some(one), Some(other)) => one == other || one.is_unspecified() && other.is_ipv4(),
            _ => one.host == other.host,
        };
        self.port == other.port && (covers(self, other) || covers(other, self))
    }

    /// Returns the address at which it listens; `None`: the host is a name.
    fn address(&self) -> Option<IpAddr> {
        let parsed = self.host.as_deref().unwrap_or("::").parse();
        parsed.ok().map(|address: IpAddr| address.to_canonical())
    }

    /// Returns whether only programs on this machine can connect.
    pub(super) fn is_of_this_machine(&self) -> bool {
        let host = self.host.as_deref().unwrap_or_default();
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// Reports errors that no single line shows.
    pub(super) fn check(&self, findings: &mut Findings) {
        match (&self.cert, &self.key) {
            (Some((place, _)), None) => findings.error(place.clone(), "certfile without keyfile"),
            (None, Some((place, _))) => findings.error(place.clone(), "keyfile without certfile"),
            _ => {}
        }
        if self.names_from_certificates && !self.asks_for_certificates() {
            let text = "use_identity_as_username true needs require_certificate true";
            findings.error(self.place.clone(), text);
        }
        let Some((place, true)) = &self.require_certificate else { return };
        if !self.has_tls() || self.client_ca.is_none() {
            findings.error(place.clone(), "require_certificate needs certfile, keyfile and cafile");
        } else if !self.names_from_certificates {
            let text = "the common name of a certificate is its user's name, as with use_identity_as_username true; the user name that the client gives counts for nothing";
            findings.trap(place.clone(), text);
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{host}:{}", self.port),
            None => write!(f, "port {} of all addresses", self.port),
        }
    }
}
