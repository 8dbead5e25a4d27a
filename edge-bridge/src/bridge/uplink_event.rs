//! Events of the uplink, for the application.

use std::fmt;

use super::spool::{Identity, LeaseId};
use crate::wire::{ReasonCode, Utf8};

/// Event of the uplink. Refusals are reported at most once a minute for each kind and reason.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum UplinkEvent {
    /// The hub acknowledged the message with these rows.
    Delivered {
        /// Rows of the message.
        rows: Vec<LeaseId>,
    },
    /// The hub refused a message, so that its topic waits while others go on. No row is lost; later messages of the topic are parked.
    TopicRefused(Refusal),
    /// The hub accepts messages of this topic again.
    TopicHealed {
        /// Topic that was refused.
        topic: Utf8,
    },
    /// The hub refused the last eight messages as not authorized, whatever their topics; retries of refused topics do not count. Sending stops
    /// except for one probe at a time, and all rows wait in their lanes.
    LinkRefused(Refusal),
    /// The hub accepts messages again after it refused the whole link.
    LinkHealed,
    /// The hub has closed two connections while a message of this topic had no answer, so it may deny the topic. A guess, reported once for a
    /// message.
    ClosedAt {
        /// Topic at the hub.
        topic: Utf8,
    },
    /// The hub closes the connection whenever it gets this message, or breaks the protocol in its answer, with the reason
    /// [`BROKEN_ANSWER`](crate::wire::ReasonCode::BROKEN_ANSWER). It is parked and tried again later.
    Poison(Refusal),
    /// The hub acknowledges younger messages and never this one. The message is parked and tried again later.
    Unanswered(Refusal),
    /// A message cannot be delivered as it is, while its topic goes on. It is tried again later, and parked meanwhile or in the end.
    Parked(Refusal),
    /// The hub refused a message whose rows are [dropped](crate::Row::drop_refused) then, and counted, or which has no rows.
    Dropped(Refusal),
    /// An operator's pass over the refused messages is over.
    ByHand {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Set if the messages were dropped, durably unless `left_out` says otherwise; not set if they were copied.
        dropped: bool,
        /// Reason for which some messages were left out; `None` if all were found.
        left_out: Option<LeftOut>,
    },
    /// The hub accepted a message for which it has no subscriber. Reported once; [`Stats::without_subscribers`](super::Stats::without_subscribers) counts
    /// them.
    WithoutSubscribers {
        /// Topic at the hub.
        topic: Utf8,
    },
    /// The hub does not support retained messages, so they are published without the flag. Reported once per connection.
    RetainCleared,
    /// The hub does not support QoS 2, so such messages are published at QoS 1 and may come twice after a break. Reported once per connection.
    QosLowered,
    /// The hub does not support QoS 1, so nothing can be delivered by it.
    QosNotSupported,
}

/// Number of refused messages in an operator's pass: parked rows, each as a message, and messages held in RAM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ByHandCount {
    /// Parked rows, and messages held in RAM.
    pub messages: u64,
    /// Readings in them, by the [`weight`](crate::Row::weight) of their rows, because a held message may be a batch.
    pub readings: u64,
}

impl ByHandCount {
    /// Counts one more message, with this number of readings.
    pub fn add(&mut self, readings: u64) {
        self.messages += 1;
        self.readings += readings;
    }
}

impl fmt::Display for ByHandCount {
    /// `3 messages`, or `2 messages with 432 readings` where the numbers differ.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, readings } = *self;
        let plural = |n: u64| if n == 1 { "" } else { "s" };
        write!(f, "{messages} message{}", plural(messages))?;
        if readings == messages { Ok(()) } else { write!(f, " with {readings} reading{}", plural(readings)) }
    }
}

/// Reason for which an operator's pass left messages out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftOut {
    /// The caller did not take the copies in time.
    NotTaken,
    /// Parked rows could not be leased for 5 s, because their queue is not open, cannot be read, or has rows still being parked.
    NotRead,
    /// The drops were not on disk within 5 s, so that the rows may be back after a crash.
    NotDurable,
    /// Refused messages, of any topic, cannot be parked and wait in their lanes, which the pass does not read.
    InPlace {
        /// Number of readings, by weight.
        readings: u64,
    },
}

/// Message that the hub refused, or that could not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Reason given by the hub, or by the bridge for a message that it did not send.
    pub reason: ReasonCode,
    /// Topic of the rows.
    pub topic: Utf8,
    /// The identity of the message's first row, if the spool gives one.
    pub identity: Option<Identity>,
    /// Known size limit of the hub, when the reason is [`PACKET_TOO_LARGE`](ReasonCode::PACKET_TOO_LARGE).
    pub hub_limit: Option<HubLimit>,
    /// Number of refusals of this kind and reason that the rate limit of events suppressed since the last event.
    pub left_out: u64,
}

/// Known size limit of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubLimit {
    /// Maximum Packet Size that the hub announced.
    Announced {
        /// Bytes of a whole packet.
        bytes: u32,
    },
    /// Limit found by trial, which is smaller than the announced one, or which the hub does not announce.
    Found {
        /// Payload bytes of the smallest message that the hub refused as too large.
        refused: u64,
        /// Payload bytes of the largest message that the hub accepted since; 0 if it accepted none yet.
        taken: u64,
    },
}

impl fmt::Display for HubLimit {
    /// `announced by the hub: 1500 bytes a packet`, or `found by trying: the hub refused 2950 bytes and took 980`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced { bytes } => write!(f, "announced by the hub: {bytes} bytes a packet"),
            Self::Found { refused, taken: 0 } => {
                write!(f, "found by trying: the hub refused {refused} bytes")
            }
            Self::Found { refused, taken } => {
                write!(f, "found by trying: the hub refused {refused} bytes and took {taken}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_limits_in_words() {
        let count = |messages, readings| ByHandCount { messages, readings }.to_string();
        assert_eq!(count(1, 1), "1 message");
        assert_eq!(count(3, 3), "3 messages");
        assert_eq!(count(2, 432), "2 messages with 432 readings");
        assert_eq!(count(2, 1), "2 messages with 1 reading");
        let announced = HubLimit::Announced { bytes: 1_500 }.to_string();
        assert_eq!(announced, "announced by the hub: 1500 bytes a packet");
        let found = |taken| HubLimit::Found { refused: 2_950, taken }.to_string();
        assert_eq!(found(0), "found by trying: the hub refused 2950 bytes");
        assert_eq!(found(980), "found by trying: the hub refused 2950 bytes and took 980");
    }

    #[test]
    fn messages_and_their_readings_are_counted() {
        let mut count = ByHandCount::default();
        [3, 2].into_iter().for_each(|readings| count.add(readings));
        assert_eq!(count, ByHandCount { messages: 2, readings: 5 });
    }
}
