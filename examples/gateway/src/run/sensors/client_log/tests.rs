mod losses;
mod takeovers;

use crate::run::log::captured_log::captured;

use super::*;
use bytes::BytesMut;
use edge_bridge::listener::{ConnectionId, SessionEnd, SessionUser};
use edge_bridge::session::{Closed, Violation};
use edge_bridge::wire::{Limits, decode_connect};

fn trouble(event: &Event) -> Option<Trouble> {
    super::trouble(event, None)
}

fn ended(dropped: usize, why: SessionEnd) -> Event {
    Event::SessionEnded { client: Utf8::from_static("c"), dropped, why }
}

fn budget() -> LineBudget {
    LineBudget::new(WARNINGS_PER_MINUTE)
}

fn due(log: &mut LineBudget, minute: u64, cause: &str, address: Option<&str>) -> Option<String> {
    assert_eq!(log.begin_minute(minute), None);
    let address = address.map(|address| SocketAddr::new(address.parse().unwrap(), 1));
    log.due(cause.to_owned(), address).map(|held_back| held_back.to_string())
}

#[test]
fn each_cause_is_said_once_a_minute_and_all_have_a_budget() {
    let mut log = budget();
    assert_eq!((0..25).filter(|_| due(&mut log, 0, "the same", None).is_some()).count(), 1);
    assert_eq!((0..25).filter(|n| due(&mut log, 0, &n.to_string(), None).is_some()).count(), 9);
    assert_eq!(log.begin_minute(1).unwrap().to_string(), "16", "nine had a line");
    assert_eq!(due(&mut log, 1, "the same", None).unwrap(), "24", "a new minute, a new line");
}

