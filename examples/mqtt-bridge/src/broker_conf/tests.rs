use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::findings::Severity;

fn conf(text: &str) -> (BrokerConf, Vec<String>) {
    let file = Arc::<Path>::from(Path::new("b"));
    let line = |(at, line): (usize, &str)| {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        let place = Place { file: file.clone(), line: at + 1 };
        Line { place, word: word.to_owned(), value: value.to_owned() }
    };
    let lines: Vec<_> = text.lines().enumerate().map(line).collect();
    let mut findings = Findings::default();
    let conf = parse(&lines, &mut findings);
    let told = findings.iter().filter(|finding| finding.severity != Severity::Ignored);
    (conf, told.map(ToString::to_string).collect())
}

#[test]
fn listeners_and_limits_are_read() {
    let (conf, told) = conf(
        "listener 1883 127.0.0.1\nallow_anonymous true\nlistener 8883\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true\n\
         use_identity_as_username true\nmax_connections 50\nglobal_max_connections 40\nmax_queued_messages -1\nmax_inflight_messages 20\n\
         max_keepalive 60\nmessage_size_limit 0\nmax_packet_size 5000\nretain_available false\nacl_file r\npersistence true\n\
         persistent_client_expiration 2w\nsys_interval 60",
    );
    assert_eq!(told, <[String; 0]>::default());
    let [plain, secure] = conf.listeners.as_slice() else { panic!("{conf:?}") };
    assert_eq!((plain.host.as_deref(), plain.port, plain.has_tls()), (Some("127.0.0.1"), 1883, false));
    assert!(secure.asks_for_certificates() && secure.host.is_none());
    assert_eq!((conf.max_connections, conf.max_queued, conf.max_in_flight), (Some(40), None, Some(20)));
    assert_eq!(
        (conf.max_keepalive, conf.max_packet_bytes, conf.retain_available),
        (Some(60), Some(5000), Some(false))
    );
    assert_eq!((conf.forgets_clients, conf.limits().session_expiry_max_s), (false, 14 * 86_400));
    assert!(conf.limits().session.limits.accept_mqtt_3_1, "as Mosquitto, which has no key for it");
    assert_eq!(conf.limits().sys_interval_s, 60);
    assert_eq!(BrokerConf::default().limits().sys_interval_s, 10, "as Mosquitto");
}

/// Promise 12. Retained messages have their part of it.
#[test]
fn memory_limit_is_the_limit_of_all_clients() {
    let usual = BrokerConf::default().limits();
    for (text, max) in [
        ("memory_limit 2000000", 2_000_000),
        // In Mosquitto no limit, of which a gateway's memory cannot be.
        ("memory_limit 0", usual.max_memory),
        ("", usual.max_memory),
    ] {
        let limits = conf(&format!("listener 1 ::1\nallow_anonymous true\n{text}")).0.limits();
        assert_eq!((limits.max_memory, limits.max_retained_bytes), (max, max / 4), "{text}");
    }
}

#[test]
fn port_and_bind_address_are_one_listener() {
    let (conf, told) = conf("bind_address 127.0.0.1\nallow_anonymous true\nport 1884");
    assert_eq!(told, <[String; 0]>::default());
    let [only] = conf.listeners.as_slice() else { panic!("{conf:?}") };
    assert_eq!((only.host.as_deref(), only.port), (Some("127.0.0.1"), 1884));
}

#[test]
fn what_keeps_somebody_out_in_mosquitto_is_an_error_and_not_passed_over() {
    let open = "listener 1 localhost\nallow_anonymous true";
    for (line, part) in [
        ("clientid_prefixes a", "let in whom it keeps out"),
        ("plugin /usr/lib/x.so", "plugins"),
        ("auth_opt_host x", "plugins"),
        ("mount_point a/", "other topics"),
        ("crlfile x", "revoked"),
        ("psk_file x", "keys without"),
        ("per_listener_settings true\nlistener 2", "the same at all"),
        ("protocol websockets", "websockets is not supported"),
        ("require_certificate true", "needs certfile"),
        ("certfile c", "certfile without keyfile"),
        ("keyfile c", "keyfile without certfile"),
        ("listener 0 /run/m.sock", "unix socket"),
        ("listener 2 ::\nlistener 2 127.0.0.1", "a listener before has its address and port"),
        ("listener 2 10.0.0.1\nlistener 2 10.0.0.1", "a listener before has its address and port"),
        (
            "certfile c\nkeyfile k\nlistener 2\ncertfile other\nkeyfile k",
            "all listeners with TLS have one certfile",
        ),
        ("use_subject_as_username true", "not supported"),
        ("persistent_client_expiration 2", "a number with h, d, w, m or y"),
        ("persistence perhaps", "persistence"),
    ] {
        let (_, told) = conf(&format!("{open}\n{line}"));
        assert!(told.iter().any(|text| text.contains("error") && text.contains(part)), "{line}: {told:?}");
    }
}

#[test]
fn who_may_come_in_is_told_where_it_is_nobody_or_everybody() {
    for (text, part) in [
        ("listener 1883 localhost", "trap: nobody may come in"),
        ("listener 1883\nallow_anonymous true", "trap: allow_anonymous true without acl_file"),
        ("listener 1883\ncertfile c\nkeyfile k\ncafile a\nrequire_certificate true", "trap: the common name"),
    ] {
        let (_, told) = conf(text);
        assert!(matches!(told.as_slice(), [only] if only.contains(part)), "{text}: {told:?}");
    }
    for text in [
        "listener 1883 ::1\nallow_anonymous true",
        "listener 1883\npassword_file p",
        "password_file p\nlistener 1 127.0.0.1\nlistener 1 ::1\nlistener 2 127.0.0.1\nlistener 1 broker.example",
        "per_listener_settings true\nlistener 1883\npassword_file p",
    ] {
        assert_eq!(conf(text).1, <[String; 0]>::default(), "{text}");
    }
}

#[test]
fn a_change_of_files_is_told_from_one_of_places() {
    let of = |text: &str| conf(text).0;
    let before = of("listener 1883\npassword_file p");
    assert!(before.differs_in_files_alone(&of("listener 1883\npassword_file q\nacl_file a")));
    assert!(!before.differs_in_files_alone(&of("listener 1884\npassword_file p")));
    assert!(!before.differs_in_files_alone(&of("listener 1883\npassword_file p\nmax_connections 5")));
    assert!(!before.differs_in_files_alone(&of("listener 1883\ncertfile c\nkeyfile k\npassword_file p")));
}
