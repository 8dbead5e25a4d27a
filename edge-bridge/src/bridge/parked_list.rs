//! Lines of the list of parked messages, and their balance with what is parked.

use bytes::Bytes;

use super::spool::Identity;
use crate::wire::{ReasonCode, Utf8};

/// Topics that the hub refuses now, and the rows that wait for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedList {
    /// Topics in back-off, with parked rows that are being sent, or with messages that are refused for themselves and are not parked, in their
    /// order, at most 384: while the hub refuses whatever is sent, those that were tried. Then topics with messages that are parked for
    /// themselves, as poison or too large, at most 256.
    pub topics: Vec<ParkedTopic>,
    /// Parked messages, by weight: those of the topics, and those of none of them.
    pub parked: u64,
    /// Parked messages of none of the listed topics, as far as known: they are being tried, or their topics are not known yet, as of an earlier run.
    pub unlisted: u64,
    /// Refused messages, by weight, that cannot be parked, for want of room: they wait in their place.
    pub in_place: u64,
    /// Reason why these cannot be parked, in words, as far as known.
    pub in_place_reason: Option<String>,
}

/// A topic of a [`ParkedList`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedTopic {
    /// Topic as the hub sees it.
    pub topic: Utf8,
    /// Reason of the last refusal.
    pub reason: ReasonCode,
    /// Messages that are kept in place, to be tried.
    pub held: usize,
    /// Readings in them, by the weight of their rows.
    pub held_readings: u64,
    /// Parked rows of this run, as far as known; over all topics never more than there are.
    pub parked: u64,
    /// Time to the next attempt; `None` while one is on its way, or the topic is taken again.
    pub retry_in_ms: Option<u64>,
}

impl ParkedTopic {
    /// A topic of which nothing is known but the reason of its refusal.
    pub(super) fn new(topic: &Utf8, reason: ReasonCode) -> Self {
        Self { topic: topic.clone(), reason, held: 0, held_readings: 0, parked: 0, retry_in_ms: None }
    }
}

/// One parked row, or one held message, as listed for an operator. The row stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedRow {
    /// Topic of the row; empty for a row that is none of the bridge's.
    pub topic: Utf8,
    /// Payload of the row; of a held message, which may be of several rows, the message's.
    pub payload: Bytes,
    /// Readings in it, by the weight of its row, or of all the rows of a message.
    pub readings: u64,
    /// Identity of the row, or of a message's first row; `None` if the spool gives none.
    pub identity: Option<Identity>,
    /// Time that it has waited; `None` for a held message.
    pub age_ms: Option<u64>,
    /// Reason for which its topic is refused, if it is.
    pub reason: Option<ReasonCode>,
}

/// Takes out of the lines what they count beyond `parked`: rows that expired, made room or are counted for two reasons, which the next sweep finds
/// out. The longest counts have it most likely. Returns what no line counts.
pub(super) fn balance(topics: &mut [ParkedTopic], parked: u64) -> u64 {
    let listed = topics.iter().fold(0_u64, |sum, topic| sum.saturating_add(topic.parked));
    let mut beyond = listed.saturating_sub(parked);
    let mut longest: Vec<&mut ParkedTopic> = topics.iter_mut().collect();
    longest.sort_by_key(|topic| std::cmp::Reverse(topic.parked));
    for topic in longest {
        let less = beyond.min(topic.parked);
        topic.parked -= less;
        beyond -= less;
    }
    parked.saturating_sub(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_and_the_rest_are_the_total() {
        for (counts, parked, expected) in [
            (vec![3, 4], 7, (vec![3, 4], 0)),
            (vec![3, 4], 9, (vec![3, 4], 2)),
            (vec![3, 4], 6, (vec![3, 3], 0)),
            (vec![3, 4], 2, (vec![2, 0], 0)),
            (vec![3, 4], 0, (vec![0, 0], 0)),
            (vec![9, 1], 5, (vec![4, 1], 0)),
            (vec![], 5, (vec![], 5)),
        ] {
            let line = |parked| ParkedTopic {
                parked,
                ..ParkedTopic::new(&Utf8::default(), ReasonCode::UNSPECIFIED_ERROR)
            };
            let mut lines: Vec<_> = counts.iter().copied().map(line).collect();
            let unlisted = balance(&mut lines, parked);
            let left: Vec<u64> = lines.iter().map(|line| line.parked).collect();
            assert_eq!(left.iter().sum::<u64>() + unlisted, parked);
            assert_eq!((left, unlisted), expected, "{counts:?} of {parked}");
        }
    }
}
