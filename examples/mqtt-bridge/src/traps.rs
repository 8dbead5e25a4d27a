//! Traps: lines whose effect is another one than they seem to have, in Mosquitto's bridge or in this program. Each becomes a warning. Pure.

use edge_bridge::bridge::topic_rules::Direction;
use edge_bridge::wire::QoS;

use mosquitto_conf::prefix_order;
pub(crate) use mosquitto_conf::trailing_text::of_line;

use crate::findings::Findings;
use crate::plan::message_bytes_max;
use crate::section::{Conf, Limits, Protocol, Section, Topic};

/// Adds a finding for each setting that is valid and may not do what its author expects. `is_broker`: this program is the local broker.
pub(crate) fn find(conf: &Conf, is_broker: bool, findings: &mut Findings) {
    for section in &conf.sections {
        section.topics.iter().for_each(|topic| of_topic(topic, is_broker, findings));
        of_session(section, findings);
        of_plain_client(section, findings);
        of_restart(section, is_broker, findings);
        of_tls(section, findings);
    }
    if !conf.sections.is_empty() {
        of_limits(&conf.limits, findings);
    }
}

fn of_topic(topic: &Topic, is_broker: bool, findings: &mut Findings) {
    let takes_sys = topic.rule.local_filter().is_some_and(|filter| filter.starts_with("$SYS"));
    if is_broker && takes_sys {
        let text = "carries nothing from here: what the broker in this program says of itself under $SYS goes to its own clients alone (Mosquitto's bridge passes it on)";
        findings.trap(topic.place.clone(), text);
    }
    for text in prefix_order::traps(&topic.rule) {
        findings.trap(topic.place.clone(), text);
    }
    if topic.rule.qos() == QoS::AtMostOnce {
        let text = match topic.rule.direction() {
            Direction::Out => {
                "QoS 0: what the local broker gets while this program is away is not kept; what it passes on goes to the hub at QoS 1"
            }
            Direction::In => {
                "QoS 0: what the hub gets while this program is away, or sends while there is no room here, is not kept; what comes goes to local clients at QoS 1"
            }
            Direction::Both => {
                "QoS 0: what either side gets while this program is away is not kept, nor what the hub sends while there is no room here; what either side passes on goes to the other at QoS 1"
            }
        };
        findings.trap(topic.place.clone(), text);
    }
}

fn of_session(section: &Section, findings: &mut Findings) {
    let brings = section.topics.iter().any(|topic| topic.rule.direction() != Direction::Out);
    match &section.clean_session {
        Some((place, true)) => findings.trap(
            place.clone(),
            "cleansession true: Mosquitto's bridge loses the messages of an outage. Here those to the hub are queued all the same; what the hub has meanwhile for this site is lost",
        ),
        _ if brings && section.protocol == Protocol::V5 && section.session_expiry_s.is_none() => {
            if let Some(place) = section.protocol_place.clone() {
                findings.trap(
                    place,
                    "mqttv50 without bridge_session_expiry_interval: Mosquitto's bridge lets its session end with the connection, so commands of an outage are lost. Here the hub is asked to keep it",
                );
            }
        }
        _ => {}
    }
}

/// Warns that without the bridge bit a 3.1.1 hub takes this program for a plain client.
fn of_plain_client(section: &Section, findings: &mut Findings) {
    let Some((place, false)) = &section.try_private else { return };
    let directions = || section.topics.iter().map(|topic| topic.rule.direction());
    let echoes = directions().any(|direction| direction == Direction::Both);
    if section.protocol == Protocol::V5 || directions().all(|direction| direction == Direction::Out) {
        return;
    }
    let echo = if echoes { ", and messages of a topic that goes both ways come back once" } else { "" };
    findings.trap(
        place.clone(),
        format!("try_private false: from a 3.1.1 hub messages come without their retain flag{echo}"),
    );
}

