//! Byte counts by use (promise 9). The shell counts the bytes that TLS adds, because only the shell sees both sides of TLS.

use std::ops::AddAssign;

use super::Session;

/// Bytes of one connection, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Payloads of messages that were not sent before.
    pub payload: u64,
    /// All other bytes of MQTT: headers, topics, properties, acknowledgements, handshake, subscriptions.
    pub mqtt: u64,
    /// Bytes of PINGREQ and PINGRESP.
    pub ping: u64,
    /// Whole packets of messages that are resent on a later connection, or are received with DUP.
    pub resend: u64,
}

impl Traffic {
    /// Adds another connection's bytes.
    pub fn add(&mut self, other: &Self) {
        self.payload += other.payload;
        self.mqtt += other.mqtt;
        self.ping += other.ping;
        self.resend += other.resend;
    }

    /// Sum of all bytes.
    pub fn total(&self) -> u64 {
        self.payload + self.mqtt + self.ping + self.resend
    }

    pub(super) fn publish(&mut self, packet: usize, payload: usize, resend: bool) {
        if resend {
            self.resend += packet as u64;
        } else {
            self.payload += payload as u64;
            self.mqtt += packet.saturating_sub(payload) as u64;
        }
    }
}

/// Packets and bytes of a connection in each direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flow {
    pub(crate) packets_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
}

impl Flow {
    pub(super) fn received(&mut self, size: usize) {
        self.packets_in += 1;
        self.bytes_in += size as u64;
    }

    pub(super) fn sent(&mut self, size: usize) {
        self.packets_out += 1;
        self.bytes_out += size as u64;
    }
}

impl AddAssign for Flow {
    fn add_assign(&mut self, more: Self) {
        self.packets_in += more.packets_in;
        self.bytes_in += more.bytes_in;
        self.packets_out += more.packets_out;
        self.bytes_out += more.bytes_out;
    }
}

impl Session {
    /// Bytes of the connection so far, by their use.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Packets and bytes of the connection so far.
    pub(crate) fn flow(&self) -> Flow {
        self.flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_connections_add_up_by_cause() {
        let mut all = Traffic { payload: 1, mqtt: 2, ping: 3, resend: 4 };
        all.add(&Traffic { payload: 10, mqtt: 20, ping: 30, resend: 40 });
        assert_eq!(all, Traffic { payload: 11, mqtt: 22, ping: 33, resend: 44 });
        assert_eq!(all.total(), 110);
    }
}
