//! Sessions that another connection takes over.

use edge_bridge::listener::{ConnectionId, Event, SessionUser};
use edge_bridge::session::Closed;
use edge_bridge::wire::{ReasonCode, Utf8};

use super::left;
use crate::run::log::captured_log::captured;
use crate::run::sensors::client_log::{ClientLog, MINUTE_MS};

fn takeover(user: (&str, bool), from: &str, by_user: (&str, bool), is_there: bool) -> Event {
    let user_of = |(name, is_certified): (&str, bool)| SessionUser {
        name: Utf8::try_from(name.to_owned()).ok().filter(|name| !name.is_empty()),
        is_certified,
    };
    Event::TakenOver {
        connection: is_there.then_some(ConnectionId(1)),
        client: Utf8::from_static("p\n1"),
        user: user_of(user),
        by: ConnectionId(2),
        by_user: user_of(by_user),
        by_peer: from.parse().ok(),
    }
}

/// MQTT lets whoever may connect end another client's session. That of a client that comes again is no trouble.
#[test]
fn a_session_that_is_taken_over_is_told_with_both_users_and_addresses() {
    let (ann, eve) = (("ann", false), ("e\"e", false));
    let elsewhere = "10.0.0.8:3";
    for (event, level, said) in [
        (
            takeover(ann, "10.0.0.7:2", ann, true),
            "INFO",
            r#"client "p\n1" was disconnected: it connected again"#,
        ),
        (
            takeover(ann, elsewhere, ann, true),
            "WARN",
            r#"client "p\n1" was disconnected: a client at 10.0.0.8:3 connected under its identifier; two of one name"#,
        ),
        (
            takeover(ann, elsewhere, eve, true),
            "WARN",
            r#"client "p\n1" of user "ann" was disconnected, and its session ended: user "e\"e" at 10.0.0.8:3 connected"#,
        ),
        (
            takeover(ann, "10.0.0.7:2", ("ann", true), false),
            "WARN",
            r#"the session of client "p\n1" of user "ann" ended: user "ann" by certificate at 10.0.0.7:2 connected"#,
        ),
        (
            takeover(("", false), "10.0.0.7:2", ann, false),
            "WARN",
            r#"of nobody (without a user name) ended: user "ann" at 10.0.0.7:2 connected"#,
        ),
    ] {
        let mut log = ClientLog::default();
        let end = left(&Utf8::from_static("p\n1"), 1, Closed::Local(ReasonCode::SESSION_TAKEN_OVER));
        let mut lines = |minute: u64| {
            captured(|| {
                log.on_event(minute * MINUTE_MS, &event, "10.0.0.7:1".parse().ok());
                log.on_event(minute * MINUTE_MS, &end, "10.0.0.7:1".parse().ok());
            })
        };
        let first = lines(0);
        assert!(first.contains(level) && first.contains(said), "{said}: {first}");
        assert!(first.contains(r#"address="10.0.0.7:1" held_back=0"#), "{first}");
        assert_eq!(first.matches(level).count(), 1, "{first}");
        assert_eq!(lines(59).matches(level).count(), 0);
        assert!(lines(61).contains("held_back=1"));
    }
}

/// A sensor that comes again all day, and from other addresses, hides no other one of its name.
#[test]
fn who_comes_again_takes_no_line_of_who_takes_over() {
    let (ann, eve) = (("ann", false), ("eve", false));
    let mut log = ClientLog::default();
    let lines = captured(|| {
        for n in 0..50 {
            log.on_event(n, &takeover(ann, "10.0.0.7:2", ann, true), "10.0.0.7:1".parse().ok());
        }
        log.on_event(49, &takeover(ann, "10.0.0.9:2", ann, true), "10.0.0.7:1".parse().ok());
        log.on_event(50, &takeover(ann, "10.0.0.7:2", eve, true), "10.0.0.7:1".parse().ok());
    });
    assert_eq!((lines.matches("it connected again").count(), lines.matches("user \"eve\"").count()), (1, 1));
}
