//! Events of the way up, for the application.

use std::fmt;

use super::spool::{Identity, LeaseId};
use crate::wire::{ReasonCode, Utf8};

/// Event of the uplink. Refusals are reported at most once a minute for each kind and reason.
#[derive(Debug)]
#[non_exhaustive]
pub enum UplinkEvent {
    /// The hub has these rows.
    Delivered {
        /// Rows of the message.
        rows: Vec<LeaseId>,
    },
    /// The hub refused a message, so that its topic waits while others go on. Nothing is lost; later messages of the topic are parked.
    TopicRefused(Refusal),
    /// The hub takes messages of this topic again.
    TopicHealed {
        /// Topic that was refused.
        topic: Utf8,
    },
    /// The hub refused the last eight messages as not authorized, whatever their topics; repeated attempts of refused topics do not count.
    /// Sending stops except for one probe at a time, and everything waits in its place.
    LinkRefused(Refusal),
    /// The hub takes messages again after the whole link was refused.
    LinkHealed,
    /// The hub has closed two connections while a message of this topic had no answer, so it may deny the topic. A guess, reported once for a
    /// message.
    ClosedAt {
        /// Topic at the hub.
        topic: Utf8,
    },
    /// The hub closes the connection whenever it gets this message. It is parked and tried again later.
    Poison(Refusal),
    /// The hub answers younger messages and never this one. It is parked and tried again later.
    Unanswered(Refusal),
    /// A message cannot be delivered as it is, while its topic goes on. It is tried again later, and parked meanwhile or in the end.
    Parked(Refusal),
    /// A pass that a person asked for is over.
    ByHand {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Set if the messages were dropped, durably unless `left_out` says otherwise; not set if they were copied.
        dropped: bool,
        /// Reason for which some messages were left out; `None` if all were found.
        left_out: Option<LeftOut>,
    },
    /// The hub does not support retained messages, so they are published without the flag. Reported once per connection.
    RetainCleared,
    /// The hub does not support QoS 1, so nothing can be delivered by it.
    QosNotSupported,
}

/// Count of refused messages in a pass by hand: parked rows, each as a message, and held messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ByHandCount {
    /// Parked rows and held messages.
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

/// Reason for which a pass by hand was not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeftOut {
    /// The copies were not taken in time.
    NotTaken,
    /// Parked rows could not be leased for 5 s, because their queue is not open, cannot be read, or had not received them yet.
    NotRead,
    /// The drops were not on disk within 5 s, so that the rows may be back after a crash.
    NotDurable,
    /// Refused messages, of whatever topic, cannot be parked and wait in their place in the queue, where a pass does not come by.
    InPlace {
        /// Number of readings, by weight.
        readings: u64,
    },
}

/// A message that the hub did not take, or that could not be sent.
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
    /// Number of refusals of this kind and reason that were not reported since the last event.
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
    /// Limit found by trying, which is smaller than the announced one, or which the hub does not announce.
    Found {
        /// Payload bytes of the smallest message that the hub refused as too large.
        refused: u64,
        /// Payload bytes of the largest message that it took since; 0 if it took none yet.
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
