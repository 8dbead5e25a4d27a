//! Import of `[local]` from the listeners and users of a broker that the gateway replaces, or from the address of a broker that stays.

use mosquitto_conf::conf::Line;
use mosquitto_conf::values::{boolean, first, limit, number, session_time};

use super::access::ClientAccess;
use super::address::Address;
use super::hub::{login, path};
use super::leftovers;
use super::origin::Origin;
use super::output::{Output, Part, quoted, size};
use super::pools::Pool;

const PART: Part = Part::Local;
/// Address of a broker whose file names no listener.
const BROKER: &str = "127.0.0.1:1883";
const CONNECTIONS_MAX: u64 = 100_000;
const PACKET_BYTES: (u64, u64) = (1 << 10, 256 << 10);
/// Value of `max_session_expiry` without the key, which is written where Mosquitto has none.
const SESSION_PRESET: &str = "7d";
/// Most days of `max_session_expiry`.
const SESSION_DAYS_MAX: u64 = 3_650;
/// Keys whose preset is narrower than Mosquitto, which has no such limits: with values at the gateway's bounds, as far as those in bytes fit into
/// `max_memory` together.
const WITHOUT_A_LIMIT: [(&str, &str, &str); 4] = [
    (
        "max_queued_bytes",
        "\"6MiB\"",
        "Mosquitto has no such limit unless a line says so; all clients together have max_memory, 8 MiB without the key",
    ),
    ("max_subscriptions", "10000", "Mosquitto has no such limit"),
    ("max_retained_messages", "100000", "Mosquitto has no such limit"),
    ("max_retained_bytes", "\"2MiB\"", "Mosquitto has no such limit; of max_memory, 8 MiB without the key"),
];
/// Versions of MQTT as `accept_protocol_versions` has them: 3.1, 3.1.1 and 5.
const VERSIONS: [&str; 3] = ["3", "4", "5"];
/// Bounds of `max_keep_alive` in seconds.
const KEEP_ALIVE_S: (u64, u64) = (10, 18 * 3_600);
/// Bytes of a packet beside its payload, which are topic and properties.
const AROUND_A_PAYLOAD: u64 = 1 << 10;

/// Keys of the table that earlier listeners have used.
#[derive(Default)]
struct Taken {
    plain: bool,
    tls: bool,
    ports: Vec<u16>,
    max_connections: bool,
    /// Lines about versions of MQTT.
    versions: Vec<Line>,
}

/// Listener that the gateway takes over.
struct Accepted {
    /// Its number among the pools.
    number: usize,
    address: Address,
    has_tls: bool,
    /// Set if its clients must show certificates.
    asks_for_certificates: bool,
    pool: Pool,
}

/// Writes the table. Returns whether the gateway has a listener of its own.
pub(super) fn local(
    listeners: Vec<Pool>,
    access: ClientAccess,
    broker: &mut Pool,
    connection: &mut Pool,
    output: &mut Output,
) -> bool {
    let mut taken = Taken::default();
    let pools = listeners.into_iter().enumerate();
    let accepted: Vec<Accepted> =
        pools.filter_map(|(number, pool)| accept(number, pool, &mut taken, output)).collect();
    if accepted.is_empty() {
        output.key(
            PART,
            "broker",
            &quoted(BROKER),
            &[],
            "no listener in the file: the broker stays, without its connection section",
        );
        if let Some(line) = connection.take_last(&["local_clientid"], PART, output) {
            match first(&line.value) {
                Ok(_) => output.key(PART, "client_id", &quoted(&line.value), &[(&line).into()], ""),
                Err(error) => output.leave_with_warning(PART, &line, &error),
            }
        }
        let keys = ["broker_user", "broker_password_file", "local.password"];
        login(connection, PART, [&["local_username"], &["local_password"]], keys, output);
        access.leave(output);
        return false;
    }
    let open = accepted.iter().filter(|listener| !listener.asks_for_certificates);
    let open: Vec<usize> = open.map(|listener| listener.number).collect();
    for one in accepted {
        listener(one, &access, &mut taken, output);
    }
    for word in ["password_file", "acl_file"] {
        if let Some(line) = broker.take_last(&[word], PART, output) {
            path(PART, word, &line, &[], output);
        }
    }
    access.write(&open, output);
    versions(&taken, output);
    packets(broker, output);
    clients(broker, output);
    figures(broker, output);
    true
}

