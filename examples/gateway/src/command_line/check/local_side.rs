//! Local side in the report of `check`: addresses, users, access rights, and the number of connections that fit.

use std::fmt;
use std::net::SocketAddr;

use edge_bridge::net::CertificateUser;

use crate::config::units::{human_bytes, human_duration};
use crate::config::{
    AccessFiles, Addresses, BrokerTls, BrokerWay, ClientLimits, ListenerLimits, Local, SAVED_CLIENTS_BYTES,
};
use crate::open_files::OpenFiles;

use super::Lines;

/// Writes the addresses of sensors, and the number of connections for which there is room.
pub(super) fn local(f: &mut Lines<'_, '_>, local: &Local, files: OpenFiles) -> fmt::Result {
    match local {
        Local::Listen {
            addresses,
            accept_control_characters,
            accept_mqtt_3_1,
            limits,
            access,
            persistence,
        } => {
            listens_at(f, addresses, access.passwords.is_some())?;
            who_may(f, access, addresses)?;
            writeln!(
                f,
                "              at most {} connections, packets of {}, {} held for all of them",
                limits.max_connections,
                human_bytes(limits.max_packet.into()),
                human_bytes(limits.max_memory)
            )?;
            of_each(f, &limits.per_client)?;
            of_retained_and_figures(f, limits)?;
            let fit = files.connections(limits.max_connections);
            if fit < limits.max_connections {
                writeln!(
                    f,
                    "              of them only {fit} on this machine: {} open files are the limit (LimitNOFILE, ulimit -Hn)",
                    files.hard
                )?;
            }
            let outlive = match persistence {
                true => format!("outlive a restart, {} of them", human_bytes(SAVED_CLIENTS_BYTES)),
                false => "end with the process".to_owned(),
            };
            writeln!(
                f,
                "              sessions of clients, what waits in them and retained messages {outlive} ([local] persistence)"
            )?;
            if *accept_mqtt_3_1 {
                writeln!(f, "              clients of MQTT 3.1 are let in, as 3.1.1")?;
            }
            if *accept_control_characters {
                writeln!(
                    f,
                    "              control characters in topics and properties are accepted: the hub may refuse them"
                )?;
            }
        }
        Local::Broker { host, port, client_id, topics, way } => {
            writeln!(f, "local         subscribes {} at {host}:{port} as {client_id}", topics.join(", "))?;
            logs_in(f, way)?;
        }
    }
    Ok(())
}

/// Writes how the gateway comes to a local broker.
fn logs_in(f: &mut Lines<'_, '_>, way: &BrokerWay) -> fmt::Result {
    let login = match &way.credentials {
        Some(credentials) => format!("as user \"{}\", with a password", credentials.user),
        None => "without a user name".to_owned(),
    };
    let tls = match &way.tls {
        None => "without TLS",
        Some(BrokerTls { files, .. }) if files.cert.is_some() => "with TLS, and a certificate of its own",
        Some(_) => "with TLS",
    };
    writeln!(f, "              {tls}, {login}")?;
    let Some(BrokerTls { files, .. }) = &way.tls else { return Ok(()) };
    if files.ca.is_none() {
        writeln!(f, "              trusts the authorities of the system")?;
    }
    if let Some(crl) = &files.crl {
        writeln!(f, "              refuses it with a certificate that {} revokes", crl.display())?;
    }
    Ok(())
}

/// Writes the limits of each client.
fn of_each(f: &mut Lines<'_, '_>, limits: &ClientLimits) -> fmt::Result {
    let ClientLimits { max_queued: (messages, bytes), max_in_flight, max_unread, .. } = limits;
    let rate = limits.max_rate.map(|rate| human_bytes(rate.into()));
    writeln!(
        f,
        "              each client: {messages} messages, {} wait for it; {max_in_flight} without its PUBACK, {} unread; {} topic filters;",
        human_bytes(*bytes),
        human_bytes(*max_unread),
        limits.max_subscriptions
    )?;
    writeln!(
        f,
        "              {} read of it; sessions last {}, keep alive {} at most{}",
        rate.map_or_else(
            || "no limit of the bytes a second that are".to_owned(),
            |rate| format!("{rate} a second are")
        ),
        human_duration(limits.max_session_expiry),
        human_duration(limits.max_keep_alive),
        limits.min_keep_alive.map_or_else(String::new, |min| format!(", {} at least", human_duration(min)))
    )
}

