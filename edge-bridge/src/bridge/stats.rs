//! Counters and gauges of the bridge.

use crate::Durations;
use crate::session::{ServerLimits, Traffic};
use crate::wire::{ReasonCode, Version};

use super::downlink::Refused;
use super::link_state::{LinkState, Progress};
use super::packing::pack::Pack;
use super::refused::dropped_topics::DroppedTopic;
use super::spool::Spool;
use super::uplink_event::Refusal;
use super::{Core, Phase};

/// Snapshot of counters and gauges. A counter starts at 0 with the process and never falls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The state of the link.
    pub link: LinkState,
    /// Messages published for the first time; resent ones are not counted.
    pub sent: u64,
    /// Messages that the hub acknowledged as accepted.
    pub acknowledged: u64,
    /// Those of them that the hub gave to nobody, as far as it says so (reason 0x10): no subscription there matches their topics. Retained messages,
    /// which the hub keeps for later subscribers, do not count.
    pub without_subscribers: u64,
    /// Rows in messages that the hub acknowledged as accepted.
    pub rows_delivered: u64,
    /// Messages sent again on a resumed session.
    pub resent: u64,
    /// Refusals by the hub (PUBACK with an error reason), counted by reason, in the order of their first occurrence. A refusal loses nothing,
    /// because the rows are parked, unless they are [dropped](Self::dropped_rows).
    pub refusals: Vec<(ReasonCode, u64)>,
    /// The message that was refused last, by the hub or because it cannot be sent on the present connection; `None` if there was none.
    pub last_refusal: Option<Refusal>,
    /// Refused messages, by weight, that are parked now and will be tried again.
    pub parked: u64,
    /// Refused messages, by weight, that cannot be parked for want of disk space and wait in their lanes, while others are sent.
    pub in_place: u64,
    /// Messages held in RAM because the hub refused them or others of their topic. They are sent again before any is parked.
    pub held: u64,
    /// Topics that the hub refuses now.
    pub refused_topics: usize,
    /// Set while the hub refuses everything as not authorized, so that only one probe at a time is sent.
    pub link_refused: bool,
    /// Rows dropped because the hub refused them and they asked for that ([`Row::drop_refused`](crate::Row::drop_refused)).
    pub dropped_rows: u64,
    /// Topics on which such rows were refused last, in the order of their last refusals, at most eight. A topic is there until the hub accepts such
    /// a row on it; one without a refusal for an hour is forgotten when the hub accepts such a row anywhere.
    pub dropped_topics: Vec<DroppedTopic>,
    /// Messages parked, counted each time, because the hub closes the connection at them, or never answers them although it answers younger ones.
    pub poison: u64,
    /// Rows that expired after they were leased and before they were sent.
    pub expired: u64,
    /// Messages without an answer now.
    pub unacknowledged: usize,
    /// Messages in the spool, by weight, that are neither leased nor parked.
    pub waiting: u64,
    /// Limit of the congestion window in bytes.
    pub window_bytes: u64,
    /// Smoothed round trip in milliseconds, without transmission time, over all connections; 0 before the first.
    pub srtt_ms: u64,
    /// Histogram of the time from PUBLISH to PUBACK, accepting or refusing, over all connections.
    pub puback: Durations,
    /// Messages from the hub.
    pub received: u64,
    /// Messages from a 3.1.1 hub that were larger than the session reads, and so were acknowledged and lost
    /// ([`Event::TooLarge`](super::Event::TooLarge)).
    pub received_too_large: u64,
    /// QoS 0 messages from the hub of which no matching subscription of the application had room.
    pub dropped_qos0: u64,
    /// Messages from the hub that matched no subscription of the application: dropped at QoS 0, acknowledged otherwise.
    pub unclaimed: u64,
    /// Set once the hub reported that another client has taken the session over (0x8E), until a connection has lasted for a minute. Meanwhile
    /// attempts to connect are 30 s to 10 min apart.
    pub taken_over: bool,
    /// Set once the hub has accepted the former client certificate after it did not accept the one that was
    /// [read again], until it accepts the new one or another is read.
    ///
    #[cfg_attr(feature = "net", doc = "[read again]: crate::Builder::tls_from")]
    #[cfg_attr(not(feature = "net"), doc = "[read again]: crate#the-map")]
    pub certificate_not_taken: bool,
    /// Last second of the client certificate, with the authorities behind it, with which the hub accepted a CONNECT last, since 1970. `None` before the
    /// first, and unless certificates are [read again].
    pub certificate_taken_ends_s: Option<u64>,
    /// SHA-256 of that certificate in DER, without the authorities behind it.
    pub certificate_taken: Option<[u8; 32]>,
    /// The same of the client certificate that was [read again] last, of which [`certificate_not_taken`](Self::certificate_not_taken) speaks.
    pub certificate_read: Option<[u8; 32]>,
    /// The same of the client certificate that the hub was shown when [`last_error`](Self::last_error) came.
    pub certificate_at_error: Option<[u8; 32]>,
    /// Set if the present connection, or the next one, has no will although one is configured, because the hub refused it.
    pub will_left_out: bool,
    /// Position in the configured list, from 0, of the address of the present connection, or of the next attempt.
    pub address: usize,
    /// MQTT version of the present connection, or of the last one; `None` before the first.
    pub version: Option<Version>,
    /// Limits that the hub announced on the present connection, or on the last one; `None` before the first.
    pub hub_limits: Option<ServerLimits>,
    /// Number of attempts to connect.
    pub dials: u64,
    /// Connections that the hub accepted.
    pub connects: u64,
    /// Connections that the stall breaker ended.
    pub stalls: u64,
    /// Sessions that the hub no longer had at a reconnection.
    pub sessions_lost: u64,
    /// Bytes by their use, over all connections.
    pub traffic: Traffic,
    /// Bytes that TLS added, both directions.
    pub tls_bytes: u64,
    /// Subscriptions that the hub granted in its present session, as far as this process knows.
    pub granted_subscriptions: usize,
    /// Subscriptions that the hub refused on the present connection, or on the last one.
    pub refused_subscriptions: Vec<Refused>,
    /// Reason in words why there is no connection, from the last attempt or the end of the last connection. `None` while connected.
    pub last_error: Option<String>,
}

