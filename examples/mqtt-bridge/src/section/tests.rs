use std::path::Path;
use std::sync::Arc;

use edge_bridge::wire::QoS;

use super::*;
use crate::findings::Severity;

fn conf(text: &str) -> (Conf, Findings) {
    let (mut findings, file) = (Findings::default(), Arc::<Path>::from(Path::new("b.conf")));
    let line = |(at, line): (usize, &str)| {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        Line {
            place: Place { file: file.clone(), line: at + 1 },
            word: word.to_owned(),
            value: value.trim().to_owned(),
        }
    };
    let lines: Vec<_> = text.lines().enumerate().map(line).collect();
    let conf = parse(&lines, &mut findings);
    (conf, findings)
}

fn errors(text: &str) -> Vec<String> {
    let (_, findings) = conf(text);
    findings.iter().filter(|finding| finding.severity == Severity::Error).map(ToString::to_string).collect()
}

const LEAST: &str = "connection up\naddress hub\ntopic # out\n";

#[test]
fn the_least_that_is_a_bridge_has_mosquittos_defaults() {
    let (conf, findings) = conf(LEAST);
    assert_eq!(findings, Findings::default());
    let [section] = conf.sections.as_slice() else { panic!("{conf:?}") };
    assert_eq!((section.name.as_str(), section.addresses.as_slice()), ("up", &["hub:1883".to_owned()][..]));
    assert_eq!((section.keep_alive_s, section.round_robin, section.notifications), (60, false, true));
    assert_eq!(section.topics[0].rule.qos(), QoS::AtMostOnce);
}

#[test]
fn addresses_of_all_forms() {
    for (text, expected) in [
        ("h", vec!["h:1883"]),
        ("h:8883 i", vec!["h:8883", "i:1883"]),
        ("::1:1884", vec!["[::1]:1884"]),
        ("[fe80::1]:1884 # main", vec!["[fe80::1]:1884"]),
        ("10.0.0.1 hub.example:1", vec!["10.0.0.1:1883", "hub.example:1"]),
    ] {
        let (conf, findings) = conf(&format!("connection up\naddresses {text}\ntopic # out"));
        assert_eq!(
            (conf.sections[0].addresses.clone(), findings.count(Severity::Error)),
            (expected.iter().map(|&a| a.to_owned()).collect(), 0)
        );
    }
    for text in
        ["h:", "h:x", ":1", "h:0", "h:70000", "::1", "a:1,b:2", "a,b", "h:1883:5", "127.0.0.1 1884", "\"h\""]
    {
        assert_eq!(
            errors(&format!("connection up\naddress {text}\ntopic # out")).len(),
            2,
            "{text}: and none is left"
        );
    }
}

#[test]
fn topics_of_all_forms() {
    let filters = |line: &str| {
        let (conf, findings) = conf(&format!("connection up\naddress h\ntopic {line}"));
        assert_eq!(findings, Findings::default(), "{line}");
        let rule = conf.sections[0].topics[0].rule.clone();
        (
            rule.local_filter().map(ToString::to_string),
            rule.remote_filter().map(ToString::to_string),
            rule.qos() as u8,
        )
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(filters("a/#"), (some("a/#"), None, 0));
    assert_eq!(filters("a/# IN 2 # commands"), (None, some("a/#"), 2));
    assert_eq!(filters("a out 01"), (some("a"), None, 1));
    assert_eq!(filters("a/# out 1 l/ r/ one more"), (some("l/a/#"), None, 1));
    assert_eq!(filters("a both 1 l/ r/"), (some("l/a"), some("r/a"), 1));
    assert_eq!(filters("\"\" both 1 l/t r/t"), (some("l/t"), some("r/t"), 1));
    assert_eq!(filters("a out 1 \"\" r/"), (some("a"), None, 1));
    assert_eq!(filters("a in 1 \"\" r/"), (None, some("r/a"), 1));
}

#[test]
fn each_error_names_its_line() {
    for (line, error) in [
        ("topic a sideways", "topic: \"sideways\" is not a direction: out, in or both"),
        ("topic a out 3", "topic: \"3\" is not a QoS: 0, 1 or 2"),
        ("topic", "topic: has no value"),
        ("notifications yes", "notifications: \"yes\" is neither true nor false"),
        ("keepalive_interval 70000", "keepalive_interval: \"70000\" is no number that it takes"),
        ("restart_timeout 9 3", "restart_timeout: the second value is lower than the first"),
        (
            "bridge_protocol_version mqttv31",
            "bridge_protocol_version: MQTT 3.1 is not supported: mqttv311 or mqttv50",
        ),
        ("start_type manual", "start_type: not supported, by Mosquitto either"),
        ("bridge_receive_maximum 0", "bridge_receive_maximum: \"0\" is no number that it takes"),
        (
            "bridge_cafile ca\nbridge_tls_version tlsv9",
            "bridge_tls_version: \"tlsv9\" is no version: tlsv1.3 or tlsv1.2",
        ),
        ("address other", "address: the connection has addresses already"),
        ("connection up", "connection: \"up\" is there twice"),
    ] {
        let number = 3 + line.lines().count();
        assert_eq!(errors(&format!("{LEAST}{line}")), [format!("b.conf:{number}: error: {error}")]);
    }
    assert_eq!(
        errors("topic # out"),
        ["b.conf:1: error: topic: stands before the first connection of its file"]
    );
    assert_eq!(errors("connection up").len(), 2);
    for keys in ["bridge_cafile ca\nbridge_certfile c", "remote_password x"] {
        assert_eq!(errors(&format!("{LEAST}{keys}")).len(), 1, "{keys}");
    }
}

#[test]
fn each_line_that_has_no_effect_is_said_once() {
    let text = format!(
        "persistence true\n{LEAST}bridge_tcp_keepalive 1\nqueue_qos0_messages false\nstart_type lazy\nbridge_bind_address ::1\nlistener 1883\nallow_anonymous true\nidle_timeout 5\nauth_opt_x 1\n"
    );
    let (_, findings) = conf(&text);
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| (finding.severity, finding.place.as_ref().map_or(0, |place| place.line)))
        .collect();
    assert_eq!(lines, [1, 5, 6, 7, 8, 9, 10, 11, 12].map(|line| (Severity::Ignored, line)));
}

