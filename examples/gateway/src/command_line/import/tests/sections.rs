//! What each kind of line becomes, held against the gateway's own reader.

use super::Site;

/// Least that is a configuration.
const LEAST: &str = "connection up\naddress hub.example\nremote_clientid gw14\ntopic plant/# out 1\n";
const TLS: &str = "connection up\naddress hub.example:8883\nbridge_cafile DIR/ca.crt\nremote_clientid gw14\ntopic plant/# out 1\n";

/// Lines, a part of what they become, and a part of the warning, if there is one. The lines stand behind `LEAST`, which has four.
const LINES: [(&str, &str, &str); 74] = [
    ("keepalive_interval 30", "keep_alive = \"30s\"  # M:5", ""),
    ("keepalive_interval 1", "keep_alive = \"5s\"  # M:5", ""),
    ("keepalive_interval soon", "M:5 not carried over: keepalive_interval soon", "no number"),
    ("bridge_protocol_version mqttv311", "protocol = \"3.1.1\"", ""),
    ("bridge_protocol_version mqttv31", "M:5 not carried over", "MQTT 3.1 is not supported"),
    (
        "topic cmd/# in 1\nbridge_protocol_version mqttv50",
        "protocol = \"5\"",
        "commands of an outage were lost",
    ),
    ("cleansession true", "M:5 not carried over: cleansession true", "loses the messages of an outage"),
    ("cleansession false", "M:5 not carried over: cleansession false", ""),
    (
        "remote_username me\nremote_password hush",
        "user = \"me\"  # M:5\npassword_file = \"hub.password\"",
        "the password goes into the file",
    ),
    ("remote_username me", "M:5 not carried over: remote_username me", "belong together"),
    (
        "local_username me\nlocal_password hush",
        "broker_user = \"me\"  # M:5\nbroker_password_file = \"local.password\"",
        "the password goes into the file that broker_password_file names",
    ),
    ("local_username me", "M:5 not carried over: local_username me", "belong together"),
    (
        "listener 1884 127.0.0.1\nlocal_username me\nlocal_password hush",
        "M:6 not carried over: local_username me: of the bridge as a client of its own broker",
        "",
    ),
    (
        "notifications true",
        "M:5 not carried over: notifications true: with [status] to_hub = true the hub is told on edge/alive/ID",
        "",
    ),
    ("restart_timeout 5 30", "M:5 not carried over: restart_timeout", ""),
    ("try_private false", "M:5 not carried over: try_private", ""),
    ("bridge_insecure true", "M:5 not carried over: bridge_insecure true", "always checked"),
    ("topic a/b out 2", "qos = 2", ""),
    ("topic a/b", "qos = 0", "QoS 0: what the gateway has stored"),
    (
        "topic hub/7/cmd/# in 1 \"\" cmd/",
        "M:5 not carried over: topic hub/7",
        "subscribes to \"cmd/hub/7/cmd/#\"",
    ),
    (
        "topic a/# both 1 \"\" s/",
        "[[route]]  # M:5\n# The way in of this line is not carried over",
        "the way in, from \"s/a/#\"",
    ),
    (
        "listener 1884 127.0.0.1\ntopic # in 1 cmd/ hub/7/cmd/",
        "[[command]]  # M:6\nmatch = \"hub/7/cmd/#\"\nto = \"cmd/#\"\ndelivery = \"at-least-once\"\nallow_unbounded = true\n",
        "M:6: warning: \"hub/7/cmd/#\": what is retained at the hub",
    ),
    (
        "listener 1884 127.0.0.1\ntopic \"\" in 2 a/b s/c",
        "match = \"s/c\"\nto = \"a/b\"\n",
        "delivery = \"at-most-once\"",
    ),
    (
        "listener 1884 127.0.0.1\ntopic a/# both 1 \"\" s/",
        "[[command]]  # M:6\nmatch = \"s/a/#\"\nto = \"a/#\"\n",
        "M:6: warning: \"s/a/#\": what is retained",
    ),
    (
        "listener 1884 127.0.0.1\ntopic # in 1",
        "M:6 not carried over: topic # in 1",
        "\"#\" is also where the ends of commands are told",
    ),
    (
        "listener 1884 127.0.0.1\ntopic # in 1 out/ s/",
        "M:6 not carried over: topic # in 1",
        "on out/# the gateway alone speaks",
    ),
    (
        "listener 1884 127.0.0.1\ntopic a in 1\ntopic a in 1",
        "M:7 not carried over: topic a in 1",
        "M:6 has these topics already",
    ),
    (
        "listener 1884 127.0.0.1\ntopic a/+ in 1\ntopic # in 1 x/ a/",
        "[[command]]  # M:7\nmatch = \"a/#\"\nto = \"x/#\"\ndelivery = \"at-least-once\"\nallow_unbounded = true\n\n[[command]]  # M:6\n",
        "what is retained",
    ),
    ("topic # out 1 line/ site7/line/", "match = \"line/#\"\nto = \"site7/\"", ""),
    ("topic # out 1 line/ site7/", "match = \"line/#\"\nto = \"site7/\"", "\"site7/line/…\""),
    ("topic \"\" out 1 a/b s/a/b", "match = \"a/b\"\nto = \"s/\"", ""),
    ("topic plant/# out 1 \"\" x/", "[[route]]  # M:5", "M:5 has these topics already"),
    ("topic a/# sideways 1", "M:5 not carried over: topic a/#", "not a direction"),
    ("frobnicate 7", "M:5 not carried over: frobnicate: ", "no option of Mosquitto"),
    ("remote_pasword hush", "M:5 not carried over: remote_pasword: ", "did you mean \"remote_password\""),
    ("max_queued_messages 100000", "max_messages = 100000  # M:5", "keeps the OLDEST"),
    ("max_queued_messages 0", "M:5 not carried over: max_queued_messages 0", ""),
    ("max_queued_bytes 33554432", "max_bytes = \"32MiB\"  # M:5", ""),
    ("max_queued_bytes 1000", "max_bytes = \"1MiB\"  # M:5", "none of a queue on disk"),
    ("max_inflight_messages 20", "window = 20  # M:5", ""),
    ("autosave_interval 1800", "ack_within = \"1s\"  # M:5: in Mosquitto: up to 1800 s are lost", ""),
    ("persistence true", "M:5 not carried over: persistence true", ""),
    ("allow_anonymous true", "broker = \"127.0.0.1:1883\"", ""),
    ("listener 1884 127.0.0.1", "listen = \"127.0.0.1:1884\"  # M:5", ""),
    ("listener 1884 127.0.0.1\npersistent_client_expiration 2w", "max_session_expiry = \"14d\"  # M:6", ""),
    (
        "listener 1884 127.0.0.1\npersistent_client_expiration soon",
        "M:6 not carried over: persistent_client_expiration soon",
        "h, d, w, m or y",
    ),
    ("listener 1884 127.0.0.1\nmax_keepalive 120", "max_keep_alive = \"120s\"  # M:6", ""),
    ("listener 1884 127.0.0.1\nmax_keepalive 0", "M:6 not carried over: max_keepalive 0", "never noticed"),
    (
        "listener 1884 127.0.0.1\nmax_queued_messages 5000",
        "max_queued_messages = 5000  # M:6: for each client",
        "keeps the OLDEST",
    ),
    (
        "listener 1884 127.0.0.1\nmax_queued_messages 0",
        "max_queued_messages = 100000  # M:6: for each client",
        "M:6: warning: max_queued_messages 0: there is a limit here, 100000 for each client",
    ),
    (
        "listener 1884 127.0.0.1\nmax_queued_messages 100001",
        "max_queued_messages = 100000  # M:6: for each client",
        "M:6: warning: max_queued_messages 100001: for each client 100000 at most",
    ),
    (
        "listener 1884 127.0.0.1",
        "max_session_expiry = \"7d\"  # no persistent_client_expiration: in Mosquitto a session never ends",
        "",
    ),
    (
        "listener 1884 127.0.0.1\ncheck_retain_source true",
        "M:6 not carried over: check_retain_source true",
        "loses the right to its topic",
    ),
    ("listener 1884 127.0.0.1\ncheck_retain_source false", "M:6 not carried over: check_retain_source", ""),
    ("listener 1884 127.0.0.1", "accept_mqtt_3_1 = true  # as Mosquitto does", ""),
    ("listener 1884 127.0.0.1\naccept_protocol_versions 4, 5", "accept_mqtt_3_1 = false  # M:6\n", ""),
    ("listener 1884 127.0.0.1\naccept_protocol_versions 3,4,5", "accept_mqtt_3_1 = true  # M:6\n", ""),
    (
        "listener 1884 127.0.0.1\naccept_protocol_versions 3",
        "accept_mqtt_3_1 = true  # M:6\n",
        "MQTT 3.1.1 and of MQTT 5 are always let in",
    ),
    (
        "listener 1884 127.0.0.1\naccept_protocol_versions six",
        "M:6 not carried over: accept_protocol_versions six",
        "\"six\" is none of 3, 4 and 5",
    ),
    ("listener 1884 127.0.0.1", "max_packet = \"256KiB\"  # no max_packet_size", ""),
    ("listener 1884 127.0.0.1", "max_subscriptions = 10000  # Mosquitto has no such limit", ""),
    ("listener 1884 127.0.0.1", "max_queued_bytes = \"6MiB\"  # ", ""),
    ("listener 1884 127.0.0.1", "max_retained_bytes = \"2MiB\"  # ", ""),
    (
        "listener 1883\nallow_anonymous true",
        "listen = \"0.0.0.0:1883\"  # M:5\nallow_anonymous = true  # M:6",
        "",
    ),
    ("listener 1883", "listen = \"127.0.0.1:1883\"  # M:5", "nobody may enter there"),
    ("port 1885\nbind_address ::1", "listen = \"[::1]:1885\"  # M:5, M:6", ""),
    (
        "listener 1883\npassword_file DIR/users\nacl_file DIR/acl\nmax_connections 50",
        "max_connections = 50  # M:8",
        "",
    ),
    ("listener 1883 localhost\nsys_interval 60", "sys_interval = 60  # M:6", ""),
    ("listener 1883 localhost\nsys_interval 0", "sys_interval = 0  # M:6", ""),
    ("listener 1883 localhost\nsys_interval often", "M:6 not carried over: sys_interval often", "often"),
    ("sys_interval 60", "M:5 not carried over: sys_interval 60: of the local broker", ""),
    ("listener 1883 localhost\nmax_packet_size 65536", "max_packet = \"64KiB\"  # M:6", ""),
    (
        "listener 1883 127.0.0.1\ncertfile DIR/own.crt\nkeyfile DIR/own.key\nport 1883\nbind_address ::1",
        "listen = \"[::1]:1883\"  # M:8, M:9",
        "another listener has this port",
    ),
    ("listener 9001 127.0.0.1\nprotocol websockets", "broker = ", "give ws_listen or wss_listen"),
];

