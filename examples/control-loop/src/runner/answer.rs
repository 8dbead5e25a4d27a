//! Answers of the control thread to commands, encoded as words of a ring buffer.

use edge_filter::alarm::{AckError, AlarmCommandError};
use edge_filter::control::CommandError;
use edge_filter::interlock::{InterlockError, Vote};
use std::borrow::Cow;

/// Number of words: the command's number, that of its outcome, and the occurrence that waits where the command was for another one.
pub(crate) const ANSWER_WORDS: usize = 3;

/// Outcomes in the order of their numbers; `None` is success.
const ENDS: [Option<&str>; 12] = [
    None,
    Some("refused"),
    Some("there is nothing of that name"),
    Some("the output's law does not take this"),
    Some("an input that the condition depends on is not good"),
    Some("the condition still demands a trip"),
    Some("not a time for which it may be bypassed or shelved"),
    Some("still in alarm"),
    Some("nothing to acknowledge, reset or unshelve"),
    Some("bypasses add up: too little of max_bypass_ms is left for this one"),
    Some(STOOD_STILL),
    Some("the acknowledgement is for another occurrence than the current one"),
];
/// Number of the outcome of an acknowledgement for another occurrence.
const OTHER_OCCURRENCE: u64 = 11;
/// Number of the outcome of a command that waited while the loop was suspended.
pub(super) const WAITED: u64 = 10;
/// Reason for which a command that waited is refused, here or before it reaches the control thread.
pub(crate) const STOOD_STILL: &str = "it may have waited here while the program stood still: give it again";

/// Returns the number of an outcome, and that of the occurrence that waits, where the command was for another one.
pub(super) fn words(done: Result<(), CommandError>) -> (u64, u64) {
    let current = match done {
        Err(CommandError::Alarm(AlarmCommandError::Ack(AckError::OtherOccurrence { current }))) => current,
        _ => 0,
    };
    (number(done), current)
}

fn number(done: Result<(), CommandError>) -> u64 {
    match done {
        Ok(()) => 0,
        Err(CommandError::Unknown) => 2,
        Err(CommandError::NotFor) => 3,
        Err(CommandError::Interlock(InterlockError::NotHealthy { demand: Vote::Unknown })) => 4,
        Err(CommandError::Interlock(InterlockError::NotHealthy { .. })) => 5,
        Err(CommandError::Interlock(InterlockError::BypassTime { .. })) => 6,
        Err(CommandError::Interlock(InterlockError::BypassSpent { .. })) => 9,
        Err(CommandError::Alarm(error)) => match error {
            AlarmCommandError::ShelveTime { .. } => 6,
            AlarmCommandError::StillActive => 7,
            AlarmCommandError::Ack(AckError::OtherOccurrence { .. }) => OTHER_OCCURRENCE,
            AlarmCommandError::Ack(AckError::NoSuchAlarm) => 2,
            _ => 8,
        },
        Err(_) => 1,
    }
}

/// Returns the reason of a refusal; `None` for a command that was obeyed. `current`: the occurrence that waits, which nobody could learn else after
/// a restart.
pub(crate) fn reason(number: u64, current: u64) -> Option<Cow<'static, str>> {
    let end = usize::try_from(number).ok().and_then(|number| ENDS.get(number));
    let reason = end.copied().unwrap_or(Some("refused"))?;
    Some(match number {
        OTHER_OCCURRENCE => Cow::Owned(format!("{reason}, {current}")),
        _ => Cow::Borrowed(reason),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_reason() {
        let reason_of = |done| {
            let (number, current) = words(done);
            reason(number, current)
        };
        assert_eq!(reason_of(Ok(())), None);
        let interlock = |demand| CommandError::Interlock(InterlockError::NotHealthy { demand });
        for (error, expected) in [
            (CommandError::Unknown, "nothing of that name"),
            (CommandError::NotFor, "does not take this"),
            (interlock(Vote::Unknown), "not good"),
            (interlock(Vote::Trip), "still demands a trip"),
            (CommandError::Interlock(InterlockError::BypassTime { max_ms: None }), "bypassed"),
            (CommandError::Interlock(InterlockError::BypassSpent { max_ms: 9, left_ms: 1 }), "add up"),
            (CommandError::Alarm(AlarmCommandError::StillActive), "still in alarm"),
            (CommandError::Alarm(AlarmCommandError::NotShelved), "unshelve"),
            (
                CommandError::Alarm(AlarmCommandError::Ack(AckError::NothingToAcknowledge)),
                "nothing to acknowledge",
            ),
            (CommandError::Alarm(AlarmCommandError::Ack(AckError::NoSuchAlarm)), "nothing of that name"),
            (
                CommandError::Alarm(AlarmCommandError::Ack(AckError::OtherOccurrence { current: 7 })),
                "another occurrence than the current one, 7",
            ),
        ] {
            assert!(reason_of(Err(error)).unwrap().contains(expected), "{error}");
        }
        assert_eq!(reason(WAITED, 0).as_deref(), Some(STOOD_STILL));
        assert_eq!(reason(99, 0).as_deref(), Some("refused"));
    }
}