impl Stats {
    /// Counts a refused message by its reason.
    pub(super) fn on_refusal(&mut self, reason: ReasonCode) {
        match self.refusals.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.refusals.push((reason, 1)),
        }
    }
}

impl<S: Spool, P: Pack> Core<S, P> {
    /// Counters and gauges of this moment.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        // Rows also come while the link does nothing.
        stats.waiting = self.spool.waiting();
        if let Phase::Up(connection) = &self.phase {
            stats.traffic.add(&connection.session.traffic());
        }
        stats
    }

    /// The state of the link.
    pub fn link(&self) -> LinkState {
        self.stats.link
    }

    /// Updates the gauges from the parts of the link.
    pub(super) fn note(&mut self) {
        self.stats.address = self.addresses.current();
        self.stats.taken_over = self.takeover.is_taken_over();
        self.stats.unacknowledged = self.uplink.unacknowledged();
        self.stats.waiting = self.spool.waiting();
        self.stats.parked = self.spool.parked();
        self.stats.in_place = self.spool.in_place();
        self.stats.dropped_rows = self.uplink.dropped.count;
        self.stats.dropped_topics.clone_from(&self.uplink.dropped.topics);
        self.stats.held = self.uplink.held();
        self.stats.refused_topics = self.uplink.refusals.refused_topics();
        self.stats.link_refused = self.uplink.link.is_refused();
        self.stats.window_bytes = self.uplink.window().limit();
        let path =
            if let Phase::Up(connection) = &self.phase { connection.session.path() } else { self.path };
        self.stats.srtt_ms = path.srtt_ms().unwrap_or(0);
        self.stats.link = match &self.phase {
            Phase::Offline | Phase::Dialing => LinkState::Offline,
            Phase::Waiting { .. } => LinkState::BackingOff,
            Phase::Up(connection) if !connection.session.is_open() => LinkState::Offline,
            Phase::Up(connection) => Progress {
                unacknowledged: self.stats.unacknowledged,
                waiting: self.stats.waiting,
                suspect: self.stall.is_suspect(),
                acked: connection.acked,
            }
            .state(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason_in_the_order_of_their_first() {
        let mut stats = Stats::default();
        let (denied, quota) = (ReasonCode::NOT_AUTHORIZED, ReasonCode::QUOTA_EXCEEDED);
        [quota, denied, quota, quota].into_iter().for_each(|reason| stats.on_refusal(reason));
        assert_eq!(stats.refusals, [(quota, 3), (denied, 1)]);
    }
}
