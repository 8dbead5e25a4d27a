//! Decision about a changed configuration without mistakes: nothing to do, its routes alone, a restart of all parts, or a refusal because this process
//! cannot apply the change. A configuration with mistakes is refused before, in `reload.rs`. Pure.

use edge_queue::{Config as QueueConfig, Lane, LaneStats};

use crate::config::{Changes, Config};

use crate::run::queue::found_at_open::{Beyond, beyond};
use crate::run::queue::open_queue::Waiting;
use crate::run::queue::store;
use crate::run::status::outputs::units::bytes as human_bytes;

use super::refusal::Unfit;

/// Decision about a changed configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Nothing,
    Routes,
    /// All parts have to be restarted, because these tables are read only at a start.
    StartAnew(Vec<&'static str>),
    /// The change is valid, but a reload cannot apply it.
    Refused(Unfit),
    /// Limits are lower than what waits. `why` begins with the key.
    MoreWaits {
        key: &'static str,
        why: String,
    },
}

/// Decides how `next` is applied. `state_is_given`: the state directory was given beside the configuration, which overrides it. `waiting`:
/// figures of what waits.
pub(super) fn decide(running: &Config, next: &Config, state_is_given: bool, waiting: &Waiting) -> Decision {
    let Changes { routes, at_start } = running.changes(next);
    if running.state != next.state && !state_is_given {
        return Decision::Refused(Unfit::StateDirectory);
    }
    // Without a queue nobody knows which lanes it has: a start looks.
    if *waiting != Waiting::NoQueue && running.queue.lanes != next.queue.lanes {
        return Decision::Refused(Unfit::Lanes);
    }
    // An open queue has the key in force: with another one no start would open it.
    if *waiting != Waiting::NoQueue && running.queue.key != next.queue.key {
        return Decision::Refused(Unfit::QueueKey);
    }
    if let Some((key, why)) = more_waits(running, next, waiting) {
        return Decision::MoreWaits { key, why: format!("{key}: {why}") };
    }
    match (at_start.as_slice(), routes) {
        ([], false) => Decision::Nothing,
        ([], true) => Decision::Routes,
        (_, _) if running.control.is_some() => Decision::Refused(Unfit::Loops(at_start)),
        _ => Decision::StartAnew(at_start),
    }
}

/// Returns the key of a limit of the queue that cannot be lowered now, and why, in words: a lane or the queue of the parked messages holds more, which
/// `on_full` would give up at once. `None`: they are not lower, or hold what waits, or there is no queue yet.
fn more_waits(running: &Config, next: &Config, waiting: &Waiting) -> Option<(&'static str, String)> {
    let (before, after) = (store::config(running), store::config(next));
    let (lanes, parked) = match waiting {
        Waiting::NoQueue => return None,
        Waiting::Unknown(why) => {
            let mut lanes = (0..).zip(&next.queue.lanes).map(|(at, _)| Lane(at));
            return lanes.any(|lane| is_lower(&before, &after, lane)).then(|| {
                ("queue", format!("limits are lower, and whether they hold what waits is not known: {why}"))
            });
        }
        Waiting::Known { lanes, parked } => (lanes, parked),
    };
    let in_lane = first_beyond(&before, &after, lanes).and_then(|beyond| {
        let name = next.queue.lanes.get(usize::from(beyond.lane.0))?;
        Some(in_words(&beyond, &format!("in lane {name}")))
    });
    let (before, after) = (store::parked_limits(&before), store::parked_limits(&after));
    let of_parked = || {
        let beyond = first_beyond(&before, &after, parked.as_slice())?;
        Some(in_words(&beyond, "among the parked ones"))
    };
    in_lane.or_else(of_parked)
}

fn is_lower(before: &QueueConfig, after: &QueueConfig, lane: Lane) -> bool {
    after.lane_max_bytes(lane) < before.lane_max_bytes(lane)
        || after.lane_max_messages(lane) < before.lane_max_messages(lane)
}

/// Returns the first lane whose limits are lower than before, and than what waits.
fn first_beyond(before: &QueueConfig, after: &QueueConfig, lanes: &[LaneStats]) -> Option<Beyond> {
    beyond(after, lanes).into_iter().find(|beyond| is_lower(before, after, beyond.lane))
}

/// Returns the key of the limit, and the reason for a log, in which digits stand without spaces between them.
fn in_words(beyond: &Beyond, place: &str) -> (&'static str, String) {
    let Beyond { messages, bytes, max_messages, max_bytes, .. } = *beyond;
    let (key, limit) = match bytes > max_bytes {
        true => ("queue.max_bytes", human_bytes(max_bytes)),
        false => ("queue.max_messages", format!("{max_messages} messages")),
    };
    let wait = human_bytes(bytes);
    let plural = if messages == 1 { "" } else { "s" };
    (
        key,
        format!("{messages} message{plural} ({wait}) {place} are more than the changed limit holds, {limit}"),
    )
}
