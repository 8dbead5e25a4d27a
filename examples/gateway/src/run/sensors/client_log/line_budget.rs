//! Budget of log lines: each cause has one a minute, and all causes together have a limit. Events without a line are counted, with their addresses. Pure.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Most causes that are kept apart in a minute.
pub(super) const CAUSES_MAX: usize = 64;
/// Most addresses that a line names.
const ADDRESSES_MAX: usize = 8;

/// Lines of this minute, and what had none.
#[derive(Debug)]
pub(super) struct LineBudget {
    /// Most lines in a minute.
    lines_max: usize,
    pub(super) minute: u64,
    /// Number of lines written in this minute.
    pub(super) lines: usize,
    pub(super) causes: HashMap<String, Cause>,
    /// Events whose causes got no line of their own.
    pub(super) others: HeldBack,
}

#[derive(Debug, Default)]
pub(super) struct Cause {
    /// Set if the cause had its line in this minute.
    is_said: bool,
    pub(super) held_back: HeldBack,
}

/// Events without a line since the last line of their cause.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HeldBack {
    pub(super) events: u64,
    /// Different addresses, in the order in which they were first seen.
    addresses: Vec<IpAddr>,
    has_more: bool,
}

impl HeldBack {
    fn add(&mut self, address: Option<IpAddr>) {
        self.events += 1;
        self.note(address);
    }

    fn note(&mut self, address: Option<IpAddr>) {
        let Some(address) = address.filter(|address| !self.addresses.contains(address)) else { return };
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(address);
        } else {
            self.has_more = true;
        }
    }

    fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.has_more |= other.has_more;
        other.addresses.into_iter().for_each(|address| self.note(Some(address)));
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.events)?;
        for (n, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if n == 0 { " from " } else { ", " })?;
        }
        if self.has_more { f.write_str(" and others") } else { Ok(()) }
    }
}

impl LineBudget {
    /// Creates a budget of so many lines a minute.
    pub(super) fn new(lines_max: usize) -> Self {
        Self { lines_max, minute: 0, lines: 0, causes: HashMap::new(), others: HeldBack::default() }
    }

    /// Starts another minute. Returns events of earlier minutes that no line has counted, because their cause had none or did not come back.
    /// `None`: there are none, or the minute is the same.
    pub(super) fn begin_minute(&mut self, minute: u64) -> Option<HeldBack> {
        if std::mem::replace(&mut self.minute, minute) == minute {
            return None;
        }
        self.causes.retain(|_, cause| {
            if !std::mem::take(&mut cause.is_said) {
                self.others.merge(std::mem::take(&mut cause.held_back));
            }
            cause.held_back.events > 0
        });
        let others = std::mem::take(&mut self.others);
        let has_others = others.events > 0;
        self.lines = usize::from(has_others);
        has_others.then_some(others)
    }

    fn has_room(&self, cause: &str) -> bool {
        self.causes.len() < CAUSES_MAX || self.causes.contains_key(cause)
    }

    /// Returns whether an event of this cause would get a line now.
    fn has_line(&self, cause: &str) -> bool {
        let is_said = self.causes.get(cause).is_some_and(|cause| cause.is_said);
        self.lines < self.lines_max && self.has_room(cause) && !is_said
    }

    /// Counts an event of this cause. Returns the events without a line since the last one if a line is due now; `None` if none is due.
    pub(super) fn due(&mut self, cause: String, address: Option<SocketAddr>) -> Option<HeldBack> {
        let is_due = self.has_line(&cause);
        let address = address.map(|address| address.ip());
        if !self.has_room(&cause) {
            self.others.add(address);
            return None;
        }
        let cause = self.causes.entry(cause).or_default();
        if !is_due {
            cause.held_back.add(address);
            return None;
        }
        cause.is_said = true;
        self.lines += 1;
        Some(std::mem::take(&mut cause.held_back))
    }
}
