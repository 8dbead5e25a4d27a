//! Messages that cannot be read: set aside, or kept unacknowledged at the hub; said once, and counted. What a folder does not take is in memory,
//! unacknowledged, until it does: by its present connection the hub would not send it again.

use std::collections::BTreeMap;
use std::time::Duration;

use edge_bridge::escape::Escaped;
use tokio::time::Instant;

use super::held::Held;
use super::letter::{Cause, Letter, Message};
use super::line_limit::LineLimit;
use super::rejects::{RejectError, Rejects};
use crate::tell;

/// Most characters of a reason that are shown: it may name topics.
const REASON_CHARS_MAX: usize = 400;
/// Fate of a message at QoS 0 that is not set aside.
const LOST: &str = "lost: at QoS 0 the hub keeps nothing";
/// Number of unacknowledged messages that may be all that a hub sends.
const WINDOW_SUSPECT: u64 = 16;
/// The silence after which that is suspected.
const WINDOW_SILENCE: Duration = Duration::from_secs(10);
/// Memory of messages that the folder did not take, beyond which none is read.
const HELD_BYTES_MAX: usize = 8 << 20;
/// Time after a failure for which the folder is not tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Most messages that are set aside in one go: each is synced, and meanwhile nothing else happens.
const RETRY_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Unread {
    rejects: Option<Rejects>,
    held: Held<Letter>,
    /// Time before which the folder is not tried again for what is held.
    retry_at: Option<Instant>,
    lines: LineLimit,
    /// The folder does not take any more, and that was said.
    rejects_failed: bool,
    /// A message that is larger than the folder may be was told on this connection.
    too_large_is_said: bool,
    counts: BTreeMap<Cause, u64>,
    set_aside: u64,
    /// Messages that were kept without a folder for them.
    kept: u64,
    /// Those of them that the hub may still send again by this connection: they are counted already.
    again: u64,
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
            held: Held::new(HELD_BYTES_MAX),
            retry_at: None,
            lines: LineLimit::new(),
            rejects_failed: false,
            too_large_is_said: false,
            counts: BTreeMap::new(),
            set_aside: 0,
            kept: 0,
            again: 0,
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

    /// Returns whether a message that comes could be held, if it has to be.
    pub(super) fn has_room(&self) -> bool {
        !self.held.is_full()
    }

    /// A message that cannot be read is set aside and then acknowledged, or kept unacknowledged.
    pub(super) fn message(&mut self, message: Message, cause: Cause, why: &str) {
        let why = format!("{} bytes: {why}", message.payload.len());
        let letter = Letter { message, cause, why };
        let letter = match letter.message.dup {
            true => match self.held.renew(letter, Letter::is_same) {
                Some(letter) => letter,
                None => return,
            },
            false => letter,
        };
        if letter.message.dup && self.again > 0 {
            (self.again, self.kept) = (self.again - 1, self.kept.saturating_sub(1));
        } else {
            *self.counts.entry(cause).or_default() += 1;
        }
        match self.rejects.as_mut().map(|rejects| rejects.add(&letter.reject())) {
            Some(Ok(())) => {
                self.rejects_failed = false;
                self.say(&letter, "set aside");
                self.set_aside += 1;
                letter.message.ack.done();
            }
            // It never fits: what is held would be held for good, and stop the reading.
            Some(Err(error @ RejectError::TooLarge { .. })) => {
                if !std::mem::replace(&mut self.too_large_is_said, true) {
                    tell(format_args!("{error}; it is kept unacknowledged, and at QoS 0 it is lost"));
                }
                self.keep(letter, false);
            }
            Some(Err(error)) => {
                if !std::mem::replace(&mut self.rejects_failed, true) {
                    tell(format_args!(
                        "{error}; until it is taken a message is kept unacknowledged, and at QoS 0 it is lost"
                    ));
                }
                self.keep(letter, true);
            }
            None => self.keep(letter, false),
        }
    }

    /// Keeps a message unacknowledged: without that the hub has it. It `is_held` here until the folder takes it, or else until the hub sends it again.
    fn keep(&mut self, letter: Letter, is_held: bool) {
        let Some(number) = letter.message.number else {
            self.lost += 1;
            return self.say(&letter, LOST);
        };
        self.say(&letter, "kept unacknowledged");
        self.say_order(&letter.message);
        if !is_held {
            self.kept += 1;
            self.first_kept = self.first_kept.into_iter().chain([number]).min();
            return;
        }
        let bytes = letter.bytes();
        if self.held.add(letter, bytes) {
            tell(format_args!(
                "{} MiB of messages wait to be set aside: no further ones are read; {}",
                HELD_BYTES_MAX >> 20,
                self.remedy()
            ));
        }
    }

    /// Sets aside what the folder did not take when it came.
    pub(super) fn retry(&mut self, now: Instant) {
        let Some(rejects) = &mut self.rejects else { return };
        if self.held.len() == 0 || self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let (mut taken, mut is_broken, mut too_large) = (0, false, usize::MAX);
        let out = self.held.take(|letter| {
            let bytes = letter.message.payload.len();
            if is_broken || taken >= RETRY_MAX || bytes >= too_large {
                return false;
            }
            let outcome = rejects.add(&letter.reject());
            match &outcome {
                Ok(()) => taken += 1,
                Err(RejectError::Io { .. }) => is_broken = true,
                Err(RejectError::Full { .. } | RejectError::TooLarge { .. }) => too_large = bytes,
            }
            outcome.is_ok()
        });
        // A full folder is measured for it, which takes long if it has many files.
        let took = Instant::now().saturating_duration_since(now);
        self.retry_at = (is_broken || too_large < usize::MAX)
            .then(|| now + took + RETRY_EVERY.max(took.saturating_mul(10)));
        for letter in out {
            self.set_aside += 1;
            letter.message.ack.done();
        }
        if self.held.len() == 0 {
            (self.rejects_failed, self.order_is_said, self.window_is_said) = (false, false, false);
            tell(format_args!("{}: what was kept is set aside now", rejects.dir().display()));
        }
    }

    /// A batch has waited long for its table, and goes on waiting.
    pub(super) fn waits_on(&mut self, message: &Message, why: &str) {
        let what = match message.number {
            Some(_) => "kept unacknowledged, still waiting",
            None => "at QoS 0, still waiting",
        };
        self.say_of(Cause::NoTable, &message.topic, why, what);
        self.say_order(message);
    }

    /// Says once for each connection what a message without its acknowledgement costs those behind it.
    pub(super) fn say_order(&mut self, message: &Message) {
        if message.number.is_none() || std::mem::replace(&mut self.order_is_said, true) {
            return;
        }
        tell(format_args!(
            "from here on nothing is acknowledged: acknowledgements leave in the order of the messages, and that of one on {} is missing. \
             What comes is printed, and again after each new connection, until the hub has as many without an acknowledgement as it sends; \
             {}",
            Escaped(&message.topic),
            self.remedy()
        ));
    }

    fn remedy(&self) -> String {
        match &self.rejects {
            Some(rejects) => {
                format!("make room in {}, where such messages are set aside", rejects.dir().display())
            }
            None => "--rejects DIR sets such messages aside".to_owned(),
        }
    }

    /// Notes a new connection, which brings again what was not acknowledged.
    pub(super) fn expect_again(&mut self) {
        (self.first_kept, self.order_is_said, self.window_is_said) = (None, false, false);
        self.too_large_is_said = false;
        self.again = self.kept;
        self.held.expect_again();
    }

    /// Notes values that the model has no place for, or that could be read in two ways. The rest of their message is printed.
    pub(super) fn passed_over(&mut self, topic: &str, values: usize) {
        if values > 0 {
            let why = format!("values that are doubtful or none of ours: {values}");
            self.say_of(Cause::Values, topic, &why, "passed over");
        }
    }

    /// Counts and reports an announcement that is not used, because it is no table or there are too many.
    pub(super) fn table(&mut self, topic: &str, cause: Cause, why: &str) {
        *self.counts.entry(cause).or_default() += 1;
        self.say_of(cause, topic, why, "not used");
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
        let held = self.held.current().filter_map(|letter| letter.message.number);
        let first = self.first_kept.into_iter().chain(waiting).chain(held).min();
        let unacknowledged = first.map_or(0, |first| (received + 1).saturating_sub(first));
        if self.window_is_said || unacknowledged < WINDOW_SUSPECT || now < last_message + WINDOW_SILENCE {
            return;
        }
        self.window_is_said = true;
        tell(format_args!(
            "nothing has come for {} s while {unacknowledged} messages are unacknowledged: one that cannot be read, and all behind it. A hub sends \
             only so many without an acknowledgement: if these are as many, nothing comes any more; {}",
            WINDOW_SILENCE.as_secs(),
            self.remedy()
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
        let kept = self.kept + self.held.len() as u64 + waiting;
        let lost = if self.lost > 0 { format!(", {} at QoS 0 lost", self.lost) } else { String::new() };
        Some(format!(
            "not read: {}; {} set aside{}, {kept} kept unacknowledged{lost}",
            causes.join(", "),
            self.set_aside,
            dir.unwrap_or_default(),
        ))
    }

    fn say(&mut self, letter: &Letter, what: &str) {
        self.say_of(letter.cause, &letter.message.topic, &letter.why, what);
    }

    fn say_of(&mut self, cause: Cause, topic: &str, why: &str, what: &str) {
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
        assert_eq!(unread.remedy(), "--rejects DIR sets such messages aside");
        let dir = tempfile::tempdir().unwrap();
        let full = Unread::new(Some(Rejects::open(dir.path(), 1).unwrap()));
        assert!(full.remedy().starts_with("make room in /"), "the folder is given already");
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