#[test]
fn values_that_a_file_sets_are_taken() {
    let (conf, findings) = conf(&format!(
        "{LEAST}max_queued_messages 100000\nmax_inflight_messages 0\nkeepalive_interval 1\nrestart_timeout 10\nround_robin 1\ncleansession true\n\
         bridge_protocol_version mqttv50\nbridge_session_expiry_interval 0x15180\nremote_username u\nremote_password p q\nbridge_outgoing_retain false"
    ));
    assert_eq!(findings, Findings::default());
    let section = &conf.sections[0];
    assert_eq!(
        conf.limits.max_queued_messages.as_ref().map(|(place, most)| (place.line, *most)),
        Some((4, 100_000))
    );
    assert_eq!(section.keep_alive_s, 5);
    assert_eq!(section.restart, Some((Duration::from_millis(250), Duration::from_secs(10))));
    assert!(
        section.round_robin
            && !section.outgoing_retain
            && section.clean_session.as_ref().is_some_and(|(_, clean)| *clean)
    );
    assert_eq!((section.protocol, section.session_expiry_s), (Protocol::V5, Some(86_400)));
    assert_eq!(section.remote_login.password.as_deref(), Some("p q"));
    assert!(!format!("{section:?}").contains("p q"));
}

#[test]
fn a_line_about_tls_without_a_ca_is_an_error_at_that_line() {
    for keys in [
        "bridge_tls_version tlsv1.2",
        "bridge_certfile c\nbridge_keyfile k",
        "bridge_alpn x",
        "bridge_ciphers HIGH",
    ] {
        let word = keys.split(' ').next().unwrap();
        let expected = format!("b.conf:4: error: {word}: TLS without bridge_cafile");
        let errors = errors(&format!("{LEAST}{keys}"));
        assert!(matches!(errors.as_slice(), [error] if error.starts_with(&expected)), "{errors:?}");
    }
    assert_eq!(errors(&format!("{LEAST}bridge_cafile ca\nbridge_insecure true")).len(), 1);
    for keys in [
        "bridge_insecure false",
        "bridge_require_ocsp 0",
        "bridge_tls_use_os_certs false",
        "bridge_tls_use_os_certs true\nbridge_alpn x",
    ] {
        assert_eq!(errors(&format!("{LEAST}{keys}")), Vec::<String>::new());
    }
    assert_eq!(errors(&format!("{LEAST}bridge_tls_version tlsv1.2\nbridge_cafile ca")), Vec::<String>::new());
}

#[test]
fn a_word_that_is_no_option_is_an_error_wherever_it_stands() {
    for (text, error) in [
        ("topc # out".to_owned(), "b.conf:1: error: topc: no option of Mosquitto: did you mean \"topic\"?"),
        (
            format!("{LEAST}conection other\n"),
            "b.conf:4: error: conection: no option of Mosquitto: did you mean \"connection\"?",
        ),
        (format!("{LEAST}bridge_new_thing 1\n"), "b.conf:4: error: bridge_new_thing: no option of Mosquitto"),
        (
            "password x".to_owned(),
            "b.conf:1: error: password: stands before the first connection of its file",
        ),
    ] {
        assert!(errors(&text).iter().any(|said| said == error), "{text}: {:?}", errors(&text));
    }
}

#[test]
fn the_name_of_a_connection_is_one_word() {
    let (read, findings) = conf(&LEAST.replace("connection up", "connection up # to the hub"));
    assert_eq!((read.sections[0].name.as_str(), findings), ("up", Findings::default()));
    assert_eq!(
        errors(&format!("{LEAST}connection up # again\n")),
        ["b.conf:4: error: connection: \"up\" is there twice"]
    );
    let long = |end: char| format!("connection {}{end}\naddress h\ntopic # out\n", "ä".repeat(33));
    assert_eq!(errors(&format!("{}{}", long('a'), long('b'))), Vec::<String>::new());
    let longer = errors(&LEAST.replace("up", &"ä".repeat(34)));
    assert!(longer[0].starts_with("b.conf:1: error: connection: the name is too long"), "{longer:?}");
    assert_eq!(errors(&format!("{LEAST}connection ")), ["b.conf:4: error: connection: has no value"]);
}

#[test]
fn a_section_is_of_one_file() {
    let line = |file: &str, word: &str, value: &str| Line {
        place: Place { file: Arc::from(Path::new(file)), line: 1 },
        word: word.to_owned(),
        value: value.to_owned(),
    };
    let mut lines = vec![
        line("m.conf", "connection", "up"),
        line("m.conf", "address", "hub"),
        line("d/a.conf", "connection", "other"),
        line("d/a.conf", "address", "far"),
        line("d/a.conf", "topic", "a"),
        line("m.conf", "topic", "b"),
    ];
    let mut findings = Findings::default();
    let conf = parse(&lines, &mut findings);
    assert_eq!(findings, Findings::default());
    let topics: Vec<_> = conf.sections.iter().map(|section| section.topics[0].rule.pattern()).collect();
    assert_eq!(topics, ["b", "a"]);
    lines.push(line("d/b.conf", "topic", "c"));
    parse(&lines, &mut findings);
    let errors: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["d/b.conf:1: error: topic: stands before the first connection of its file"]);
}
