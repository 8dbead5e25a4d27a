//! A hub that closes the connection at control characters, non-characters and topics of many levels, as Mosquitto does: messages with them, which an
//! older version or an application has queued, are parked unsent.

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::UplinkEvent;
use edge_bridge::wire::{Properties, PropertiesBuilder, PropertyId, Publish, ReasonCode, Value};

use crate::refusal_support::{Answer, Rig, TAKEN, text};
use crate::{MINUTE, SECOND};

fn with(id: PropertyId, value: Value<'_>) -> Properties {
    let mut properties = PropertiesBuilder::new();
    properties.push(id, value).unwrap();
    properties.finish()
}

fn deep(levels: usize) -> String {
    vec!["a"; levels].join("/")
}

/// Rows at which the hub closes: topic and properties.
fn bad() -> Vec<(String, Properties)> {
    let pair = |name, value| with(PropertyId::UserProperty, Value::Pair(name, value));
    let properties = [
        pair("note", "line 1\nline 2"),
        pair("a\tb", "x"),
        pair("note", "\u{ffff}"),
        with(PropertyId::ContentType, Value::Utf8("text\u{85}")),
        with(PropertyId::ResponseTopic, Value::Utf8("a\u{7f}b")),
    ];
    let topics = [deep(202), format!("t/{}", "/".repeat(300)), "a\u{1}b".to_owned(), "\u{fdd0}".to_owned()];
    let of_properties = (0..).zip(properties).map(|(n, properties)| (format!("bad/{n}"), properties));
    of_properties.chain(topics.map(|topic| (topic, Properties::default()))).collect()
}

/// What Mosquitto 2.0.11 does.
fn strict(publish: &Publish) -> Answer {
    let is_bad = bad().iter().any(|(topic, _)| publish.topic == topic.as_str());
    if is_bad { Answer::Close } else { TAKEN }
}

fn row((topic, properties): (String, Properties), n: u32) -> Row {
    let mut row = Row::new(text(&topic), Bytes::from(n.to_string()));
    row.properties = properties;
    row
}

#[test]
fn what_a_hub_closes_at_is_parked_unsent_with_its_reason_and_the_link_stays() {
    let mut rig = Rig::new(|_, publish| strict(publish));
    let count = u32::try_from(bad().len()).unwrap();
    for (n, bad) in (0..).zip(bad()) {
        rig.push_row(row(bad, n));
        rig.push("good", count + n);
    }
    // As deep as any server takes.
    rig.push_row(row((deep(200), Properties::default()), 2 * count));
    rig.run_until(SECOND);
    assert_eq!(rig.dials, 1, "the hub had no reason to close");
    assert_eq!(rig.delivered.len(), 1 + count as usize, "all others are there");
    assert_eq!(rig.core.stats().parked, u64::from(count));
    let told = rig.events.iter().find_map(|event| match event {
        UplinkEvent::Parked(refusal) => Some(refusal.reason),
        _ => None,
    });
    assert_eq!(told, Some(ReasonCode::HUB_MAY_CLOSE));
    rig.run_until(30 * MINUTE);
    assert_eq!((rig.dials, rig.core.spool().len()), (1, count as usize), "nor later, and none is lost");
}