/// Writes whether clients of MQTT 3.1 may enter: the key is of all addresses, as those of 3.1.1 and 5 always may.
fn versions(taken: &Taken, output: &mut Output) {
    let mut lets_in = taken.versions.len() < taken.ports.len();
    let mut origins = Vec::new();
    for line in &taken.versions {
        let given: Vec<&str> = line.value.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        if let Some(other) = given.iter().find(|word| !VERSIONS.contains(*word)) {
            lets_in = true;
            output.leave_with_warning(PART, line, &format!("\"{other}\" is none of 3, 4 and 5"));
            continue;
        }
        origins.push(Origin::from(line));
        lets_in |= given.contains(&"3");
        if !given.contains(&"4") || !given.contains(&"5") {
            let text = "accept_protocol_versions: clients of MQTT 3.1.1 and of MQTT 5 are always let in here";
            output.warn(Some(line.into()), text);
        }
    }
    let remark = if origins.is_empty() { "as Mosquitto does" } else { "" };
    output.key(PART, "accept_mqtt_3_1", &lets_in.to_string(), &origins, remark);
}

/// Writes the limits of a client, and of what is retained.
fn clients(broker: &mut Pool, output: &mut Output) {
    for (key, value, remark) in WITHOUT_A_LIMIT {
        output.key(PART, key, value, &[], remark);
    }
    if let Some(line) = broker.take_last(&["persistent_client_expiration"], PART, output) {
        match session_time(&line.value) {
            Ok(seconds) => {
                let days = u64::from(seconds).div_ceil(86_400).min(SESSION_DAYS_MAX);
                let value = quoted(&format!("{days}d"));
                output.key(PART, "max_session_expiry", &value, &[(&line).into()], "");
            }
            Err(error) => output.leave_with_warning(PART, &line, &error),
        }
    } else {
        let remark =
            "no persistent_client_expiration: in Mosquitto a session never ends, here it does after so long";
        output.key(PART, "max_session_expiry", &quoted(SESSION_PRESET), &[], remark);
    }
    if let Some(line) = broker.take_last(&["max_keepalive"], PART, output) {
        match number::<u64>(&line.value) {
            Ok(0) => {
                output.leave_with_warning(
                    PART,
                    &line,
                    "without a limit a silent client is never noticed: 5 min",
                );
            }
            Ok(seconds) => {
                let value = quoted(&format!("{}s", seconds.clamp(KEEP_ALIVE_S.0, KEEP_ALIVE_S.1)));
                output.key(PART, "max_keep_alive", &value, &[(&line).into()], "");
            }
            Err(error) => output.leave_with_warning(PART, &line, &error),
        }
    }
}

/// Returns a listener, if the gateway can take it over and it is the first of its kind. Of another one it writes comments.
fn accept(number: usize, mut pool: Pool, taken: &mut Taken, output: &mut Output) -> Option<Accepted> {
    let Some(address) = Address::take(&mut pool, output) else {
        leave_all(pool, output);
        return None;
    };
    let has_tls = pool.has("certfile") && pool.has("keyfile");
    let why = if is_websockets(&pool) {
        Some("a listener for websockets is not carried over: give ws_listen or wss_listen")
    } else if has_tls && taken.tls || !has_tls && taken.plain {
        Some(
            "one listener with TLS and one without are carried over: add this one's address to theirs, as listen = [\"A\", \"B\"]",
        )
    } else if taken.ports.contains(&address.port) {
        Some("another listener has this port")
    } else {
        None
    };
    if let Some(why) = why {
        address.lines.iter().for_each(|line| output.leave_with_warning(PART, line, why));
        leave_all(pool, output);
        return None;
    }
    taken.ports.push(address.port);
    *(if has_tls { &mut taken.tls } else { &mut taken.plain }) = true;
    let asks_for_certificates = has_tls && asks_for_certificates(&pool);
    Some(Accepted { number, address, has_tls, asks_for_certificates, pool })
}

/// Writes a listener.
fn listener(accepted: Accepted, access: &ClientAccess, taken: &mut Taken, output: &mut Output) {
    let Accepted { number, address, has_tls, asks_for_certificates, mut pool } = accepted;
    let may_enter = asks_for_certificates || access.lets_in(number);
    let mut rest = Vec::new();
    for line in pool.take(&["protocol"]) {
        output.leave(PART, &line, "as the gateway does");
    }
    if has_tls {
        address.write("tls_listen", may_enter, output);
        certificates(&mut pool, &mut rest, output);
    } else {
        address.write("listen", may_enter, output);
        let lone = pool.take(&["cafile", "certfile", "keyfile", "require_certificate"]);
        let why = "certfile and keyfile belong together, and the others to them";
        lone.iter().for_each(|line| output.leave_with_warning(PART, line, why));
    }
    if let Some(line) = pool.take_last(&["max_connections"], PART, output) {
        connections(&line, taken, output);
    }
    taken.versions.extend(pool.take_last(&["accept_protocol_versions"], PART, output));
    rest.extend(pool.rest());
    leftovers::of_a_listener(&rest, output);
}

fn is_websockets(pool: &Pool) -> bool {
    pool.lines().any(|line| line.word == "protocol" && first(&line.value) != Ok("mqtt"))
}

