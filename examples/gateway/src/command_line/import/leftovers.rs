//! Lines of a mosquitto.conf that become no key of gateway.toml: the reason, by the line's option.

use mosquitto_conf::conf::Line;
use mosquitto_conf::values::boolean;

use super::output::{Output, Part};

/// Severity of an option that is not carried over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// A comment, because its loss has no effect.
    Comment,
    /// A warning, because the operator has to judge its loss.
    Warning,
    /// A warning if the value is `true`, else a comment.
    WarningIfTrue,
    /// A warning if the value is `false`, else a comment.
    WarningIfFalse,
}

use Weight::{Comment, Warning, WarningIfFalse, WarningIfTrue};

/// Options of a connection, with the importance and the reason of each.
const OF_A_CONNECTION: &[(&[&str], Weight, &str)] = &[
    (
        &["bridge_insecure"],
        WarningIfTrue,
        "the hub's name is always checked against its certificate; for another name there is [hub] tls_server_name",
    ),
    (
        &["bridge_capath"],
        Warning,
        "put the certificates into one file and name it as `ca`; without it those of the system are trusted",
    ),
    (&["bridge_psk", "bridge_identity"], Warning, "keys without certificates are not supported"),
    (&["bridge_require_ocsp"], WarningIfTrue, "OCSP is not supported"),
    (
        &["bridge_tls_version", "bridge_ciphers", "bridge_ciphers_tls1.3"],
        Comment,
        "TLS 1.3 or 1.2 with ciphers that are safe, as the hub has them",
    ),
    (
        &["bridge_tls_use_os_certs"],
        Comment,
        "the authorities of the system are trusted where `ca` names none",
    ),
    (&["bridge_outgoing_retain"], WarningIfFalse, "messages keep their retain flag"),
    (
        &["bridge_bind_address", "bridge_tcp_keepalive", "bridge_tcp_user_timeout"],
        Comment,
        "the system chooses the way, and a lost link is noticed by unanswered messages",
    ),
    (
        &["bridge_max_packet_size"],
        Comment,
        "the hub's own limit holds: what is above it is parked, not dropped",
    ),
    (&["bridge_max_topic_alias"], Comment, "topic aliases are used as far as the hub takes them"),
    (
        &["bridge_receive_maximum", "bridge_session_expiry_interval", "bridge_attempt_unsubscribe"],
        Comment,
        "of messages from the hub: [[command]] has bounds of its own",
    ),
    (&["bridge_reload_type"], Comment, "a gateway takes a new file at its start"),
    (
        &["notifications", "notifications_local_only", "notification_topic"],
        Comment,
        "with [status] to_hub = true the hub is told on edge/alive/ID, 1 or 0, and no more on $SYS/broker/connection/NAME/state; local clients of the gateway's listener read the state of its link at $SYS/broker/connection/CLIENT_ID/state; [metrics] listen has it, and /readyz",
    ),
    (&["restart_timeout"], Comment, "the gateway dials again soon, then ever more rarely, by its own rule"),
    (
        &["try_private"],
        Comment,
        "the gateway is a plain client of the hub; over MQTT 5 it asks for nothing of its own back",
    ),
    (&["start_type"], Comment, "the gateway connects at its start and stays connected"),
    (&["idle_timeout", "threshold"], Comment, "of start_type lazy: the gateway stays connected"),
    (&["local_cleansession"], Comment, "the gateway keeps its session at a broker"),
    (
        &["local_clientid", "local_username", "local_password"],
        Comment,
        "of the bridge as a client of its own broker",
    ),
    (&["cleansession"], Comment, "messages of an outage are in the gateway's queue"),
    (&["round_robin"], Comment, "there is one address"),
    (&["bridge_alpn"], Warning, "only with TLS"),
];

