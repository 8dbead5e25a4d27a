//! Owners of certificates, and of lists of revoked ones.

use std::fmt;

/// Owner of a certificate, which is the party whose connections fail when it expires, or a list of revoked ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The gateway, towards the hub.
    Hub,
    /// Authority of the hub.
    HubAuthority,
    /// The gateway's listener, towards the sensors.
    Listener,
    /// Authority of the sensors.
    SensorAuthority,
    /// Revoked certificates of hubs.
    HubRevoked,
    /// Revoked certificates of sensors.
    SensorsRevoked,
    /// The gateway, towards a local broker.
    Broker,
    /// Authority of a local broker.
    BrokerAuthority,
    /// Revoked certificates of local brokers.
    BrokerRevoked,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::HubAuthority => "hub_ca",
            Self::Listener => "listener",
            Self::SensorAuthority => "sensors_ca",
            Self::HubRevoked => "hub_crl",
            Self::SensorsRevoked => "sensors_crl",
            Self::Broker => "broker",
            Self::BrokerAuthority => "broker_ca",
            Self::BrokerRevoked => "broker_crl",
        }
    }

    pub(crate) fn is_authority(self) -> bool {
        matches!(self, Self::HubAuthority | Self::SensorAuthority | Self::BrokerAuthority)
    }

    /// Returns whether it is a list of revoked certificates. Nothing fails at its end, and a new one comes every few days.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::HubRevoked | Self::SensorsRevoked | Self::BrokerRevoked)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