#[test]
fn each_line_becomes_what_it_should_and_the_gateway_takes_it() {
    let site = Site::new();
    let file = site.0.path().join("m.conf").display().to_string();
    for (lines, part, warning) in LINES {
        let imported = site.import(&format!("{LEAST}{lines}\n"), None).unwrap();
        let text = imported.text.replace(&file, "M");
        let warnings = imported.warnings.join("\n").replace(&file, "M");
        if let Err(errors) = site.check(&imported.text) {
            panic!("{lines}: {errors}\n{text}");
        }
        assert!(text.contains(part), "{lines}: \"{part}\" is missing in\n{text}");
        assert_eq!(warning.is_empty(), warnings.is_empty(), "{lines}: {warnings}");
        assert!(warnings.contains(warning), "{lines}: {warnings}");
        assert!(!text.contains("hush") && !warnings.contains("hush"), "{lines}: a password is shown");
    }
}

#[test]
fn lines_about_tls_become_keys_of_the_hub() {
    let site = Site::new();
    let certificate = "bridge_certfile DIR/own.crt\nbridge_keyfile DIR/own.key\n";
    for (lines, part, warning) in [
        (certificate, "cert = ", ""),
        ("bridge_alpn mqtt\n", "alpn = [\"mqtt\"]", ""),
        ("bridge_certfile DIR/own.crt\n", "not carried over: bridge_certfile", "belong together"),
        ("bridge_tls_version tlsv1.2\n", "not carried over: bridge_tls_version", ""),
        ("bridge_tls_use_os_certs true\n", "m.conf:6", ""),
    ] {
        let imported = site.import(&format!("{TLS}{lines}"), None).unwrap();
        let config = site.check(&imported.text).unwrap_or_else(|errors| panic!("{lines}: {errors}"));
        assert_eq!(config.hub.url, "mqtts://hub.example:8883");
        assert!(config.hub.ca.is_some_and(|ca| ca.ends_with("ca.crt")));
        assert!(imported.text.contains(part), "{lines}: {}", imported.text);
        assert_eq!(warning.is_empty(), imported.warnings.is_empty(), "{lines}: {:?}", imported.warnings);
        assert!(imported.warnings.concat().contains(warning), "{:?}", imported.warnings);
    }
    let in_the_clear = LEAST.replace("hub.example", "hub.example:8883");
    let warnings = site.import(&in_the_clear, None).unwrap().warnings;
    assert!(warnings.concat().contains("the port of TLS"), "{warnings:?}");
    let without_ca = site.import(&format!("{LEAST}bridge_alpn mqtt\n"), None).unwrap();
    assert!(without_ca.text.contains("mqtts://hub.example:1883"));
    assert!(without_ca.warnings.concat().contains("in the clear"), "{:?}", without_ca.warnings);
}

