//! Events of the way up, for the application.

use std::fmt;

use super::spool::{Identity, LeaseId};
use crate::wire::{ReasonCode, Utf8};

/// An event of the uplink. Refusals are told at most once a minute for each kind and reason.
#[derive(Debug)]
#[non_exhaustive]
pub enum UplinkEvent {
    /// The hub has these rows.
    Delivered {
        /// Rows of the message.
        rows: Vec<LeaseId>,
    },
    /// The hub refused a message: its topic waits, others go on. Nothing is lost; what comes behind it is parked.
    TopicRefused(Refusal),
    /// The hub takes messages of this topic again.
    TopicHealed {
        /// Topic that is refused.
        topic: Utf8,
    },
    /// The hub refused the last eight messages as not authorized, whatever their topics, further attempts of refused topics left out: sending
    /// stops, one message probes, everything waits in its place.
    LinkRefused(Refusal),
    /// The hub takes messages again.
    LinkHealed,
    /// The hub has closed two connections while a message of this topic had no answer: it may deny the topic. A guess, told once for a message.
    ClosedAt {
        /// Topic at the hub.
        topic: Utf8,
    },
    /// The hub closes the connection whenever it gets this message: it is parked and tried again last.
    Poison(Refusal),
    /// The hub answers younger messages and never this one: it is parked and tried again.
    Unanswered(Refusal),
    /// A message that cannot be delivered as it is, while its topic goes on: it is tried again later, and parked meanwhile or in the end.
    Parked(Refusal),
    /// A pass that a person asked for is over.
    ByHand {
        /// Messages dropped or copied.
        count: ByHandCount,
        /// Set if the messages were dropped, durably unless `left_out` says otherwise; else they were copied.
        dropped: bool,
        /// Reason for which some messages were left out.
        left_out: Option<LeftOut>,
    },
    /// The hub takes no retained messages: they are published without the flag. Once per connection.
    RetainCleared,
    /// The hub takes no QoS 1: nothing can be delivered by it.
    QosNotSupported,
}

/// Refused messages that were passed by hand: parked rows, each a message, and held messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ByHandCount {
    /// Parked rows and held messages.
    pub messages: u64,
    /// Readings in them, by the [`weight`](crate::Row::weight) of their rows: a held message may be a batch.
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
    /// `3 messages`, or `2 messages with 432 readings` where that is not the same.
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
    /// Parked rows could not be leased for 5 s: their queue is not open or cannot be read, or they were still on their way there.
    NotRead,
    /// The drops are not on disk within 5 s: after a crash the rows may be there again.
    NotDurable,
    /// Refused messages, of whatever topic, cannot be parked and wait in their place in the queue, where a pass does not come by.
    InPlace {
        /// Number of readings, by weight.
        readings: u64,
    },
}

/// A message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The hub's reason, or ours.
    pub reason: ReasonCode,
    /// Topic of the rows.
    pub topic: Utf8,
    /// The identity of the message's first row, if the spool gives one.
    pub identity: Option<Identity>,
    /// Known size limit of the hub, when the reason is [`PACKET_TOO_LARGE`](ReasonCode::PACKET_TOO_LARGE).
    pub hub_limit: Option<HubLimit>,
    /// Refusals of this kind and reason since the last event of it that were not told.
    pub left_out: u64,
}

/// Size of messages that a hub takes, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubLimit {
    /// Maximum Packet Size that the hub announced.
    Announced {
        /// Bytes of a whole packet.
        bytes: u32,
    },
    /// A smaller limit than announced, or one that the hub does not announce: found by trying.
    Found {
        /// Payload bytes of the smallest message that the hub refused as too large.
        refused: u64,
        /// Payload bytes of the largest message that it took since; 0: none yet.
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