#[test]
fn what_is_held_back_is_counted_with_its_own_cause_and_its_addresses() {
    let [flooder, other] = ["10.0.0.7:1", "10.0.0.8:1"].map(|address| address.parse().ok());
    let (client, topic) = (Utf8::from_static("c"), Utf8::from_static("out/x"));
    let connection = ConnectionId(1);
    let error = TopicError::Reserved;
    let user = SessionUser::default();
    let publish = Event::TopicRefused { connection, client: client.clone(), user, topic, error };
    let ended = Event::SessionEnded { client, dropped: 1, why: SessionEnd::Expired };
    let mut log = ClientLog::default();
    let lines = captured(|| {
        (0..500).for_each(|up_ms| log.on_event(up_ms, &publish, flooder));
        log.on_event(500, &publish, other);
        log.on_event(MINUTE_MS, &ended, other);
        log.on_event(MINUTE_MS, &publish, other);
    });
    let said = lines.lines().filter_map(|line| {
        let (text, fields) = line.split_once(" address=")?;
        Some((text.contains("publishes to"), fields))
    });
    let expected = [
        (true, r#""10.0.0.7:1" held_back=0"#),
        (false, r#""10.0.0.8:1" held_back=0"#),
        (true, r#""10.0.0.8:1" held_back=500 from 10.0.0.7, 10.0.0.8"#),
    ];
    assert_eq!(said.collect::<Vec<_>>(), expected, "{lines}");
}

#[test]
fn one_mistake_of_a_whole_plant_takes_one_line() {
    let mut log = budget();
    for minute in 0..3 {
        let lines = (0..12).filter_map(|n| due(&mut log, minute, "refused", Some(&format!("10.0.0.{n}"))));
        assert_eq!(lines.count(), 1);
        assert!(due(&mut log, minute, "session", None).is_some(), "another cause has its own");
    }
    let addresses = "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8";
    assert_eq!(due(&mut log, 3, "refused", None).unwrap(), format!("11 from {addresses} and others"));
}

#[test]
fn a_trouble_that_has_ended_is_counted_in_a_line_for_all() {
    let mut log = budget();
    (0..5).for_each(|_| drop(due(&mut log, 0, "ended", Some("10.0.0.7"))));
    assert_eq!(log.begin_minute(1), None, "it may go on");
    assert_eq!(log.begin_minute(2).unwrap().to_string(), "4 from 10.0.0.7");
    assert_eq!((log.lines, log.begin_minute(3)), (1, None));
}

#[test]
fn causes_without_end_are_bounded_and_each_event_is_counted() {
    let mut log = budget();
    let mut counted = 0;
    for minute in 0..5 {
        counted += log.begin_minute(minute).map_or(0, |others| others.events);
        for n in 0..5_000 {
            let said = due(&mut log, minute, &format!("{minute} {n}"), None);
            counted += said.map_or(0, |held_back| 1 + held_back.parse::<u64>().unwrap());
        }
        assert_eq!((log.lines, log.causes.len()), (WARNINGS_PER_MINUTE, CAUSES_MAX));
    }
    let left = log.others.events + log.causes.values().map(|cause| cause.held_back.events).sum::<u64>();
    assert_eq!(counted + left, 25_000);
}

fn left(client: &Utf8, connection: u64, why: Closed) -> Event {
    Event::Disconnected { connection: ConnectionId(connection), client: Some(client.clone()), why }
}

#[test]
fn what_comes_with_each_connection_has_a_line_a_client_and_hour_and_is_counted() {
    let client = Utf8::from_static("s");
    let no_room = |connection| Event::NoRoom { connection: ConnectionId(connection), client: client.clone() };
    let silent = |connection| left(&client, connection, Closed::KeepAlive);
    let unfinished = |connection| left(&client, connection, Closed::UnfinishedPacket);
    let unread = |connection| left(&client, connection, Closed::AnswersUnread);
    let end = |why: Closed| move |connection| left(&Utf8::from_static("s"), connection, why.clone());
    let broken = |violation| end(Closed::Violation(violation));
    let local = |reason| end(Closed::Local(reason));
    let frame = broken(Violation::WebSocket("a frame that is not masked".to_owned()));
    let record = broken(Violation::Tls("cannot decrypt peer's message".to_owned()));
    let error = end(Closed::Peer { reason: ReasonCode::PROTOCOL_ERROR, session_expiry_s: None });
    let denied = local(ReasonCode::NOT_AUTHORIZED);
    let unanswerable = local(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
    let (memory, place) = (local(ReasonCode::QUOTA_EXCEEDED), local(ReasonCode::SERVER_BUSY));
    let said = [
        (&no_room as &dyn Fn(u64) -> Event, "messages of client \"s\" at QoS 0 are given up"),
        (&unread, "client \"s\" was disconnected: the peer did not read its answers"),
        (&silent, "client \"s\" was disconnected: the peer was silent for too long"),
        (
            &unfinished,
            "client \"s\" was disconnected: the peer began a packet, and did not complete it in time",
        ),
        (
            &frame,
            "\"s\" was disconnected: the peer broke the protocol: WebSocket: a frame that is not masked",
        ),
        (&record, "\"s\" was disconnected: the peer broke the protocol: TLS: cannot decrypt peer's message"),
        (&error, "client \"s\" ended its connection with an error: 0x82 Protocol Error"),
        (&denied, "\"s\" was disconnected: MQTT 3.1.1 has no other answer to a topic that is refused"),
        (&unanswerable, "\"s\" was disconnected: an answer is larger than the Maximum Packet Size"),
        (&memory, "\"s\" was disconnected: of all clients it held most"),
        (&place, "\"s\" was disconnected to make place for a new one"),
    ];
    for (event, text) in said {
        let mut log = ClientLog::default();
        let mut lines = |minute: u64| captured(|| log.on_event(minute * MINUTE_MS, &event(minute), None));
        let first = lines(0);
        assert!(first.contains(text) && first.contains("held_back=0"), "{first}");
        assert_eq!((lines(10).contains("WARN"), lines(59).contains("WARN")), (false, false));
        let again = lines(61);
        assert!(again.contains(text) && again.contains("held_back=2"), "{again}");
    }
}

#[test]
fn clients_that_fall_silent_take_no_line_of_other_trouble() {
    let mut log = ClientLog::default();
    let silent = captured(|| {
        for n in 0..500 {
            log.on_event(0, &left(&Utf8::try_from(n.to_string()).unwrap(), n, Closed::KeepAlive), None);
        }
    });
    assert_eq!(silent.lines().filter(|line| line.contains("was silent")).count(), 20);
    let other = captured(|| log.on_event(0, &left(&Utf8::from_static("c"), 1, Closed::Handshake), None));
    assert!(other.contains("no CONNECT or CONNACK came in time"), "{other}");
}

#[test]
fn origins_of_pages_are_one_cause() {
    let cause = |origin: &str| {
        let error = format!("not among ws_origins: \"{origin}\"");
        trouble(&Event::NoWebSocket { connection: ConnectionId(1), error }).unwrap()
    };
    let (one, other) = (cause("http://a.example:1"), cause("null"));
    assert_eq!(one.cause, other.cause);
    assert_eq!(one.said, "no WebSocket with a client: not among ws_origins: \"http://a.example:1\"");
}

#[test]
fn a_refusal_names_the_key_that_changes_it_or_says_that_none_does() {
    let (connection, client) = (ConnectionId(1), Utf8::from_static("c"));
    for (topic, expected) in [
        ("out/x", "refused: only the server publishes there ([control], [alarms])"),
        (
            "$SYS/x",
            "refused: only the server publishes there ($SYS is the gateway's, but for states of other bridges)",
        ),
    ] {
        let (client, topic, user) = (client.clone(), Utf8::from_static(topic), SessionUser::default());
        let event = Event::TopicRefused { connection, client, user, topic, error: TopicError::Reserved };
        let said = trouble(&event).unwrap().said;
        assert!(said.ends_with(expected), "{said}");
    }
    let connect = [&[0x10, 15, 0, 6][..], b"MQIsdp", &[3, 2, 0, 60, 0, 1], b"c"].concat();
    let error = decode_connect(&mut BytesMut::from(&connect[..]), &Limits::default()).unwrap_err();
    let why = Closed::Violation(Violation::Decode(error));
    let said = trouble(&Event::Disconnected { connection, client: None, why }).unwrap().said;
    assert!(
        said.contains("MQTT 3.1 (MQIsdp) is not accepted") && said.ends_with(" ([local] accept_mqtt_3_1)"),
        "{said}"
    );
}

/// Names in it are escaped already, and the file stands at the end.
#[test]
fn an_error_of_a_handshake_keeps_its_quotes_and_its_end() {
    let error = format!("\"oven\\n3\" is revoked by /etc/{}/sensors.crl", "x".repeat(80));
    let said = trouble(&Event::NoTls { connection: ConnectionId(1), error: error.clone() }).unwrap().said;
    assert_eq!(said, format!("no TLS with a client: {error}"));
    let other = "client: another authority than those in /etc/ca.crt has signed the certificate".to_owned();
    let said = trouble(&Event::NoTls { connection: ConnectionId(1), error: other }).unwrap().said;
    assert!(said.ends_with("in /etc/ca.crt has signed the certificate ([local] client_ca)"), "{said}");
    let none = "the server has no certificate to show: that in /etc/own.crt, or its key, cannot be used";
    let said = trouble(&Event::NoTls { connection: ConnectionId(1), error: none.to_owned() }).unwrap().said;
    assert_eq!(said, format!("no TLS with a client: {none} ([local] cert, key)"));
    let forged = Event::NoWebSocket { connection: ConnectionId(1), error: "x\n".repeat(10_000) };
    let said = trouble(&forged).unwrap().said;
    assert!(!said.contains('\n') && said.len() < 500, "{}", said.len());
}

#[test]
fn names_of_clients_cannot_forge_a_line() {
    let forged = "x\n2026-11-21T03:00:00.000000Z  INFO edge_gateway::run::gateway: stopped \u{202e}";
    let client = Utf8::try_from(forged.to_owned() + &"y".repeat(65_000)).unwrap();
    let said = trouble(&Event::SessionEnded { client, dropped: 1, why: SessionEnd::Expired }).unwrap().said;
    assert!(said.contains("x\\n2026") && !said.contains('\n') && !said.contains('\u{202e}'), "{said}");
    assert!(said.len() < 200, "{}", said.len());
}

#[test]
fn damage_to_saved_clients_is_one_line_with_escaped_names() {
    let mut damage = Damage::default();
    (damage.sessions, damage.waiting) = (1, 3);
    damage.clients = ["panel", "a\nb \" c"].map(Utf8::from_static).to_vec();
    let mut restored = Restored::default();
    (restored.retained, restored.damage) = (5, Some(damage));
    let event = Event::ClientsRestored(restored);
    let lines = captured(|| ClientLog::default().on_event(0, &event, None));
    let line = lines.lines().find(|line| line.contains("clients.bad")).unwrap();
    assert!(
        line.contains("sessions=1") && line.contains("waiting=3") && line.contains("\"panel\", "),
        "{line}"
    );
    assert_eq!(lines.lines().count(), 2, "with the one about what is back: {lines}");
}

#[test]
fn who_is_closed_for_memory_without_a_name_is_told_and_who_is_refused_is_told_once() {
    let (connection, reason) = (ConnectionId(1), ReasonCode::QUOTA_EXCEEDED);
    let user = SessionUser::default();
    let refused = Event::Refused { connection, client: Utf8::from_static("c"), user, reason };
    let ended = Event::Disconnected { connection, client: None, why: Closed::Local(reason) };
    let said = |events: &[&Event]| {
        let mut log = ClientLog::default();
        let lines = captured(|| events.iter().for_each(|event| log.on_event(0, event, None)));
        ["was refused", "that did not say its name was disconnected: of all clients it held most"]
            .map(|text| lines.matches(text).count())
    };
    assert_eq!(said(&[&ended]), [0, 1]);
    assert_eq!(said(&[&refused, &ended]), [1, 0]);
    assert_eq!(said(&[&refused, &ended, &ended]), [1, 1]);
}

#[test]
fn who_makes_place_for_a_new_client_is_told_with_name_and_address() {
    let mut log = ClientLog::default();
    let displaced = |client| Event::Disconnected {
        connection: ConnectionId(1),
        client,
        why: Closed::Local(ReasonCode::SERVER_BUSY),
    };
    let lines = captured(|| {
        for _ in 0..90 {
            log.on_event(0, &displaced(None), "10.0.0.8:1".parse().ok());
            log.on_event(0, &displaced(Some(Utf8::from_static("a\nb"))), "10.0.0.7:1".parse().ok());
        }
    });
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, address, said) in [
        (
            lines[0],
            "10.0.0.8:1",
            "that did not say its name was disconnected to make place for a new one: it had not logged in",
        ),
        (
            lines[1],
            "10.0.0.7:1",
            r#"client "a\nb" was disconnected to make place for a new one: it had been silent"#,
        ),
    ] {
        assert!(line.contains(address) && line.contains(said), "{line}");
    }
}

/// Whoever guesses passwords is named with each address, and keeps no other trouble out of the log.
#[test]
fn a_login_that_fails_has_a_line_a_minute_for_each_address() {
    let refused = |user: &str| Event::Refused {
        connection: ConnectionId(1),
        client: Utf8::from_static("c"),
        user: SessionUser { name: Utf8::try_from(user.to_owned()).ok(), is_certified: false },
        reason: ReasonCode::BAD_USER_NAME_OR_PASSWORD,
    };
    let from = |n: usize| format!("10.0.{}.{}:1", n / 250, n % 250).parse().ok();
    let mut log = ClientLog::default();
    let lines = captured(|| {
        for n in 0..60 {
            (0..3).for_each(|guess| log.on_event(n, &refused(&format!("u{guess}")), from(n as usize % 20)));
        }
        log.on_event(60, &ended(1, SessionEnd::Expired), None);
        log.on_event(MINUTE_MS, &refused("u"), from(7));
    });
    assert_eq!(lines.matches("was refused").count(), 21, "{lines}");
    assert_eq!(lines.matches("address=\"10.0.0.7:1\"").count(), 2, "{lines}");
    assert!(lines.contains("held_back=8 from 10.0.0.7"), "{lines}");
    assert_eq!(lines.matches("messages for it are dropped").count(), 1, "{lines}");
    let network = captured(|| {
        for n in 0..300 {
            log.on_event(2 * MINUTE_MS, &refused("u"), format!("[2001:db8::{n:x}]:1").parse().ok());
        }
        log.on_event(2 * MINUTE_MS, &refused("u"), from(7));
    });
    assert_eq!(
        network.matches("was refused").count(),
        2,
        "a client has all addresses of its network: {network}"
    );
    let flood = captured(|| {
        (0..20_000).for_each(|n| log.on_event(3 * MINUTE_MS, &refused("u"), from(n)));
    });
    assert!(flood.matches("was refused").count() <= CAUSES_MAX, "bounded");
    assert!(log.logins.causes.len() <= CAUSES_MAX);
}

#[test]
fn an_operators_own_change_is_no_trouble() {
    let client = Utf8::from_static("c");
    let event = left(&client, 1, Closed::Local(ReasonCode::ADMINISTRATIVE_ACTION));
    let lines = captured(|| ClientLog::default().on_event(0, &event, None));
    assert!(
        lines.contains("INFO") && lines.contains("users, rights or certificates have changed"),
        "{lines}"
    );
}

/// A session that ends has no connection.
#[test]
fn what_has_no_address_is_told_without_one() {
    let event = ended(1, SessionEnd::Expired);
    let lines = captured(|| ClientLog::default().on_event(0, &event, None));
    assert!(lines.contains("messages for it are dropped") && !lines.contains("address"), "{lines}");
}