#[test]
fn a_listener_with_tls_has_its_own_keys_and_a_second_one_of_a_kind_is_left() {
    let site = Site::new();
    let tls = "listener 8883\ncertfile DIR/own.crt\nkeyfile DIR/own.key\ncafile DIR/ca.crt\nrequire_certificate true\nuse_identity_as_username true\n";
    let text = format!("{LEAST}{tls}listener 1883 127.0.0.1\nlistener 1884 127.0.0.1\nmax_connections 5\n");
    let imported = site.import(&text, None).unwrap();
    site.check(&imported.text).unwrap();
    for part in ["tls_listen = \"0.0.0.0:8883\"", "listen = \"127.0.0.1:1883\"", "client_ca = "] {
        assert!(imported.text.contains(part), "{part}: {}", imported.text);
    }
    assert!(
        matches!(imported.warnings.as_slice(), [one] if one.contains(":12: warning: listener: one listener with TLS and one without")),
        "{:?}",
        imported.warnings
    );
    assert!(imported.text.contains(
        "m.conf:13 not carried over: max_connections 5: of a listener that the gateway does not have"
    ));
    // Without users who show certificates nobody would come in from elsewhere.
    let open = tls.replace("require_certificate true", "require_certificate false");
    let imported = site.import(&format!("{LEAST}{open}"), None).unwrap();
    assert!(imported.text.contains("tls_listen = \"127.0.0.1:8883\""), "{}", imported.text);
    site.check(&imported.text).unwrap();
}

