//! Identities of commands that are delivered at most once: the state of each, and the lines of the file that keeps it over a restart. Pure.
//!
//! ```text
//! SHA8 S KEY {"command":…}      durable before a client gets it
//! SHA8 E KEY [END,AT]           durable before its answer
//! SHA8 A KEY                    its answer is safe
//! SHA8 F KEY                    never given, and forgotten: it may come again
//! ```
//! The oldest entries are dropped by number and not by time. A hub repeats unacknowledged messages on its next connection, and no more other
//! messages come between a message and its repetition than the Receive Maximum that the gateway announces. So the newest identities are enough,
//! however long the outage.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::answer::{Outcome, ReturnAddress};
use super::identity::{Key, hex};

/// Most identities of answered commands that are kept; the oldest is dropped first. Several times the Receive Maximum at the hub, whose PUBACKs
/// are sent in order.
const ENDED_MAX: usize = 4_096;
/// Bytes of a line before its JSON: checksum, letter and identity, each with a space.
const HEAD_BYTES: usize = 44;
/// Bound of a line's length in bytes: 20 KiB if every byte of its topics is escaped.
const LINE_BYTES_MAX: usize = 32 << 10;

/// Change of the state of one identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Change {
    Started(ReturnAddress),
    /// The outcome, with the wall-clock time in milliseconds since the Unix epoch.
    Ended(Outcome, i64),
    Answered,
    /// The command was never delivered, so a repetition counts as a new command.
    Forgotten,
}

/// A change with its identity: one line of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) key: Key,
    pub(super) change: Change,
}

impl Record {
    pub(super) fn to_line(&self) -> String {
        let (letter, json) = match &self.change {
            Change::Started(to) => ('S', serde_json::to_string(to).unwrap_or_default()),
            Change::Ended(outcome, at) => ('E', serde_json::to_string(&(outcome, at)).unwrap_or_default()),
            Change::Answered => ('A', String::new()),
            Change::Forgotten => ('F', String::new()),
        };
        let text = format!("{letter} {} {json}", hex(&self.key.0));
        format!("{} {text}\n", sum(&text))
    }

    /// Parses a line. `None`: it is damaged or torn.
    fn from_line(line: &str) -> Option<Self> {
        let (found, text) = line.split_once(' ')?;
        if found != sum(text) {
            return None;
        }
        let mut parts = text.splitn(3, ' ');
        let (letter, key, json) = (parts.next()?, parts.next()?, parts.next()?);
        let change = match letter {
            "S" => Change::Started(serde_json::from_str(json).ok()?),
            "E" => {
                let (outcome, at) = serde_json::from_str(json).ok()?;
                Change::Ended(outcome, at)
            }
            "A" => Change::Answered,
            "F" => Change::Forgotten,
            _ => return None,
        };
        Some(Self { key: Key(bytes(key)?), change })
    }
}

/// Returns whether these bytes begin a line as [`Record::to_line`] makes it, and so may be what a torn write left of one.
fn is_torn(rest: &[u8]) -> bool {
    let is_head = rest.iter().take(HEAD_BYTES).enumerate().all(|(at, byte)| match at {
        8 | 10 | 43 => *byte == b' ',
        9 => b"SEAF".contains(byte),
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    let json = rest.get(HEAD_BYTES..).unwrap_or_default();
    let begins_well = match (rest.get(9), json.first()) {
        (_, None) => true,
        (Some(b'S'), first) => first == Some(&b'{'),
        (Some(b'E'), first) => first == Some(&b'['),
        _ => false,
    };
    // JSON escapes control characters. The last character may be cut in two.
    let is_text = std::str::from_utf8(json).map_or_else(|error| error.error_len().is_none(), |_| true)
        && !json.iter().any(u8::is_ascii_control);
    rest.len() <= LINE_BYTES_MAX && is_head && begins_well && is_text
}

fn sum(text: &str) -> String {
    let sum: [u8; 32] = Sha256::digest(text).into();
    hex(sum.get(..4).unwrap_or_default())
}

fn bytes(hex: &str) -> Option<[u8; 16]> {
    (hex.len() == 32).then_some(())?;
    let number = u128::from_str_radix(hex, 16).ok()?;
    Some(number.to_be_bytes())
}

/// State of an identity among the delivered ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    /// The command may have been delivered; it has no outcome yet.
    Started(ReturnAddress),
    /// The command has an outcome since this wall-clock time, and its answer is not safe in the queue yet.
    Ended(ReturnAddress, Outcome, i64),
    Answered,
}

/// States of all known identities.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DeliveredIdentities {
    known: HashMap<Key, Known>,
    /// Identities of answered commands, oldest first.
    ended: VecDeque<Key>,
}