/// Warns that what a hub retains comes again, as if it were new.
fn of_restart(section: &Section, is_broker: bool, findings: &mut Findings) {
    let both = section.topics.iter().find(|topic| topic.rule.direction() == Direction::Both);
    let Some(topic) = both else { return };
    let when = match section.protocol {
        Protocol::V311 => {
            "at each start of this program, and of a connection that a SIGHUP changes, a 3.1.1 hub"
        }
        _ if is_broker => {
            "at each start of this program, as the local broker, and of a rule that a SIGHUP changes, the hub"
        }
        _ => return,
    };
    let text = format!(
        "{when} sends what it retains under this topic, and its older value takes the place of a newer one that is retained here (Mosquitto's bridge: at each connection)"
    );
    findings.trap(topic.place.clone(), text);
}

fn of_tls(section: &Section, findings: &mut Findings) {
    if let (Some((place, _)), true) = (&section.tls.ca, section.tls.system_ca) {
        findings.trap(place.clone(), "with bridge_cafile those of the system are not trusted");
    }
    let address = section.addresses.iter().find(|address| address.ends_with(":8883"));
    if let (Some(address), false) = (address, section.tls.is_on()) {
        findings.trap(
            section.place.clone(),
            format!("{address} is the port of TLS, and nothing here asks for it: bridge_cafile, or bridge_tls_use_os_certs true"),
        );
    }
}