/// It was: the last line of all listeners held, and whoever reached the other address came in without a user.
#[test]
fn an_address_is_not_opened_by_what_another_listener_says_of_clients_without_a_user() {
    let site = Site::new();
    let tls = "listener 8883\ncertfile DIR/own.crt\nkeyfile DIR/own.key\n";
    let plain = "listener 1883 127.0.0.1\nallow_anonymous true\n";
    let users = "password_file DIR/users\n";
    let asks = "cafile DIR/ca.crt\nrequire_certificate true\nuse_identity_as_username true\n";
    let (no, yes) = ("allow_anonymous false\n", "allow_anonymous true\n");
    let addresses = |a: &str, b: &str| vec![format!("tls_listen = \"{a}\""), format!("\nlisten = \"{b}\"")];
    let (both, narrow) =
        (addresses("0.0.0.0:8883", "127.0.0.1:1883"), addresses("127.0.0.1:8883", "127.0.0.1:1883"));
    let warned = "allow_anonymous: the key is of all addresses, and another listener lets nobody in";
    for (name, lines, is_open, addresses, warning) in [
        ("they disagree", format!("{tls}{no}{users}{plain}"), false, &both, warned),
        ("the other order", format!("{plain}{tls}{no}{users}"), false, &both, warned),
        ("the preset", format!("{tls}{users}{plain}"), false, &both, warned),
        ("given twice", format!("{tls}{yes}{no}{users}{plain}"), false, &both, warned),
        ("they agree", format!("{tls}{yes}{users}{plain}"), true, &both, ""),
        ("certificates name its users", format!("{tls}{asks}{plain}"), true, &both, ""),
        ("nobody may enter at one", format!("{tls}{no}{plain}"), true, &narrow, "nobody may enter there"),
        ("before all listeners", format!("{yes}{tls}{users}listener 1883 127.0.0.1\n"), false, &both, ""),
    ] {
        let imported = site.import(&format!("{LEAST}per_listener_settings true\n{lines}"), None).unwrap();
        site.check(&imported.text).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        assert_eq!(imported.text.contains("\nallow_anonymous = true"), is_open, "{name}: {}", imported.text);
        assert!(addresses.iter().all(|part| imported.text.contains(part)), "{name}: {}", imported.text);
        let warnings = imported.warnings.join("\n");
        assert!(warnings.contains("users and rights are the same at all addresses"), "{name}: {warnings}");
        assert!(warnings.contains(warning), "{name}: {warnings}");
        assert_eq!(warnings.contains(warned), warning == warned, "{name}: {warnings}");
        // Without the first line the last one holds for all, as in Mosquitto.
        let imported = site.import(&format!("{LEAST}{lines}{yes}"), None).unwrap();
        assert!(imported.text.contains("\nallow_anonymous = true"), "{name}: {}", imported.text);
    }
}