/// Writes the limits of retained messages, and how often there are figures.
fn of_retained_and_figures(f: &mut Lines<'_, '_>, limits: &ListenerLimits) -> fmt::Result {
    let (topics, bytes) = limits.max_retained;
    let figures = match limits.sys_interval_s {
        0 => "no figures on $SYS/broker".to_owned(),
        seconds => format!("figures on $SYS/broker every {seconds} s"),
    };
    writeln!(
        f,
        "              retained messages on {topics} topics, {} of them; {figures}",
        human_bytes(bytes)
    )
}

/// Returns addresses in words.
fn listed(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// Returns words for those of the addresses that other machines reach; `None` if there are none.
fn in_the_clear(addresses: &[SocketAddr]) -> Option<String> {
    let beyond: Vec<_> = addresses.iter().copied().filter(|address| !address.ip().is_loopback()).collect();
    match beyond.as_slice() {
        [] => None,
        beyond if beyond.len() == addresses.len() => Some("there".to_owned()),
        beyond => Some(format!("to {}", listed(beyond))),
    }
}

/// Writes the addresses of the listener.
fn listens_at(f: &mut Lines<'_, '_>, addresses: &Addresses, has_passwords: bool) -> fmt::Result {
    let mut head = "local         ";
    if !addresses.plain.is_empty() {
        writeln!(f, "{head}sensors connect to {}, MQTT 3.1.1 and 5", listed(&addresses.plain))?;
        head = "              ";
        if let Some(where_to) = in_the_clear(&addresses.plain) {
            let what = if has_passwords { "passwords and messages" } else { "messages" };
            writeln!(f, "{head}{what} go {where_to} in the clear: who listens on the network reads them")?;
        }
    }
    if let Some(tls) = &addresses.tls {
        let at = listed(&tls.addresses);
        writeln!(f, "{head}sensors connect with TLS to {at}, MQTT 3.1.1 and 5")?;
        if let Some(ca) = &tls.client_ca {
            let ca = ca.display();
            let name = match tls.client_user {
                CertificateUser::AlternativeName => "subject alternative",
                _ => "common",
            };
            writeln!(f, "              each shows a certificate by {ca}: its {name} name is the user name")?;
            if let Some(crl) = &tls.client_crl {
                writeln!(f, "              none that {} revokes", crl.display())?;
            }
        }
    }
    // A line stands before it.
    let head = "              ";
    let ws = &addresses.ws;
    for (addresses, with) in [(&ws.plain, "by WebSocket"), (&ws.tls, "by WebSocket with TLS")] {
        if !addresses.is_empty() {
            writeln!(f, "{head}clients connect {with} to {}, MQTT 3.1.1 and 5", listed(addresses))?;
        }
    }
    if let Some(where_to) = in_the_clear(&ws.plain) {
        writeln!(f, "{head}what goes {where_to} by WebSocket without TLS is in the clear")?;
    }
    if addresses.ws.iter().next().is_some() {
        let mut pages = "of the same host and port".to_owned();
        for origin in &addresses.ws.origins {
            pages.push_str(", of ");
            pages.push_str(origin);
        }
        writeln!(f, "{head}pages in browsers may connect by WebSocket if they are {pages}")?;
    }
    if !addresses.proxies.is_empty() {
        let proxies = addresses.proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        writeln!(
            f,
            "{head}{proxies}: believed from whom their connections come, which begin with a PROXY header"
        )?;
    }
    Ok(())
}

/// Writes which clients may connect, and what they may do.
fn who_may(f: &mut Lines<'_, '_>, access: &AccessFiles, addresses: &Addresses) -> fmt::Result {
    // What is wrong with the files was reported.
    let rules = access.read().unwrap_or_default();
    let anonymous = if access.allow_anonymous { "clients without a user name too" } else { "nobody else" };
    match (&access.passwords, &rules.passwords) {
        (Some(path), Some(users)) => {
            writeln!(f, "              logins by {}: {} users, {anonymous}", path.display(), users.len())?;
        }
        (Some(path), None) => {
            writeln!(f, "              logins by {}, which cannot be read", path.display())?;
        }
        (None, _) if addresses.are_certified() => {}
        (None, _) if access.has_certificates => {
            writeln!(
                f,
                "              without a certificate nobody has a user name, and whoever gives one is refused"
            )?;
        }
        (None, _) => writeln!(f, "              nobody logs in: whoever reaches it comes in")?,
    }
    match (&access.acl, &rules.acl) {
        (Some(path), Some(rules)) => writeln!(
            f,
            "              rights by {}: {} rules, what none allows is refused",
            path.display(),
            rules.len()
        ),
        _ => writeln!(f, "              everybody there may publish and read everything"),
    }
}
