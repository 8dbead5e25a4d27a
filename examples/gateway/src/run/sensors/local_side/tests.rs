//! Keys of `[local]` beside the listener's configuration that they become.

use std::path::Path;

use super::*;

/// Each number is another one, so that two that change places are found.
const KEYS: &str = r#"
listen = "127.0.0.1:1"
accept_control_characters = true
accept_mqtt_3_1 = true
max_connections = 1101
max_packet = "102KiB"
max_memory = "103MiB"
max_queued_messages = 104
max_queued_bytes = "105KiB"
max_inflight_messages = 106
max_unread = "107KiB"
max_subscriptions = 108
max_rate = "109KiB"
max_retained_messages = 110
max_retained_bytes = "111KiB"
max_session_expiry = "112s"
max_keep_alive = "113s"
min_keep_alive = "14s"
sys_interval = 115
"#;

/// Returns the configuration of a listener with these keys in `[local]`, and with an own topic.
fn listener(keys: &str) -> edge_bridge::listener::Config {
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\n{keys}\n[hub]\nurl = \"mqtt://hub\"\n[[route]]\nmatch = \"#\"\n"
    );
    let (config, _) = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap();
    let Local::Listen { accept_control_characters, accept_mqtt_3_1, limits, .. } = config.local else {
        panic!("it listens")
    };
    listener_config(&limits, (accept_control_characters, accept_mqtt_3_1), vec!["own/#".to_owned()])
}

#[test]
fn each_key_of_a_limit_is_the_limit_of_its_name() {
    let found = listener(KEYS);
    let mut expected = edge_bridge::listener::Config::default();
    expected.max_connections = 1101;
    expected.max_sessions = 2202;
    expected.session.limits = expected.session.limits.with_max_packet_size(102 << 10);
    expected.session.limits.accept_mqtt_3_1 = true;
    expected.session_expiry_max_s = 112;
    expected.keep_alive_max_s = 113;
    expected.keep_alive_min_s = 14;
    expected.max_subscriptions = 108;
    expected.max_retained = 110;
    expected.max_retained_bytes = 111 << 10;
    expected.max_saved_bytes = 1 << 20;
    expected.max_memory = 103 << 20;
    expected.max_queued = 104;
    expected.max_queued_bytes = 105 << 10;
    expected.max_queued_bytes_total = usize::MAX;
    expected.max_in_flight = 106;
    expected.max_unwritten_bytes = 107 << 10;
    expected.max_bytes_per_s = Some(109 << 10);
    expected.accept_control_characters = true;
    expected.own_topics = vec!["own/#".to_owned()];
    expected.sys_interval_s = 115;
    assert_eq!(format!("{found:#?}"), format!("{expected:#?}"));
}

/// Without a key: the limits that the reference names.
#[test]
fn without_keys_the_limits_are_those_of_the_reference() {
    let found = listener("listen = \"127.0.0.1:1\"");
    let mut expected = edge_bridge::listener::Config::default();
    expected.max_memory = 8 << 20;
    expected.max_queued_bytes_total = usize::MAX;
    expected.own_topics = vec!["own/#".to_owned()];
    assert_eq!(format!("{found:#?}"), format!("{expected:#?}"));
}