impl DeliveredIdentities {
    /// Reads the lines of a file. Also returns the number of damaged lines, whose changes are lost. A torn last line does not count, because no
    /// action depended on it yet; bytes without a newline that begin no line do, because nothing tells how many lines they replaced.
    pub(super) fn read(text: &[u8]) -> (Self, usize) {
        let (mut identities, mut damaged) = (Self::default(), 0);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => match Record::from_line(&String::from_utf8_lossy(line)) {
                    Some(record) => identities.apply(&record),
                    None => damaged += 1,
                },
                None => damaged += usize::from(!is_torn(line)),
            }
        }
        (identities, damaged)
    }

    pub(super) fn get(&self, key: Key) -> Option<&Known> {
        self.known.get(&key)
    }

    /// Returns the commands without an answer, in no order.
    pub(super) fn open(&self) -> impl Iterator<Item = (Key, &Known)> {
        self.known.iter().filter(|(_, known)| **known != Known::Answered).map(|(key, known)| (*key, known))
    }

    pub(super) fn apply(&mut self, record: &Record) {
        let key = record.key;
        let before = self.known.remove(&key);
        // An old place is behind a new one of the same identity.
        let was_answered = before == Some(Known::Answered);
        let after = match (&record.change, before) {
            (Change::Started(to), _) => Some(Known::Started(to.clone())),
            (Change::Ended(outcome, at), Some(Known::Started(to) | Known::Ended(to, ..))) => {
                Some(Known::Ended(to, outcome.clone(), *at))
            }
            // Its beginning is in a damaged line: whom to tell is not known.
            (Change::Ended(..) | Change::Answered, _) => Some(Known::Answered),
            (Change::Forgotten, _) => None,
        };
        if was_answered && after != Some(Known::Answered) {
            self.ended.retain(|one| *one != key);
        }
        if after == Some(Known::Answered) && !was_answered {
            self.ended.push_back(key);
        }
        self.known.extend(after.map(|known| (key, known)));
        while self.ended.len() > ENDED_MAX {
            if let Some(oldest) = self.ended.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    /// Returns the lines of a new file with all identities.
    pub(super) fn to_text(&self) -> String {
        let line = |key, change| Record { key, change }.to_line();
        let mut text: String = self.ended.iter().map(|key| line(*key, Change::Answered)).collect();
        for (key, known) in self.open() {
            match known {
                Known::Started(to) => text += &line(key, Change::Started(to.clone())),
                Known::Ended(to, outcome, at) => {
                    text += &line(key, Change::Started(to.clone()));
                    text += &line(key, Change::Ended(outcome.clone(), *at));
                }
                Known::Answered => {}
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Reason;
    use super::*;

    fn key(n: u16) -> Key {
        let mut key = [0; 16];
        key[0] = n.to_be_bytes()[0];
        key[15] = n.to_be_bytes()[1];
        Key(key)
    }

    fn address(n: u16) -> ReturnAddress {
        let id = Some(format!("a \"{n}\"\n"));
        ReturnAddress { command: "site/ä".into(), id, topic: "t".into(), correlation: vec![0, 255, 10] }
    }

    fn story() -> Vec<Record> {
        let record = |n, change| Record { key: key(n), change };
        let mut story = Vec::new();
        for n in 0..6 {
            story.push(record(n, Change::Started(address(n))));
            if n > 0 {
                story.push(record(n, Change::Ended(Outcome::Delivered(n.into()), 7)));
            }
            if n > 2 {
                story.push(record(n, Change::Answered));
            }
        }
        story.push(record(5, Change::Started(address(7))));
        story.push(record(5, Change::Ended(Outcome::Refused(Reason::Nobody), -1)));
        story.push(record(9, Change::Started(address(9))));
        story.push(record(9, Change::Forgotten));
        story
    }

    fn after(story: &[Record]) -> DeliveredIdentities {
        let mut identities = DeliveredIdentities::default();
        story.iter().for_each(|record| identities.apply(record));
        identities
    }

    #[test]
    fn a_file_says_what_was_applied_and_so_does_a_new_one() {
        let identities = after(&story());
        let text: String = story().iter().map(Record::to_line).collect();
        assert_eq!(DeliveredIdentities::read(text.as_bytes()), (identities.clone(), 0));
        assert_eq!(DeliveredIdentities::read(identities.to_text().as_bytes()), (identities.clone(), 0));
        assert_eq!(identities.open().count(), 4);
        let refused = Known::Ended(address(7), Outcome::Refused(Reason::Nobody), -1);
        assert_eq!((identities.get(key(5)), identities.get(key(9))), (Some(&refused), None));
    }

    /// Lines of an earlier version must be read: one that is not means a command that is given twice.
    #[test]
    fn the_lines_of_the_first_version_are_read() {
        let golden = include_bytes!("golden.txt");
        let (identities, damaged) = DeliveredIdentities::read(golden);
        let ended = |n: u16, outcome, at| Some(Known::Ended(address(n), outcome, at));
        assert_eq!(damaged, 0);
        assert_eq!(identities.get(key(1)).cloned(), Some(Known::Started(address(1))));
        assert_eq!(identities.get(key(2)).cloned(), ended(2, Outcome::Delivered(3), 1_795_655_731_755));
        assert_eq!(identities.get(key(3)).cloned(), ended(3, Outcome::Refused(Reason::NotAcknowledged), 9));
        assert_eq!((identities.get(key(4)), identities.get(key(5))), (Some(&Known::Answered), None));
    }

    /// Promise 2 in small: a power cut leaves a part of what was appended.
    #[test]
    fn a_file_that_is_cut_anywhere_says_what_was_before() {
        let story = story();
        let text: String = story.iter().map(Record::to_line).collect();
        let mut whole = 0;
        for cut in 0..=text.len() {
            let (identities, damaged) = DeliveredIdentities::read(&text.as_bytes()[..cut]);
            whole = text.as_bytes()[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!((identities, damaged), (after(&story[..whole]), 0), "{cut}");
        }
        assert_eq!(whole, story.len());
    }

    #[test]
    fn a_damaged_line_costs_what_it_said_and_is_counted() {
        let story = story();
        let text: String = story.iter().map(Record::to_line).collect();
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] ^= 0x15;
            let (identities, lines) = DeliveredIdentities::read(&damaged);
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
            // A line break that is gone costs the line behind it too; one that is new cuts a line in two.
            assert!((1..=2).contains(&lines) || text.as_bytes()[at] == b'\n', "{at}: {lines}");
            let key = story[line].key;
            for (other, known) in after(&story).known {
                if other != key && story.get(line + 1).is_none_or(|next| next.key != other) {
                    assert_eq!(identities.get(other), Some(&known), "{at}");
                }
            }
        }
    }

    /// A file that lost its newlines as well: zeros of a file system, random bytes of a medium, a foreign file.
    #[test]
    fn what_begins_no_line_is_damage_even_without_a_newline() {
        let line = Record { key: key(1), change: Change::Started(address(1)) }.to_line();
        let whole = line.as_bytes();
        let random: Vec<u8> = (0..60u8).map(|n| n.wrapping_mul(151).wrapping_add(91)).collect();
        assert!(!random.contains(&b'\n'));
        let zeros = vec![0; whole.len()];
        let too_long = [&whole[..80], &[b'a'; LINE_BYTES_MAX][..]].concat();
        for rest in [&zeros[..], &zeros[..1], &random, b"x", b"01234567 X", b"[gateway]", &too_long] {
            assert_eq!(DeliveredIdentities::read(rest), (DeliveredIdentities::default(), 1), "{rest:?}");
            let behind = [whole, rest].concat();
            assert_eq!(
                DeliveredIdentities::read(&behind),
                (after(&[Record::from_line(line.trim_end()).unwrap()]), 1)
            );
        }
        // Each place of a line that is cut before its newline, and a byte that cannot stand there.
        for at in 0..whole.len() - 1 {
            let damaged = [&whole[..at], b"\x01"].concat();
            assert_eq!(DeliveredIdentities::read(&damaged).1, 1, "{at}");
        }
        for letter in ["A", "F"] {
            let more = format!("01234567 {letter} {} {{", "0".repeat(32));
            assert_eq!(DeliveredIdentities::read(more.as_bytes()).1, 1, "{more}");
        }
    }

    #[test]
    fn the_oldest_that_were_answered_give_way_and_open_ones_never() {
        let mut identities = DeliveredIdentities::default();
        let most = u16::try_from(ENDED_MAX).unwrap() + 10;
        for n in 0..most {
            identities.apply(&Record { key: key(n), change: Change::Started(address(n)) });
            if n != 3 {
                identities.apply(&Record { key: key(n), change: Change::Answered });
            }
        }
        assert_eq!(identities.known.len(), ENDED_MAX + 1);
        assert_eq!(identities.get(key(3)), Some(&Known::Started(address(3))));
        assert_eq!((identities.get(key(0)), identities.get(key(most - 1))), (None, Some(&Known::Answered)));
    }

    #[test]
    fn a_command_that_starts_again_is_open_and_gives_way_to_none() {
        let mut identities = DeliveredIdentities::default();
        for change in [Change::Started(address(0)), Change::Answered, Change::Started(address(1))] {
            identities.apply(&Record { key: key(0), change });
        }
        for n in 1..=u16::try_from(ENDED_MAX).unwrap() {
            identities.apply(&Record { key: key(n), change: Change::Answered });
        }
        assert_eq!(identities.get(key(0)), Some(&Known::Started(address(1))));
        assert_eq!(identities.get(key(1)), Some(&Known::Answered), "there is room for all that ended");
    }
}
