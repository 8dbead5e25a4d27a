//! Messages that cannot be read: set aside, or kept unacknowledged at the hub; said once, and counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::escape::Escaped;
use edge_bridge::net::Acknowledgement;
use tokio::time::Instant;

use super::line_limit::LineLimit;
use super::now_ms;
use super::rejects::{Reject, Rejects};
use crate::tell;

/// Most characters of a reason that are shown: it may name topics.
const REASON_CHARS_MAX: usize = 400;
/// Fate of a message at QoS 0 that is not set aside.
const LOST: &str = "lost: at QoS 0 the hub keeps nothing";
/// Number of unacknowledged messages that may be all that a hub sends.
const WINDOW_SUSPECT: u64 = 16;
/// The silence after which that is suspected.
const WINDOW_SILENCE: Duration = Duration::from_secs(10);

/// Reasons why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cause {
    Malformed,
    NoTable,
    TwoTables,
    BadTable,
    /// Some values of a message that is read.
    Values,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::NoTable => "without their session table",
            Self::TwoTables => "with two session tables of one name",
            Self::BadTable => "session tables that are none",
            Self::Values => "with values that are none",
        })
    }
}

/// A batch from the hub, and the acknowledgement it waits for.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) content_type: Option<String>,
    pub(super) payload: Bytes,
    /// Identity of a raw message, which batches have inside, and whether it is marked as a possible duplicate.
    pub(super) identity: Option<String>,
    pub(super) pd: bool,
    pub(super) ack: Acknowledgement,
    /// Number among all messages with an acknowledgement; `None` at QoS 0.
    pub(super) number: Option<u64>,
    /// Set if the hub says that it sends the message again.
    pub(super) dup: bool,
}

#[derive(Debug)]
pub(super) struct Unread {
    rejects: Option<Rejects>,
    lines: LineLimit,
    /// The folder does not take any more, and that was said.
    rejects_failed: bool,
    counts: BTreeMap<Cause, u64>,
    set_aside: u64,
    kept: u64,
    /// Messages at QoS 0, which the hub does not keep either.
    lost: u64,
    /// Number of the first message of this connection that is kept unacknowledged. Acknowledgements leave in the order of the messages, so
    /// none of a later one leaves.
    first_kept: Option<u64>,
    /// Set once that was said on this connection.
    order_is_said: bool,
    window_is_said: bool,
}

impl Unread {
    pub(super) fn new(rejects: Option<Rejects>) -> Self {
        Self {
            rejects,
            lines: LineLimit::new(),
            rejects_failed: false,
            counts: BTreeMap::new(),
            set_aside: 0,
            kept: 0,
            lost: 0,
            first_kept: None,
            order_is_said: false,
            window_is_said: false,
        }
    }

    /// Returns whether messages are set aside.
    pub(super) fn sets_aside(&self) -> bool {
        self.rejects.is_some()
    }

    /// A message that cannot be read is set aside and then acknowledged, or kept unacknowledged.
    pub(super) fn message(&mut self, message: Message, cause: Cause, why: &str) {
        *self.counts.entry(cause).or_default() += 1;
        let why = format!("{} bytes: {why}", message.payload.len());
        let reject = Reject {
            time_ms: now_ms(),
            topic: &message.topic,
            content_type: message.content_type.as_deref(),
            reason: &why,
            payload: &message.payload,
        };
        match self.rejects.as_mut().map(|rejects| rejects.add(&reject)) {
            Some(Ok(())) => {
                self.rejects_failed = false;
                self.set_aside += 1;
                message.ack.done();
                self.say(cause, &message.topic, &why, "set aside");
            }
            failed => {
                if let Some(Err(error)) = failed
                    && !std::mem::replace(&mut self.rejects_failed, true)
                {
                    tell(format_args!(
                        "{error}; messages are kept unacknowledged, and those at QoS 0 are lost"
                    ));
                }
                if message.number.is_none() {
                    self.lost += 1;
                    self.say(cause, &message.topic, &why, LOST);
                    return;
                }
                // Without its acknowledgement the hub has it, and sends it again with the next connection.
                self.kept += 1;
                self.first_kept = self.first_kept.into_iter().chain(message.number).min();
                self.say(cause, &message.topic, &why, "kept unacknowledged");
                self.say_order(&message);
            }
        }
    }

    /// A batch has waited long for its table, and goes on waiting.
    pub(super) fn waits_on(&mut self, message: &Message, why: &str) {
        let what = match message.number {
            Some(_) => "kept unacknowledged, still waiting",
            None => "at QoS 0, still waiting",
        };
        self.say(Cause::NoTable, &message.topic, why, what);
        self.say_order(message);
    }

    /// Says once for each connection what a message without its acknowledgement costs those behind it.
    pub(super) fn say_order(&mut self, message: &Message) {
        if message.number.is_none() || std::mem::replace(&mut self.order_is_said, true) {
            return;
        }
        let remedy = match &self.rejects {
            Some(rejects) => {
                format!("make room in {}, where such messages are set aside", rejects.dir().display())
            }
            None => "--rejects DIR sets such messages aside".to_owned(),
        };
        tell(format_args!(
            "from here on nothing is acknowledged: acknowledgements leave in the order of the messages, and that of one on {} is missing. \
             What comes is printed, and again after each new connection, until the hub has as many without an acknowledgement as it sends; \
             {remedy}",
            Escaped(&message.topic)
        ));
    }