#[test]
fn several_addresses_and_the_first_rule_with_a_prefix_are_as_in_mosquitto() {
    let site = Site::new();
    let text = "connection up\naddresses a b:1884\nround_robin true\nremote_clientid g\ntopic x/# out 1\ntopic x/+ out 1 \"\" s/\n";
    let imported = site.import(text, None).unwrap();
    let config = site.check(&imported.text).unwrap();
    assert_eq!(
        (config.hub.url.as_str(), &*config.hub.further_urls),
        ("mqtt://a:1883", &["mqtt://b:1884".to_owned()][..])
    );
    assert!(!config.hub.failback);
    let filters: Vec<_> =
        config.routes.iter().map(|route| (route.filter_topic.as_str(), route.to.as_str())).collect();
    assert_eq!(filters, [("x/+", "s/"), ("x/#", "")], "the rule with a prefix names the topic");
}

#[test]
fn a_connection_without_a_client_identifier_gets_mosquittos_and_a_warning() {
    let site = Site::new();
    let imported = site.import(&LEAST.replace("remote_clientid gw14\n", ""), None).unwrap();
    let config = site.check(&imported.text).unwrap();
    assert_eq!((config.id.as_str(), config.hub.client_id.as_str()), ("gw14.up", "gw14.up"));
    assert!(imported.warnings.concat().contains("throw each other out"), "{:?}", imported.warnings);
}

#[test]
fn texts_of_the_file_stay_texts() {
    let site = Site::new();
    let text =
        LEAST.replace("gw14", "a\"b\\c${SITE}").replace("plant/# out 1", "plant/# out 1 \"\" h/${SITE}/");
    let imported = site.import(&text, None).unwrap();
    let config = site.check(&imported.text).unwrap();
    assert_eq!((config.hub.client_id.as_str(), config.routes[0].to.as_str()), ("a\"b\\cx", "h/x/"));
    let imported = site.import(&format!("{LEAST}topic b/# out 1 \"\" h/${{SITE/\n"), None).unwrap();
    site.check(&imported.text).unwrap();
    assert!(imported.warnings.concat().contains("without its \"}\""), "{:?}", imported.warnings);
}