/// Options of the broker and of its listeners, with the importance and the reason of each.
const OF_THE_BROKER: &[(&[&str], Weight, &str)] = &[
    (
        &[
            "autosave_on_changes",
            "persistence",
            "persistence_file",
            "persistence_location",
            "persistent_client_expiration",
            "retained_persistence",
        ],
        Comment,
        "the queue is on disk in any case, in the directory of `--state`",
    ),
    (&["queue_qos0_messages"], Comment, "messages of QoS 0 are queued as all others are"),
    (&["include_dir"], Comment, "the lines of its files are here, each with its own file"),
    (&["user", "pid_file"], Comment, "a matter of systemd or of the container"),
    (
        &[
            "log_dest",
            "log_facility",
            "log_timestamp",
            "log_timestamp_format",
            "log_type",
            "connection_messages",
            "websockets_log_level",
        ],
        Comment,
        "the log goes to standard error; RUST_LOG chooses how much",
    ),
    (&["per_listener_settings"], WarningIfTrue, "users and rights are the same at all addresses"),
    (
        &["auth_plugin", "global_plugin", "plugin", "plugin_load", "plugin_use"],
        Warning,
        "plugins are not supported: password_file and acl_file say who may do what",
    ),
    (&["psk_file", "psk_hint"], Warning, "keys without certificates are not supported"),
    (&["capath"], Warning, "put the certificates into one file and name it as `client_ca`"),
    (
        &["crlfile"],
        Warning,
        "name it as `client_crl`, beside `client_ca`: unlike Mosquitto's, a list that is out of date still counts there",
    ),
    (
        &["check_retain_source"],
        WarningIfTrue,
        "not supported: a retained message stays when whoever sent it loses the right to its topic",
    ),
    (&["mount_point"], Warning, "not supported: topics of clients stay as they are"),
    (&["clientid_prefixes"], Warning, "not supported: it would let in whom it keeps out"),
    (
        &["use_subject_as_username", "use_username_as_clientid"],
        WarningIfTrue,
        "not supported: a certificate's common name is its user",
    ),
    (&["bind_interface", "socket_domain"], Warning, "not supported: name an address behind the port"),
    (
        &["memory_limit", "max_inflight_bytes"],
        Comment,
        "[local] max_memory bounds what all clients together may hold",
    ),
];

/// Writes comments for the remaining lines of a connection.
pub(super) fn of_the_connection(lines: &[Line], output: &mut Output) {
    for line in lines {
        leave(Part::Hub, line, OF_A_CONNECTION, "the gateway has no such setting", output);
    }
}

/// Writes comments for the remaining lines of the broker. `listens` is set if the gateway replaces the broker.
pub(super) fn of_the_broker(lines: &[Line], listens: bool, output: &mut Output) {
    for line in lines {
        // These two are not the broker's alone.
        if listens || matches!(line.word.as_str(), "include_dir" | "queue_qos0_messages") {
            leave(Part::Rest, line, OF_THE_BROKER, "the gateway has no such setting", output);
        } else {
            output.leave(Part::Rest, line, "of the local broker, which stays");
        }
    }
}

/// Writes comments for the remaining lines of a listener that becomes the gateway's.
pub(super) fn of_a_listener(lines: &[Line], output: &mut Output) {
    for line in lines {
        leave(Part::Local, line, OF_THE_BROKER, "the gateway has no such setting", output);
    }
}

fn leave(part: Part, line: &Line, reasons: &[(&[&str], Weight, &str)], else_why: &str, output: &mut Output) {
    let reason = reasons.iter().find(|(words, ..)| words.contains(&line.word.as_str()));
    let (weight, why) = reason.map_or((Comment, else_why), |(_, weight, why)| (*weight, *why));
    let says = |wanted: bool| boolean(&line.value).is_ok_and(|is| is == wanted);
    let warns = match weight {
        Comment => line.word.starts_with("auth_opt_") || line.word.starts_with("plugin_opt_"),
        Warning => true,
        // What is neither is a mistake, which Mosquitto would refuse.
        WarningIfTrue => !says(false),
        WarningIfFalse => !says(true),
    };
    if warns {
        output.leave_with_warning(part, line, why);
    } else {
        output.leave(part, line, why);
    }
}

#[cfg(test)]
mod tests {
    use mosquitto_conf::words;

    use super::*;

    #[test]
    fn each_reason_is_of_an_option_that_there_is() {
        for word in OF_A_CONNECTION.iter().flat_map(|(words, ..)| *words) {
            assert!(words::is_of_a_connection(word), "{word}");
        }
        for word in OF_THE_BROKER.iter().flat_map(|(words, ..)| *words) {
            assert!(words::is_of_the_broker(word), "{word}");
        }
    }
}