    /// Notes a new connection, which brings again what was not acknowledged.
    pub(super) fn expect_again(&mut self) {
        (self.first_kept, self.order_is_said, self.window_is_said) = (None, false, false);
    }

    /// Notes values that the model has no place for, or that could be read in two ways. The rest of their message is printed.
    pub(super) fn passed_over(&mut self, topic: &str, values: usize) {
        if values > 0 {
            let why = format!("values that are doubtful or none of ours: {values}");
            self.say(Cause::Values, topic, &why, "passed over");
        }
    }

    /// Counts and reports an announcement that is not used, because it is no table or there are too many.
    pub(super) fn table(&mut self, topic: &str, cause: Cause, why: &str) {
        *self.counts.entry(cause).or_default() += 1;
        self.say(cause, topic, why, "not used");
    }

    /// Says once when a hub's window seems to be full: of a message that cannot be read and all behind it. `received` is the number of the
    /// latest message, `waiting` that of the first one that waits.
    pub(super) fn watch_window(
        &mut self,
        received: u64,
        waiting: Option<u64>,
        last_message: Instant,
        now: Instant,
    ) {
        let first = self.first_kept.into_iter().chain(waiting).min();
        let unacknowledged = first.map_or(0, |first| (received + 1).saturating_sub(first));
        if self.window_is_said || unacknowledged < WINDOW_SUSPECT || now < last_message + WINDOW_SILENCE {
            return;
        }
        self.window_is_said = true;
        tell(format_args!(
            "nothing has come for {} s while {unacknowledged} messages are unacknowledged: one that cannot be read, and all behind it. A hub sends \
             only so many without an acknowledgement: if these are as many, nothing comes any more. --rejects DIR sets aside what cannot be read",
            WINDOW_SILENCE.as_secs()
        ));
    }

    /// Counts of all causes, `None` if everything could be read. `waiting` batches, which the hub keeps, waited on to the end.
    pub(super) fn summary(&self, waiting: usize) -> Option<String> {
        let waiting = waiting as u64;
        let mut counts = self.counts.clone();
        if waiting > 0 {
            *counts.entry(Cause::NoTable).or_default() += waiting;
        }
        if counts.is_empty() {
            return None;
        }
        let causes: Vec<String> = counts.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        let dir = self.rejects.as_ref().map(|rejects| format!(" in {}", rejects.dir().display()));
        let kept = self.kept + waiting;
        let lost = if self.lost > 0 { format!(", {} at QoS 0 lost", self.lost) } else { String::new() };
        Some(format!(
            "not read: {}; {} set aside{}, {kept} kept unacknowledged{lost}",
            causes.join(", "),
            self.set_aside,
            dir.unwrap_or_default(),
        ))
    }

    fn say(&mut self, cause: Cause, topic: &str, why: &str, what: &str) {
        let Some(left_out) = self.lines.may_say(Instant::now(), cause, topic) else { return };
        if left_out > 0 {
            tell(format_args!("lines like the next one that were left out: {left_out}"));
        }
        let is_long = why.chars().nth(REASON_CHARS_MAX).is_some();
        let why = why.chars().take(REASON_CHARS_MAX).chain(is_long.then_some('…')).collect::<String>();
        tell(format_args!("{}: {why} ({what})", Escaped(topic)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn counts_are_summed_up_and_the_window_is_watched() {
        let mut unread = Unread::new(None);
        assert_eq!(unread.summary(0), None);
        unread.table("a/table/b", Cause::BadTable, "why");
        unread.table("a/table/b", Cause::BadTable, "why");
        let said = "not read: 3 without their session table, 2 session tables that are none; 0 set aside, 3 kept unacknowledged";
        assert_eq!(unread.summary(3).as_deref(), Some(said));
        unread.lost = 2;
        let said = unread.summary(1).unwrap();
        assert!(said.ends_with("; 0 set aside, 1 kept unacknowledged, 2 at QoS 0 lost"), "{said}");
        let start = Instant::now();
        let later = start + WINDOW_SILENCE;
        unread.watch_window(100, None, start, later);
        assert!(!unread.window_is_said, "all of them are acknowledged");
        // One that waits, or is kept, and those behind it.
        for first_kept in [None, Some(85)] {
            let waiting = if first_kept.is_some() { Some(90) } else { Some(85) };
            unread.first_kept = first_kept;
            for (received, now, is_said) in
                [(99, later, false), (100, start, false), (100, later, true), (85, later, true)]
            {
                unread.watch_window(received, waiting, start, now);
                assert_eq!(unread.window_is_said, is_said, "{received}");
            }
            unread.expect_again();
            unread.watch_window(101, None, start, later);
            assert!(!unread.window_is_said, "a new connection is a new window");
        }
    }
}
