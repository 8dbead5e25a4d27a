//! Answers of the control thread to commands, encoded as words of a ring buffer.

use edge_filter::alarm::{AckError, AlarmCommandError};
use edge_filter::control::CommandError;
use edge_filter::interlock::{InterlockError, Vote};

/// Number of words: the command's number, and that of its outcome.
pub(crate) const ANSWER_WORDS: usize = 2;

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
/// Number of the outcome of a command that waited while the loop was suspended.
pub(super) const WAITED: u64 = 10;
/// Reason for which a command that waited is refused, here or before it reaches the control thread.
pub(crate) const STOOD_STILL: &str = "it may have waited here while the program stood still: give it again";

/// Returns the number of an outcome.
pub(super) fn number(done: Result<(), CommandError>) -> u64 {
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
            AlarmCommandError::Ack(AckError::OtherOccurrence { .. }) => 11,
            _ => 8,
        },
        Err(_) => 1,
    }
}

/// Returns the reason of a refusal; `None` for a command that was obeyed.
pub(crate) fn reason(number: u64) -> Option<&'static str> {
    let end = usize::try_from(number).ok().and_then(|number| ENDS.get(number));
    end.copied().unwrap_or(Some("refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_reason() {
        assert_eq!(reason(number(Ok(()))), None);
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
            (
                CommandError::Alarm(AlarmCommandError::Ack(AckError::OtherOccurrence { current: 7 })),
                "another occurrence",
            ),
        ] {
            assert!(reason(number(Err(error))).unwrap().contains(expected), "{error}");
        }
        assert_eq!(reason(WAITED), Some(STOOD_STILL));
        assert_eq!(reason(99), Some("refused"));
    }
}
