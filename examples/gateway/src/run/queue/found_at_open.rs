//! Findings of a queue's opening that the status shows until the next one: another machine's queue, limits that its file was not made for, lanes
//! without their names.

use edge_queue::{Config as QueueConfig, Event, Lane, LaneStats};

/// Findings at the opening of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundAtOpen {
    /// Set if messages wait and the names that their lanes had cannot be read.
    pub(crate) lanes_unread: bool,
    /// Set if another machine opened the queue last.
    pub(crate) other_machine: bool,
    pub(crate) division_kept: Option<DivisionKept>,
}

/// Old division of the queue's file, which changed limits could not replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DivisionKept {
    pub(crate) why: String,
    /// Set if the file holds less than the configured limits, which are not in force therefore.
    pub(crate) is_less: bool,
}

impl FoundAtOpen {
    /// Records an event of the opening.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::OtherMachine => self.other_machine = true,
            Event::LimitsKept(why) => {
                self.division_kept = Some(DivisionKept { why: why.clone(), is_less: false });
            }
            _ => {}
        }
    }

    /// Compares the lanes of an opened queue with the limits of its configuration, and logs what differs.
    pub(super) fn compare(&mut self, names: &[String], config: &QueueConfig, lanes: &[LaneStats]) {
        for (lane, name) in lanes.iter().zip(names) {
            let wanted = config.lane_max_bytes(lane.lane);
            if let Some(kept) = self.division_kept.as_mut().filter(|_| lane.max_bytes < wanted) {
                kept.is_less = true;
                let (why, in_force) = (&kept.why, lane.max_bytes);
                tracing::warn!(
                    why,
                    lane = name,
                    wanted,
                    in_force,
                    "max_bytes is not in force: the queue's file keeps what it was made for until a start finds that `why` is mended"
                );
            }
        }
        tell_beyond(config, lanes, |lane| names.get(usize::from(lane.0)).map_or("", String::as_str));
    }
}

/// Logs the lanes in which more waits than `config` lets them hold.
pub(super) fn tell_beyond<'n>(config: &QueueConfig, lanes: &[LaneStats], name: impl Fn(Lane) -> &'n str) {
    for Beyond { lane, messages, bytes, max_messages, max_bytes } in beyond(config, lanes) {
        let lane = name(lane);
        tracing::warn!(
            lane,
            messages,
            bytes,
            max_messages,
            max_bytes,
            "more waits than the queue's limits hold: what is beyond them is given up with the next messages, or keeps these out, as on_full says"
        );
    }
}

/// Lane in which more waits than a configuration lets it hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    pub(crate) lane: Lane,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) max_messages: u64,
    pub(crate) max_bytes: u64,
}

/// Returns the lanes in which more waits than `config` lets them hold.
pub(crate) fn beyond(config: &QueueConfig, lanes: &[LaneStats]) -> Vec<Beyond> {
    let held = lanes.iter().map(|stats| Beyond {
        lane: stats.lane,
        messages: stats.messages,
        bytes: stats.bytes,
        max_messages: config.lane_max_messages(stats.lane),
        max_bytes: config.lane_max_bytes(stats.lane),
    });
    held.filter(|lane| lane.messages > lane.max_messages || lane.bytes > lane.max_bytes).collect()
}
