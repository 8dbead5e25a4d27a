//! Planted bugs: each rule convicts a mistake that breaks it.

use super::judge::Broken;
use super::run;

/// Mistakes of a shell, each of which breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// The hub forgets a command when it arrives.
    AcknowledgedAtOnce,
    /// The file is not read at the start.
    LedgerNotRead,
    /// Lines are not synced: a kill takes them.
    NotSynced,
    /// Its answer is called safe when the queue has it in memory.
    AnswerNotSafe,
    /// The time for which a command waited at the hub does not count.
    HubTimeLost,
    /// A standstill of the process is not noticed.
    StandstillUnnoticed,
    /// The same, of commands that the hub forgets when they arrive.
    StandstillUnnoticedOfAcknowledged,
    /// Retained commands come as others do, and such without an expiry with one.
    UnfitTaken,
    /// A disk that takes lines is said to refuse them.
    KeptIsRefused,
    /// A stop forgets the commands that clients have, too.
    AllForgotten,
    /// Loops that do not say whether they obeyed count as such that refused.
    SilenceIsRefusal,
    /// Deadlines go by the wall clock, which steps.
    DeadlinesByWallClock,
    /// The hub forgets an at-least-once command when a client gets it, before it has acknowledged it.
    AcknowledgedWhenGiven,
    /// Clients' PUBACKs do not count, so that what they have is given once more.
    AcknowledgementLost,
    /// What waited in the session of a client that was away, and was sent to nobody, counts as sent.
    WaitingIsWritten,
    /// What a client has without its PUBACK counts as sent to nobody.
    WrittenIsWaiting,
}

#[test]
fn each_planted_bug_breaks_its_rule() {
    let convicted = |bug, rule: fn(&Broken) -> bool| {
        // A mistake may break other rules, too, and in an earlier history.
        let found = (0..2_000).find_map(|seed| run(seed, Some(bug)).err().filter(rule));
        assert!(found.is_some(), "{bug:?}");
    };
    convicted(Bug::AcknowledgedAtOnce, |broken| matches!(broken, Broken::NoAnswer(_)));
    convicted(Bug::LedgerNotRead, |broken| matches!(broken, Broken::ObeyedTwice(_)));
    convicted(Bug::NotSynced, |broken| matches!(broken, Broken::ObeyedTwice(_)));
    convicted(Bug::AnswerNotSafe, |broken| matches!(broken, Broken::NoAnswer(_)));
    convicted(Bug::HubTimeLost, |broken| matches!(broken, Broken::ObeyedLate(_)));
    convicted(Bug::StandstillUnnoticed, |broken| matches!(broken, Broken::ObeyedLate(_)));
    convicted(Bug::StandstillUnnoticedOfAcknowledged, |broken| matches!(broken, Broken::ObeyedLate(_)));
    convicted(Bug::UnfitTaken, |broken| matches!(broken, Broken::ObeyedUnfit(_)));
    convicted(Bug::KeptIsRefused, |broken| matches!(broken, Broken::NotKept(_)));
    convicted(Bug::AllForgotten, |broken| matches!(broken, Broken::ObeyedTwice(_)));
    convicted(Bug::DeadlinesByWallClock, |broken| matches!(broken, Broken::ObeyedLate(_)));
    convicted(Bug::AcknowledgedWhenGiven, |broken| matches!(broken, Broken::NoAnswer(_)));
    convicted(Bug::AcknowledgementLost, |broken| matches!(broken, Broken::ObeyedTwice(_)));
    convicted(Bug::WaitingIsWritten, |broken| matches!(broken, Broken::GivenUp(_)));
    convicted(Bug::WrittenIsWaiting, |broken| matches!(broken, Broken::ObeyedTwice(_)));
    convicted(Bug::SilenceIsRefusal, |broken| matches!(broken, Broken::ObeyedAndRefused(_)));
}
