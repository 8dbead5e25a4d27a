//! Differences of the gateway to the scripts that are chosen, each with its reason, and those that are worse than Mosquitto's.

use std::collections::BTreeMap;

use crate::scripts::Script;
use crate::{Difference, Reaction};

/// Distance of a reaction from the one that is wanted. What hangs is further from it than what stays open, and that than another packet.
fn rank(reaction: &Reaction) -> u8 {
    match reaction {
        Ok(()) => 0,
        Err(Difference::Reason(..)) => 1,
        Err(Difference::Packet(_) | Difference::Closed) => 2,
        Err(Difference::Silent | Difference::Open) => 3,
        Err(Difference::Hang) => 4,
    }
}

/// Returns whether the gateway takes what a script with this name sends, and says so where there is an answer.
fn is_served(name: &str, reaction: &Difference) -> bool {
    let of_identifier = |got: &str, id: &str| {
        let [suback, unsuback] = [format!("9003{id}00 for an end"), format!("b002{id} for an end")];
        got == suback || got == unsuback || got == format!("b004{id}0011 for e00181")
    };
    match reaction {
        Difference::Packet(got) => {
            let is_connack = got.starts_with("20020000 ") || got.starts_with("200e0000");
            is_connack && got.ends_with(" for an end")
                || of_identifier(got, "04d2")
                || of_identifier(got, "1234")
        }
        // At QoS 0 there is none.
        Difference::Open | Difference::Silent => name.contains("PUBLISH 30"),
        _ => false,
    }
}

/// Returns whether PUBACK of MQTT 5 says mere success to the wanted identifier, where "no matching subscribers" is wanted.
fn is_puback_of_success(got: &str) -> bool {
    let parts = got.strip_prefix("4002").and_then(|got| got.split_once(" for 4003"));
    parts.is_some_and(|(id, wanted)| wanted.strip_suffix("10") == Some(id))
}

/// Returns whether a PUBLISH of QoS 2 is the wanted one but for its packet identifier.
fn has_another_identifier(got: &str) -> bool {
    // Hexadecimal digits: type, one byte of length, topic with its length; then the identifier.
    let without = |packet: &str| -> Option<(String, String)> {
        let topic = usize::from_str_radix(packet.strip_prefix("34")?.get(2..6)?, 16).ok()?;
        let (head, rest) = packet.split_at_checked(2 * (4 + topic))?;
        Some((head.to_owned(), rest.get(4..)?.to_owned()))
    };
    let parts = got.split_once(" for ").map(|(got, wanted)| (without(got), without(wanted)));
    matches!(parts, Some((Some(got), Some(wanted))) if got == wanted)
}

/// As [`has_another_identifier`], with another PUBLISH of QoS 2 behind the wanted one.
fn begins_with_another_identifier(got: &str) -> bool {
    let Some((got, wanted)) = got.split_once(" for ") else { return false };
    let parts = got.split_at_checked(wanted.len());
    parts.is_some_and(|(first, next)| {
        next.starts_with("34") && has_another_identifier(&format!("{first} for {wanted}"))
    })
}

/// Returns whether a PUBLISH comes before the wanted PUBREC, and nothing else is different.
fn is_passed_on(got: &str) -> bool {
    let parts = got.split_once(" for ").and_then(|(got, wanted)| Some((got.strip_suffix(wanted)?, wanted)));
    parts.is_some_and(|(message, wanted)| {
        wanted.starts_with("5002") && (message.starts_with("30") || message.starts_with("34"))
    })
}

/// Returns whether PUBREL or PUBCOMP of MQTT 5 says "packet identifier not found" to the wanted identifier, where mere success is wanted.
fn is_unknown_identifier(got: &str) -> bool {
    let Some((got, wanted)) = got.split_once(" for ") else { return false };
    ["62", "70"].iter().any(|kind| {
        let id = wanted.strip_prefix(&format!("{kind}02"));
        id.is_some_and(|id| got == format!("{kind}03{id}92"))
    })
}

/// Reason for a reaction other than a script wants, of those that are chosen. Each has its sentence in docs/testing.md.
fn choice(name: &str, difference: &Difference) -> Option<&'static str> {
    let is_one_of = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let has_control_characters = is_one_of(&["0001", "001F", "007F", "009F"]) && !is_one_of(&["property"]);
    Some(match difference {
        Difference::Hang => return None,
        reaction if has_control_characters && is_served(name, reaction) => "control characters",
        Difference::Reason(0x81 | 0x82, 0x81 | 0x82 | 0x8f | 0x90 | 0x94) => "another reason code",
        Difference::Packet(got) if got == "e00181 for an end" || got == "e00182 for an end" => "told why",
        Difference::Packet(got) if got == "20020001 for an end" => "told why",
        Difference::Packet(got) if is_puback_of_success(got) => "no subscriber",
        Difference::Packet(got) if got.starts_with("200e0000") && got.contains(" for 20") => {
            "properties of CONNACK"
        }
        Difference::Packet(got) if is_unknown_identifier(got) => "identifier unknown",
        Difference::Packet(got)
            if is_one_of(&["FLOW QoS 1 PUBLISH-PUBREC"]) && got == "62020001 for an end" =>
        {
            "identifier unknown"
        }
        Difference::Open | Difference::Silent if is_one_of(&["FLOW QoS 1 PUBLISH-PUBCOMP"]) => {
            "identifier unknown"
        }
        Difference::Packet(got) if has_another_identifier(got) => "packet identifiers",
        // The wanted message under another identifier, and behind it the next one, which the script wants later.
        Difference::Packet(got)
            if name.ends_with("qos2 pubrec error") && begins_with_another_identifier(got) =>
        {
            "packet identifiers"
        }
        Difference::Packet(got) if is_passed_on(got) && name.contains("qos2") => "QoS 2 passed on at once",
        _ if is_one_of(&["PUBLISH ALLOWED PROPERTIES subscription-identifier"]) => "subscription identifiers",
        _ if is_one_of(&["34 QoS 2 Dup flow*3", "34 QoS 2 repeated"]) => "identifier in use",
        _ if is_one_of(&["topic alias > max"]) => "more topic aliases",
        _ if is_one_of(&["PUBLISH with $ topic - share"]) => "topics with $share",
        _ => return None,
    })
}

/// Prints where the gateway is further from what a script wants than Mosquitto, by reason. Returns what has none.
pub(super) fn worse(scripts: &[Script], ours: &[Reaction], theirs: &[Reaction]) -> Vec<String> {
    let mut reasons = BTreeMap::<_, Vec<String>>::new();
    for ((script, ours), theirs) in scripts.iter().zip(ours).zip(theirs) {
        if let (Err(difference), true) = (ours, rank(ours) > rank(theirs)) {
            let reason = choice(&script.name, difference).unwrap_or("");
            let difference = format!("{}: {difference:?}, Mosquitto {theirs:?}", script.name);
            reasons.entry(reason).or_default().push(difference);
        }
    }
    for (reason, scripts) in &reasons {
        println!("{} by choice \"{reason}\":\n  {}", scripts.len(), scripts.join("\n  "));
    }
    reasons.remove("").unwrap_or_default()
}
