//! Lines about what clients lost: messages of sessions that ended.

use super::*;

/// The figures count none of a client that asked for a new session, so the log tells none.
#[test]
fn a_session_that_cost_messages_is_told_with_its_cause_but_not_the_clients_own_wish() {
    let causes = [
        SessionEnd::Expired,
        SessionEnd::OtherUser,
        SessionEnd::UserGone,
        SessionEnd::TooManyFilters,
        SessionEnd::GivenUp,
    ];
    let said = |why| trouble(&ended(50, why)).map(|trouble| trouble.said);
    let lines: std::collections::BTreeSet<_> = causes.into_iter().filter_map(said).collect();
    assert_eq!(lines.len(), causes.len(), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("ended: 50 messages for it are dropped: ")), "{lines:?}");
    assert_eq!(said(SessionEnd::CleanStart), None);
    assert_eq!(trouble(&ended(0, SessionEnd::Expired)), None);
}
