//! Adaptation of the CONNECT to one address: a version, bridge bit or will that the hub refused there is changed or left out in the next CONNECT.

use crate::bridge::Event;
use crate::bridge::connection::Connection;
use crate::session::{ClientConfig, Closed};

use super::bridge_bit::BridgeBit;
use super::version_choice::VersionChoice;
use super::will_choice::WillChoice;

#[derive(Debug, Clone)]
pub(in crate::bridge) struct ConnectChoice {
    version: VersionChoice,
    bridge_bit: BridgeBit,
    will: WillChoice,
}

impl ConnectChoice {
    /// Creates the choices for an address. `any_version` allows another MQTT version than the client's.
    pub(in crate::bridge) fn new(client: &ClientConfig, any_version: bool) -> Self {
        let version = VersionChoice::new(client.version, any_version);
        Self { version, bridge_bit: BridgeBit::default(), will: WillChoice::default() }
    }

    /// Removes from the next CONNECT of `client` everything that this hub is known to refuse.
    pub(in crate::bridge) fn adapt(&mut self, now_ms: u64, client: &mut ClientConfig) {
        client.version = self.version.next(now_ms);
        client.bridge_bit &= self.bridge_bit.next(now_ms);
        client.will = client.will.take().filter(|_| self.will.next(now_ms));
    }

    /// Records the end of a connection. Returns the event to report if the next CONNECT differs from this one; `None` if it is the same.
    pub(in crate::bridge) fn on_over(
        &mut self,
        now_ms: u64,
        connection: &Connection,
        closed: &Closed,
    ) -> Option<Event> {
        let accepted = connection.accepted;
        if self.bridge_bit.on_over(now_ms, connection.says_bridge, accepted, closed) {
            return Some(Event::BridgeBitRefused);
        }
        if self.will.on_over(now_ms, connection.has_will, accepted, closed) {
            return Some(Event::WillRefused);
        }
        self.version.on_over(now_ms, accepted, closed).map(Event::OtherVersion)
    }
}