/// Returns whether clients of a TLS listener must show certificates.
fn asks_for_certificates(pool: &Pool) -> bool {
    let asks = pool.lines().filter(|line| line.word == "require_certificate").last();
    pool.has("cafile") && asks.is_some_and(|line| boolean(&line.value) == Ok(true))
}

/// Writes comments for a listener that the gateway does not take over.
fn leave_all(pool: Pool, output: &mut Output) {
    for line in pool.rest() {
        output.leave(PART, &line, "of a listener that the gateway does not have");
    }
}

/// Writes the TLS files. Lines without effect are moved to `rest`.
fn certificates(pool: &mut Pool, rest: &mut Vec<Line>, output: &mut Output) {
    for (word, key) in [("certfile", "cert"), ("keyfile", "key")] {
        if let Some(line) = pool.take_last(&[word], PART, output) {
            path(PART, key, &line, &[], output);
        }
    }
    let ca = pool.take_last(&["cafile"], PART, output);
    let asks = pool.take_last(&["require_certificate"], PART, output);
    let names = pool.take_last(&["use_identity_as_username"], PART, output);
    let is_true = |line: &Option<Line>| line.as_ref().is_some_and(|line| boolean(&line.value) == Ok(true));
    match (ca, asks) {
        (Some(ca), Some(asks)) if boolean(&asks.value) == Ok(true) => {
            path(PART, "client_ca", &ca, &[Origin::from(&asks)], output);
            if !is_true(&names) {
                let text = "require_certificate: the common name of a certificate is its user here, as with use_identity_as_username true; no password is asked for";
                output.warn(Some((&asks).into()), text);
            }
            names
                .iter()
                .for_each(|line| output.leave(PART, line, "the common name of a certificate is its user"));
        }
        (None, Some(asks)) if boolean(&asks.value) == Ok(true) => {
            output.leave_with_warning(PART, &asks, "there is no cafile: clients show no certificates");
            rest.extend(names);
        }
        (ca, asks) => {
            let why = "without require_certificate true no client has to show a certificate";
            ca.iter().chain(&asks).for_each(|line| output.leave(PART, line, why));
            rest.extend(names);
        }
    }
}

fn connections(line: &Line, taken: &mut Taken, output: &mut Output) {
    match limit::<u64>(&line.value) {
        Ok(0) => output.leave(PART, line, "no limit: here it is 1000 without the key"),
        Ok(_) if taken.max_connections => {
            output.leave_with_warning(
                PART,
                line,
                "the limit is of both addresses together, and an earlier line gives it",
            );
        }
        Ok(most) => {
            taken.max_connections = true;
            output.key(PART, "max_connections", &most.min(CONNECTIONS_MAX).to_string(), &[line.into()], "");
        }
        Err(error) => output.leave_with_warning(PART, line, &error),
    }
}

/// Writes the interval of the `$SYS` figures.
fn figures(broker: &mut Pool, output: &mut Output) {
    let Some(line) = broker.take_last(&["sys_interval"], PART, output) else { return };
    match number::<u16>(&line.value) {
        Ok(seconds) => output.key(PART, "sys_interval", &seconds.to_string(), &[(&line).into()], ""),
        Err(error) => output.leave_with_warning(PART, &line, &error),
    }
}

/// Writes the largest packet. Mosquitto has an option for that, and an older one for the payload.
fn packets(broker: &mut Pool, output: &mut Output) {
    let packet = broker.take_last(&["max_packet_size"], PART, output);
    let payload = broker.take_last(&["message_size_limit"], PART, output);
    let (line, around) = match (packet, payload) {
        (Some(packet), payload) => {
            payload.iter().for_each(|line| output.leave(PART, line, "max_packet_size says it"));
            (packet, 0)
        }
        (None, Some(payload)) => (payload, AROUND_A_PAYLOAD),
        (None, None) => {
            let remark =
                "no max_packet_size: in Mosquitto a packet may be of any size, here this is the most";
            return output.key(PART, "max_packet", &size(PACKET_BYTES.1), &[], remark);
        }
    };
    let (least, most) = PACKET_BYTES;
    match limit::<u64>(&line.value) {
        Ok(0) => output.leave(PART, &line, "no limit: here it is 256 KiB"),
        Ok(given) => {
            let wanted = given.saturating_add(around);
            let taken = wanted.clamp(least, most);
            let remark = if around > 0 {
                "of the payload in Mosquitto; here 1 KiB more, for topic and properties"
            } else {
                ""
            };
            output.key(PART, "max_packet", &size(taken), &[(&line).into()], remark);
            if taken != wanted {
                let text = format!("{}: {given} bytes are not to be had: {}", line.word, size(taken));
                output.warn(Some((&line).into()), &text);
            }
        }
        Err(error) => output.leave_with_warning(PART, &line, &error),
    }
}
