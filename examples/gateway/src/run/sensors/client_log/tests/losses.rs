//! Lines about what clients lost: messages of sessions that ended, wills and filters that were refused.

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

/// Its subscribers do not learn of its end, so the operator has to: once an hour for each client.
#[test]
fn a_will_that_is_refused_is_told_with_the_file_that_decides() {
    let refused = |client: &'static str, is_user_gone| Event::WillRefused {
        client: Utf8::from_static(client),
        user: SessionUser { name: Some(Utf8::from_static("ann")), is_certified: false },
        topic: Utf8::from_static("a\nb"),
        is_user_gone,
    };
    let mut log = ClientLog::default();
    let lines = captured(|| {
        (0..3).for_each(|_| log.on_event(0, &refused("c", true), None));
        log.on_event(0, &refused("d", false), None);
    });
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let said =
        r#"the will of client "c" to "a\nb" is not published: its user is taken out ([local] password_file)"#;
    assert!(lines[0].contains(said) && lines[0].contains("WARN"), "{lines:?}");
    assert!(lines[1].contains("client \"d\"") && lines[1].contains("([local] acl_file)"), "{lines:?}");
}

/// A panel without a part of its values looks as if nothing came.
#[test]
fn refused_filters_are_told_once_an_hour_for_each_client_with_the_first_and_the_reason() {
    let subscribed = |client: &'static str, first: Option<(&'static str, ReasonCode)>| Event::Subscribed {
        connection: ConnectionId(1),
        client: Utf8::from_static(client),
        granted: 2,
        refused: usize::from(first.is_some()) * 3,
        first_refused: first.map(|(filter, reason)| (Utf8::from_static(filter), reason)),
    };
    let mut log = ClientLog::default();
    let lines = captured(|| {
        log.on_event(0, &subscribed("c", None), None);
        for _ in 0..3 {
            log.on_event(0, &subscribed("c", Some(("a\nb", ReasonCode::QUOTA_EXCEEDED))), None);
        }
        log.on_event(0, &subscribed("d", Some(("$share/x", ReasonCode::TOPIC_FILTER_INVALID))), None);
        log.on_event(60 * MINUTE_MS, &subscribed("c", Some(("e", ReasonCode::QUOTA_EXCEEDED))), None);
    });
    let lines: Vec<_> = lines.lines().filter(|line| line.contains("WARN")).collect();
    let expected = [
        r#"3 subscriptions of client "c" are refused, the first one to "a\nb": 0x97 Quota exceeded ([local] max_subscriptions)"#,
        r#"3 subscriptions of client "d" are refused, the first one to "$share/x": 0x8f"#,
        r#"3 subscriptions of client "c" are refused, the first one to "e": 0x97"#,
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    assert!(lines.iter().zip(expected).all(|(line, said)| line.contains(said)), "{lines:?}");
}
