//! Decision about a changed configuration without mistakes: nothing to do, its routes alone, a restart of all parts, or a refusal because this process
//! cannot apply the change. A configuration with mistakes is refused before, in `reload.rs`. Pure.

use crate::config::{Changes, Config};

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
}

/// Decides how `next` is applied. `state_is_given`: the state directory was given beside the configuration, which overrides it. `has_queue`: the
/// queue is open.
pub(super) fn decide(running: &Config, next: &Config, state_is_given: bool, has_queue: bool) -> Decision {
    let Changes { routes, at_start } = running.changes(next);
    if running.state != next.state && !state_is_given {
        return Decision::Refused(Unfit::StateDirectory);
    }
    // Without a queue nobody knows which lanes it has: a start looks.
    if has_queue && running.queue.lanes != next.queue.lanes {
        return Decision::Refused(Unfit::Lanes);
    }
    match (at_start.as_slice(), routes) {
        ([], false) => Decision::Nothing,
        ([], true) => Decision::Routes,
        (_, _) if running.control.is_some() => Decision::Refused(Unfit::Loops(at_start)),
        _ => Decision::StartAnew(at_start),
    }
}