fn of_limits(limits: &Limits, findings: &mut Findings) {
    if let Some((place, messages)) = &limits.max_queued_messages {
        let text = if *messages == 0 {
            "0 is no limit in Mosquitto; here the limit of an unset line holds, 1 000 000".to_owned()
        } else {
            format!(
                "above {messages} messages Mosquitto keeps the oldest and drops what comes, with a count for the whole broker under $SYS/broker/publish/messages/dropped. Here the oldest go, and are counted for each connection"
            )
        };
        findings.trap(place.clone(), text);
    }
    if let Some((place, bytes)) = limits.max_queued_bytes.as_ref().filter(|(_, bytes)| *bytes > 0) {
        let most = message_bytes_max(Some(*bytes));
        if most < message_bytes_max(None) {
            let text = format!(
                "a message of more than {most} bytes with its topic never fits: it is dropped, and the log says so"
            );
            findings.trap(place.clone(), text);
        }
    }
    if let Some((place, most)) = limits.max_in_flight.as_ref().filter(|(_, most)| (1..1_000).contains(most)) {
        findings.trap(
            place.clone(),
            format!(
                "{most} unacknowledged messages are at most {} messages/s where a round trip takes 500 ms",
                u32::from(*most) * 2
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::findings::Severity;
    use crate::{conf, section};

    /// The bridge of a plant as its operator published it.
    const FIELD: &str = include_str!("../tests/field_bridge.conf");

    fn traps(text: &str) -> Vec<(usize, String)> {
        traps_as(false, text)
    }

    fn traps_as(is_broker: bool, text: &str) -> Vec<(usize, String)> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bridge.conf");
        std::fs::write(&file, text).unwrap();
        let mut read = Findings::default();
        let lines = conf::read(Path::new(&file), &|_| None, &mut read);
        let mut traps = Findings::default();
        let conf = section::parse(&lines, &mut traps);
        find(&conf, is_broker, &mut traps);
        let line = |place: &Option<crate::findings::Place>| place.as_ref().map_or(0, |place| place.line);
        let traps = traps.iter().filter(|finding| finding.severity == Severity::Trap);
        traps.map(|trap| (line(&trap.place), trap.text.clone())).collect()
    }

    #[test]
    fn the_three_traps_of_a_real_configuration_are_named_at_their_lines() {
        let traps = traps(FIELD);
        let lines: Vec<_> = traps.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 11, 14], "{traps:?}");
        assert!(traps[1].1.contains("subscribes to \"cmd/hub/${SITE_ID}/cmd/#\" at the hub"), "{traps:?}");
        assert!(traps[1].1.ends_with("write: topic # in 1 cmd/ hub/${SITE_ID}/cmd/"), "{traps:?}");
        assert!(traps[0].1.contains("commands of an outage are lost"));
        assert!(traps[2].1.contains("Mosquitto keeps the oldest"));
        assert!(traps[2].1.contains("$SYS/broker/publish/messages/dropped"), "it counts them");
    }

    #[test]
    fn prefixes_that_are_meant_are_no_traps() {
        for topic in [
            "# in 1 cmd/ hub/site7/cmd/",
            "line/# out 1 \"\" site7/",
            "a/b both 1 a/ a/c/",
            "cmds/# in 1 \"\" cmd/",
        ] {
            let expected = if topic.starts_with("a/b") { 1 } else { 0 };
            assert_eq!(
                traps(&format!("connection up\naddress h\ntopic {topic}\n")).len(),
                expected,
                "{topic}"
            );
        }
    }

    #[test]
    fn settings_that_lose_or_slow_are_traps() {
        let least = "connection up\naddress h\ntopic a out 1\n";
        for (line, part) in [
            ("cleansession true", "loses the messages of an outage"),
            ("topic b out 0", "QoS 0: what the local broker gets"),
            ("topic b in 0", "QoS 0: what the hub gets"),
            ("topic b both", "QoS 0: what either side gets"),
            ("max_inflight_messages 20", "40 messages/s"),
            ("try_private false\ntopic b both 1", "without their retain flag, and"),
            ("topic b both 1\nbridge_protocol_version mqttv311", "its older value takes the place"),
            ("remote_username \"me\"", "remote_username: the quotation marks"),
            ("max_queued_messages 0", "1 000 000"),
            ("max_queued_bytes 300000", "never fits"),
        ] {
            let traps = traps(&format!("{least}{line}\n"));
            assert!(matches!(traps.as_slice(), [(4, text)] if text.contains(part)), "{line}: {traps:?}");
        }
        assert!(
            traps(&format!(
                "{least}cleansession false\nmax_inflight_messages 0\nmax_queued_bytes 1000000\ntopic b in 1\ntry_private true\n"
            ))
            .is_empty()
        );
    }

    #[test]
    fn a_line_that_carries_nothing_from_the_broker_in_this_program_is_a_trap() {
        let text = "connection up\naddress h\ntopic $SYS/# out 1 \"\" site7/\ntopic a/# out 1\n";
        let carries_nothing = |is_broker| {
            let traps = traps_as(is_broker, text);
            traps
                .iter()
                .filter(|(_, text)| text.contains("carries nothing"))
                .map(|(line, _)| *line)
                .collect::<Vec<_>>()
        };
        assert_eq!((carries_nothing(true), carries_nothing(false)), (vec![3], vec![]));
    }

    /// A broker in this program gets them at each start, from a hub of any version.
    #[test]
    fn what_a_hub_retains_is_a_trap_where_a_start_brings_it_again() {
        for version in ["mqttv50", "mqttv311"] {
            let text = format!(
                "connection up\naddress h\nbridge_session_expiry_interval 9\nbridge_protocol_version {version}\ntopic b both 1\n"
            );
            for (is_broker, is_trap) in [(false, version == "mqttv311"), (true, true)] {
                let traps = traps_as(is_broker, &text);
                let told =
                    traps.iter().filter(|(line, text)| *line == 5 && text.contains("older value takes"));
                assert_eq!(told.count(), usize::from(is_trap), "{version} {is_broker}: {traps:?}");
            }
        }
    }

    #[test]
    fn the_end_of_a_line_is_told_where_it_is_no_comment() {
        for (line, part) in [
            ("connection next line", "the first word, \"next\""),
            ("remote_password hush #1", "remote_password: the value goes to the end"),
        ] {
            let traps =
                traps(&format!("connection up # text\naddress h # text\ntopic a out 1 # text\n{line}\n"));
            assert!(
                matches!(traps.as_slice(), [(4, text)] if text.contains(part) && !text.contains("hush")),
                "{line}: {traps:?}"
            );
        }
    }
}
