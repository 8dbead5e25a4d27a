//! Options of a mosquitto.conf, as Mosquitto 2.0 and later know them, and the nearest one to a word that is none of them. Pure.

/// Options of a connection. Mosquitto refuses them before the first one.
const OF_A_CONNECTION: &[&str] = &[
    "address",
    "addresses",
    "bridge_alpn",
    "bridge_attempt_unsubscribe",
    "bridge_bind_address",
    "bridge_cafile",
    "bridge_capath",
    "bridge_certfile",
    "bridge_ciphers",
    "bridge_ciphers_tls1.3",
    "bridge_identity",
    "bridge_insecure",
    "bridge_keyfile",
    "bridge_max_packet_size",
    "bridge_max_topic_alias",
    "bridge_outgoing_retain",
    "bridge_protocol_version",
    "bridge_psk",
    "bridge_receive_maximum",
    "bridge_reload_type",
    "bridge_require_ocsp",
    "bridge_session_expiry_interval",
    "bridge_tcp_keepalive",
    "bridge_tcp_user_timeout",
    "bridge_tls_use_os_certs",
    "bridge_tls_version",
    "cleansession",
    "clientid",
    "idle_timeout",
    "keepalive_interval",
    "local_cleansession",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "notifications",
    "notifications_local_only",
    "password",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "restart_timeout",
    "round_robin",
    "start_type",
    "threshold",
    "topic",
    "try_private",
    "username",
];

/// Options of the broker and of its listeners, which may stand anywhere.
const OF_THE_BROKER: &[&str] = &[
    "accept_protocol_versions",
    "acl_file",
    "allow_anonymous",
    "allow_duplicate_messages",
    "allow_zero_length_clientid",
    "auth_plugin",
    "auth_plugin_deny_special_chars",
    "auto_id_prefix",
    "autosave_interval",
    "autosave_on_changes",
    "bind_address",
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "check_retain_source",
    "ciphers",
    "ciphers_tls1.3",
    "clientid_prefixes",
    "connection",
    "connection_messages",
    "crlfile",
    "dhparamfile",
    "disable_client_cert_date_checks",
    "enable_control_api",
    "enable_proxy_protocol",
    "global_max_clients",
    "global_max_connections",
    "global_plugin",
    "http_dir",
    "include_dir",
    "keyfile",
    "listener",
    "log_dest",
    "log_facility",
    "log_timestamp",
    "log_timestamp_format",
    "log_type",
    "max_connections",
    "max_inflight_bytes",
    "max_inflight_messages",
    "max_keepalive",
    "max_packet_size",
    "max_qos",
    "max_queued_bytes",
    "max_queued_messages",
    "max_topic_alias",
    "max_topic_alias_broker",
    "maximum_qos",
    "memory_limit",
    "message_size_limit",
    "mount_point",
    "password_file",
    "per_listener_settings",
    "persistence",
    "persistence_file",
    "persistence_location",
    "persistent_client_expiration",
    "pid_file",
    "plugin",
    "plugin_load",
    "plugin_use",
    "port",
    "protocol",
    "proxy_protocol_v2_require_tls",
    "psk_file",
    "psk_hint",
    "queue_qos0_messages",
    "require_certificate",
    "retain_available",
    "retained_persistence",
    "retry_interval",
    "set_tcp_nodelay",
    "socket_domain",
    "sys_interval",
    "tls_engine",
    "tls_engine_kpass_sha1",
    "tls_keyform",
    "tls_version",
    "upgrade_outgoing_qos",
    "use_identity_as_username",
    "use_subject_as_username",
    "use_username_as_clientid",
    "user",
    "websockets_headers_size",
    "websockets_log_level",
    "websockets_origin",
];

/// Beginnings of options whose end a plugin knows.
const OF_A_PLUGIN: [&str; 2] = ["auth_opt_", "plugin_opt_"];

/// Letters that may differ for a word to be taken for another one.
const TYPOS_MAX: usize = 2;
/// Longest word that is compared: no option is longer.
const WORD_BYTES_MAX: usize = 40;

/// Returns whether the word is an option of a connection.
pub fn is_of_a_connection(word: &str) -> bool {
    OF_A_CONNECTION.contains(&word)
}

/// Returns whether the word is an option of the broker, of a listener or of a plugin.
pub fn is_of_the_broker(word: &str) -> bool {
    OF_THE_BROKER.contains(&word) || OF_A_PLUGIN.iter().any(|beginning| word.starts_with(beginning))
}

/// Says that Mosquitto has no such option, and which one may be meant.
pub fn unknown(word: &str) -> String {
    let no = "no option of Mosquitto";
    match nearest(word) {
        Some(meant) => format!("{no}: did you mean \"{meant}\"?"),
        None => no.to_owned(),
    }
}

/// Returns whether the word may be a misspelt beginning of a section, without which the lines behind it belong to another one.
pub fn may_begin_a_section(word: &str) -> bool {
    let is_known = is_of_a_connection(word) || is_of_the_broker(word);
    !is_known && matches!(nearest(word), Some("connection" | "listener"))
}

/// The option that differs by the fewest letters, if it is by few of them.
fn nearest(word: &str) -> Option<&'static str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    // A short word is near to many: one letter in three may differ.
    let most = TYPOS_MAX.min(word.len() / 3);
    let options = OF_A_CONNECTION.iter().chain(OF_THE_BROKER);
    let near = options.map(|option| (typos(&word, option), *option)).filter(|(typos, _)| *typos <= most);
    near.min_by_key(|(typos, _)| *typos).map(|(_, option)| option)
}

/// The Levenshtein distance, in bytes.
fn typos(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, byte) in from.bytes().enumerate() {
        let (mut diagonal, mut left) = (at, at + 1);
        let mut next = vec![left];
        for (other, above) in to.bytes().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(byte != other)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_has_its_option_named() {
        for (word, meant) in [
            ("topc", Some("topic")),
            ("conection", Some("connection")),
            ("adress", Some("address")),
            ("Topic", Some("topic")),
            ("bridge_ca_file", Some("bridge_cafile")),
            ("notification", Some("notifications")),
            ("lissener", Some("listener")),
            ("frobnicate", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word), meant, "{word}");
        }
        assert_eq!(nearest(&"topic".repeat(100)), None);
        assert!(may_begin_a_section("connecton") && may_begin_a_section("lissener"));
        assert!(!["connection", "listener", "conections_max", "adress"].into_iter().any(may_begin_a_section));
        assert_eq!((typos("kitten", "sitting"), typos("", "ab"), typos("ab", "")), (3, 2, 2));
    }

    #[test]
    fn each_option_is_of_one_kind() {
        assert!(OF_A_CONNECTION.iter().all(|word| is_of_a_connection(word) && !is_of_the_broker(word)));
        assert!(OF_THE_BROKER.iter().all(|word| is_of_the_broker(word) && !is_of_a_connection(word)));
        assert!(is_of_the_broker("auth_opt_db_host") && is_of_the_broker("plugin_opt_x"));
        assert!(!is_of_the_broker("topc") && !is_of_a_connection("bridge_new_thing"));
    }
}
