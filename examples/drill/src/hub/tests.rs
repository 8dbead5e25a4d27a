use edge_bridge::bridge::spool::Identity;
use edge_bridge::wire::{Properties, PropertiesBuilder, PropertyId, Value as WireValue};
use edge_codec::compact::{Encoder, Table};
use edge_codec::{BatchId, Format, SensorTable, Value};

use super::arrivals::READINGS_TOPIC;
use super::*;
use crate::record::{Class, sha256_hex};

fn publish(topic: &'static str, payload: impl Into<bytes::Bytes>) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: Utf8::from_static(topic),
        packet_id: None,
        properties: Properties::default(),
        payload: payload.into(),
    }
}

#[test]
fn a_raw_message_is_one_line_with_its_identity_and_its_mark() {
    let mut message = publish("site7/plant/raw/energy", "abc");
    let mut properties = PropertiesBuilder::new();
    properties.user("edge-id", "1-0-1-9").unwrap();
    properties.user("edge-pd", "1").unwrap();
    message.properties = properties.finish();
    let [arrived] = arrivals(&message, 5, &Tables::default()).unwrap().try_into().unwrap();
    assert_eq!((arrived.class, arrived.client.as_deref()), (Class::Raw, Some("energy")));
    assert_eq!((arrived.id.as_deref(), arrived.pd), (Some("1-0-1-9"), true));
    assert_eq!(arrived.sha256, sha256_hex(b"abc"));
}

#[test]
fn the_binary_form_of_an_identity_is_the_same_line() {
    let identity = Identity { gateway: 1, lane: 0, epoch: 1, seq: 9 };
    let mut message = publish("site7/plant/raw/energy", "abc");
    let mut properties = PropertiesBuilder::new();
    let data = identity.to_correlation_data().unwrap();
    properties.push(PropertyId::CorrelationData, WireValue::Binary(&data)).unwrap();
    message.properties = properties.finish();
    let [arrived] = arrivals(&message, 5, &Tables::default()).unwrap().try_into().unwrap();
    assert_eq!((arrived.id, arrived.pd), (Some(identity.to_string()), false));
}

#[test]
fn a_batch_is_one_line_per_reading_and_a_damaged_one_brings_nothing() {
    let mut sensors = SensorTable::default();
    sensors.insert(3, "room_co2", "ppm");
    let table = Arc::new(Table::new(1, &sensors));
    let id = BatchId { gateway: 1, lane: 1, epoch: 2, first_seq: 3 };
    let encoder = Encoder::with_table(table.clone());
    let mut encoder = encoder.id(id).possible_duplicate(true);
    for (time, value) in [(10, 0.1 + 0.2), (11, 7.0)] {
        encoder.push(&edge_codec::Reading { sensor: 3, time, value: Value::F64(value), quality: 0 }).unwrap();
    }
    let payload = encoder.finish_under(10_000).unwrap();
    let seen = Seen::default();
    seen.note(&publish(READINGS_TOPIC, payload.clone()), 5);
    assert_eq!(lock(&seen.arrived).len(), 0, "its table is not known");
    seen.note(&publish("site7/readings/table/drill", table.bytes().clone()), 5);
    seen.note(&publish(READINGS_TOPIC, payload.clone()), 5);
    seen.note(&publish(READINGS_TOPIC, payload.slice(1..)), 5);
    assert_eq!(seen.unreadable.load(Ordering::Relaxed), 2, "without its table, and damaged");
    let lines = std::mem::take(&mut *lock(&seen.arrived));
    assert_eq!(lines.len(), 2);
    let reading = lines[0].reading.as_ref().unwrap();
    assert_eq!((reading.sensor.as_str(), reading.event_time, reading.value), ("room_co2", 10, 0.1 + 0.2));
    let ids: Vec<_> = lines.iter().map(|line| line.id.clone().unwrap()).collect();
    assert_eq!(ids, ["0000000000000001-1-2-3", "0000000000000001-1-2-4"]);
    assert!(lines.iter().all(|line| line.pd));
}

#[test]
fn numbers_in_a_batch_of_another_gateway_stand_for_the_messages_they_were() {
    let mut sensors = SensorTable::new();
    sensors.insert(0, "plant/raw/energy", "");
    let id = BatchId { gateway: 1, lane: 0, epoch: 2, first_seq: 3 };
    let mut encoder = Encoder::new(sensors).id(id);
    for value in [16.0, 17.0] {
        let reading = edge_codec::Reading { sensor: 0, time: 1, value: Value::F64(value), quality: 0 };
        encoder.push(&reading).unwrap();
    }
    let mut message = publish("site7", encoder.finish_under(10_000).unwrap());
    let raw = arrivals(&message, 5, &Tables::default()).unwrap();
    assert_eq!(raw.len(), 1, "nothing says that it is a batch");
    let mut properties = PropertiesBuilder::new();
    properties
        .push(PropertyId::ContentType, edge_bridge::wire::Value::Utf8(Format::Compact.content_type()))
        .unwrap();
    message.properties = properties.finish();
    let lines = arrivals(&message, 5, &Tables::default()).unwrap();
    let seen = |line: &Arrived| (line.class, line.topic.clone(), line.sha256.clone());
    let expected = |text: &[u8]| (Class::Raw, "plant/raw/energy".to_owned(), sha256_hex(text));
    assert_eq!(lines.iter().map(seen).collect::<Vec<_>>(), [expected(b"16"), expected(b"17")]);
    assert_eq!(lines[1].client.as_deref(), Some("energy"));
    assert_eq!(lines[1].id.as_deref(), Some("0000000000000001-0-2-4"));
}

#[test]
fn a_probe_is_told_and_not_recorded() {
    let seen = Seen::default();
    seen.note(&publish("site7/plant/raw/drill-probe", "{}"), 1);
    seen.note(&publish("site7/plant/raw/energy", "{}"), 1);
    assert_eq!(lock(&seen.arrived).len(), 1);
}
