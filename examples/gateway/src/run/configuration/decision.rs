//! Decision about a changed configuration without mistakes: nothing to do, its routes alone, a restart of all parts, or a refusal because this process
//! cannot apply the change. A configuration with mistakes is refused before, in `reload.rs`. Pure.

use edge_queue::Lane;

use crate::config::{Changes, Config};

use crate::run::queue::found_at_open::{Beyond, beyond};
use crate::run::queue::open_queue::Waiting;
use crate::run::queue::store;
use crate::run::status::outputs::units::{bytes as human_bytes, counted};

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
    /// Limits are lower than what waits.
    MoreWaits(String),
}

/// Decides how `next` is applied. `state_is_given`: the state directory was given beside the configuration, which overrides it. `waiting`:
/// figures of the queue's lanes.
pub(super) fn decide(running: &Config, next: &Config, state_is_given: bool, waiting: &Waiting) -> Decision {
    let Changes { routes, at_start } = running.changes(next);
    if running.state != next.state && !state_is_given {
        return Decision::Refused(Unfit::StateDirectory);
    }
    // Without a queue nobody knows which lanes it has: a start looks.
    if *waiting != Waiting::NoQueue && running.queue.lanes != next.queue.lanes {
        return Decision::Refused(Unfit::Lanes);
    }
    if let Some(why) = more_waits(running, next, waiting) {
        return Decision::MoreWaits(why);
    }
    match (at_start.as_slice(), routes) {
        ([], false) => Decision::Nothing,
        ([], true) => Decision::Routes,
        (_, _) if running.control.is_some() => Decision::Refused(Unfit::Loops(at_start)),
        _ => Decision::StartAnew(at_start),
    }
}

/// Returns why limits of the queue cannot be lowered now, in words: a lane holds more, which `on_full` would give up at once. `None`: they are not
/// lower, or hold what waits, or there is no queue yet.
fn more_waits(running: &Config, next: &Config, waiting: &Waiting) -> Option<String> {
    let (before, after) = (store::config(running), store::config(next));
    let is_lower = |lane| {
        after.lane_max_bytes(lane) < before.lane_max_bytes(lane)
            || after.lane_max_messages(lane) < before.lane_max_messages(lane)
    };
    let lanes = match waiting {
        Waiting::NoQueue => return None,
        Waiting::Unknown if (0..).zip(&next.queue.lanes).any(|(at, _)| is_lower(Lane(at))) => {
            return Some("queue: limits are lower, and whether they hold what waits is not known: the queue does not answer".to_owned());
        }
        Waiting::Unknown => return None,
        Waiting::Lanes(lanes) => lanes,
    };
    let Beyond { lane, messages, bytes, max_messages, max_bytes } =
        beyond(&after, lanes).into_iter().find(|beyond| is_lower(beyond.lane))?;
    let name = next.queue.lanes.get(usize::from(lane.0))?;
    let (key, limit) = match bytes > max_bytes {
        true => ("max_bytes", human_bytes(max_bytes)),
        false => ("max_messages", counted(max_messages, "message")),
    };
    let wait = counted(messages, "message");
    Some(format!(
        "queue.{key}: {wait} ({}) in lane {name} are more than the changed limit holds, {limit}",
        human_bytes(bytes)
    ))
}
