//! List of parked messages by topic, and its adjustment to the spool's own count.

use bytes::Bytes;

use crate::bridge::spool::Identity;
use crate::wire::{ReasonCode, Utf8};

/// Topics that the hub refuses now, and the refused messages that wait for a retry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedList {
    /// Topics with refused messages, in their order, at most 384: topics in back-off, topics whose parked rows are being sent, topics of single
    /// messages that wait for a retry and, while the hub refuses everything, the topics tried since. Behind them at most 256 topics of single
    /// messages that are parked, as poison or too large.
    pub topics: Vec<ParkedTopic>,
    /// Parked messages, by weight, of listed and unlisted topics together.
    pub parked: u64,
    /// Parked messages, by weight, under no listed topic, because they are being sent, or were parked by an earlier process and their topics are
    /// not known yet.
    pub unlisted: u64,
    /// Refused messages, by weight, that cannot be parked for want of disk space and wait in their lanes.
    pub in_place: u64,
    /// Cause in words why these messages cannot be parked; `None` if the spool knows none or `in_place` is 0.
    pub in_place_reason: Option<String>,
}

/// A topic of a [`ParkedList`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedTopic {
    /// Topic at the hub.
    pub topic: Utf8,
    /// Reason of the last refusal.
    pub reason: ReasonCode,
    /// Messages held in RAM for another attempt.
    pub held: usize,
    /// Readings in the messages held in RAM, by the weight of their rows.
    pub held_readings: u64,
    /// Rows parked since this process started, as far as known. The sum over all topics never exceeds [`ParkedList::parked`].
    pub parked: u64,
    /// Time to the next attempt; `None` while one is on its way, or the topic is taken again.
    pub retry_in_ms: Option<u64>,
}

impl ParkedTopic {
    /// Creates the entry of a topic of which only the refusal's reason is known.
    pub(in crate::bridge) fn new(topic: &Utf8, reason: ReasonCode) -> Self {
        Self { topic: topic.clone(), reason, held: 0, held_readings: 0, parked: 0, retry_in_ms: None }
    }
}

/// One parked row, or one held message, as listed for an operator. The row stays where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedRow {
    /// Topic of the row; empty if the row is not one of the bridge's.
    pub topic: Utf8,
    /// Payload of the row, or of the held message, which may consist of several rows.
    pub payload: Bytes,
    /// Readings, by the weight of the row or of all rows of the message.
    pub readings: u64,
    /// Identity of the row, or of a message's first row; `None` if the spool gives none.
    pub identity: Option<Identity>,
    /// Milliseconds for which the row has waited; `None` for a held message.
    pub age_ms: Option<u64>,
    /// Reason with which the hub refuses the topic or the message; `None` if it refuses neither now.
    pub reason: Option<ReasonCode>,
}

/// Lowers the counts of the entries, the largest first, until they add up to at most `parked`. Excess counts are rows that have expired, were
/// evicted or are counted for two reasons; the next sweep finds out which. Returns the number of parked messages that no entry counts.
pub(in crate::bridge) fn balance(topics: &mut [ParkedTopic], parked: u64) -> u64 {
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
