#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Nodes of Sparkplug B before a gateway: births, data by alias and deaths through an outage with kill -9, and births that did not come.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use edge_codec::sparkplug::{self, Payload};
use edge_codec::{Format, Limits, Reading, SensorTable, Value};
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::{Publisher, packet, text};
use support::relay::Relay;
use support::wait_until;

const ROUTES: &str =
    "[[route]]\nmatch = \"spBv1.0/#\"\nto = \"sp\"\nformat = \"json\"\ninput = \"sparkplug\"\n";
const TIME: i64 = 1_790_000_000_000;

/// Sensors of a node and its device; the alias is the number.
fn sensors() -> SensorTable<'static> {
    let mut sensors = SensorTable::new();
    for (alias, name, unit) in
        [(0, "bdSeq", ""), (1, "Node Control/Rebirth", ""), (2, "line/temp", "Cel"), (3, "speed", "rpm")]
    {
        sensors.insert(alias, name, unit);
    }
    sensors
}

/// A payload of these aliases and values: with names, as a birth, or with aliases alone.
fn payload(is_birth: bool, metrics: &[(u32, Value<'static>)]) -> Vec<u8> {
    let sensors = sensors();
    let encoder = sparkplug::Encoder::new(&sensors);
    let mut encoder = if is_birth { encoder.birth() } else { encoder.aliases() };
    for (sensor, value) in metrics {
        encoder.push(&Reading { sensor: *sensor, time: TIME, value: value.clone(), quality: 0 }).unwrap();
    }
    encoder.finish_under(10_000).unwrap().to_vec()
}

fn node_birth(number: u64) -> Vec<u8> {
    payload(true, &[(0, Value::U64(number)), (1, Value::Bool(false)), (2, Value::F64(20.5))])
}

/// Publishes as Sparkplug's nodes do, at QoS 0.
fn publish(dir: &Path, broker: SocketAddr, topic: &str, payload: &[u8]) {
    let file = dir.join("payload");
    std::fs::write(&file, payload).unwrap();
    let port = broker.port().to_string();
    let sent = Command::new("mosquitto_pub")
        .args(["-p", &port, "-t", &format!("spBv1.0/{topic}"), "-f"])
        .arg(file)
        .status();
    assert!(sent.unwrap().success());
}

/// `NAME=VALUE UNIT QUALITY` of every reading at the hub, sorted; readings that came twice stand once.
fn readings(hub: &Subscriber) -> Vec<String> {
    let mut all = Vec::new();
    for message in hub.arrived().iter().filter(|message| message.topic == "sp") {
        let batch = Format::Json.decode(&message.bytes, &Limits::default()).unwrap();
        let sensors = batch.sensors().clone();
        for reading in batch.map(Result::unwrap) {
            let sensor = sensors.get(reading.sensor).unwrap();
            all.push(format!("{}={:?} {} {:x}", sensor.name, reading.value, sensor.unit, reading.quality));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Names of the metrics of each command to a node.
fn commands(node: &Subscriber) -> Vec<(String, String)> {
    let arrived = node.arrived();
    let named = arrived.iter().filter(|message| message.topic.contains("/NCMD/")).map(|message| {
        let payload = Payload::read(&message.bytes, &Limits::default()).unwrap();
        let metric = payload.metrics().next().unwrap().unwrap();
        (message.topic.clone(), metric.name.unwrap().to_owned())
    });
    named.collect()
}

/// Promises 1 and 12.
#[test]
fn births_data_by_alias_and_deaths_arrive_through_an_outage_and_a_lost_birth_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let arrived = Subscriber::start(hub.address, "#");
    let wan = Relay::start(hub.address);
    let (mut gateway, listen) = Gateway::started(dir, wan.address, ROUTES);
    wan.cut();
    publish(dir, listen, "plant/NBIRTH/line2", &node_birth(7));
    publish(dir, listen, "plant/DBIRTH/line2/press", &payload(true, &[(3, Value::I64(900))]));
    publish(dir, listen, "plant/NDATA/line2", &payload(false, &[(2, Value::F64(21.5))]));
    publish(dir, listen, "plant/DDATA/line2/press", &payload(false, &[(3, Value::I64(-1))]));
    // At QoS 0 nothing says when it is safe.
    wait_until("all four are in the queue", 30, || gateway.metric("edge_queue_messages") >= Some(4.0));
    std::thread::sleep(std::time::Duration::from_secs(2));
    gateway.kill_9();
    gateway.start();
    let node = Subscriber::start(listen, "spBv1.0/plant/NCMD/line2");
    let unborn = payload(false, &[(2, Value::F64(22.5))]);
    publish(dir, listen, "plant/NDATA/line2", &unborn);
    wait_until("the node is asked for its birth", 30, || !commands(&node).is_empty());
    let asked = ("spBv1.0/plant/NCMD/line2".to_owned(), "Node Control/Rebirth".to_owned());
    assert_eq!(commands(&node), std::slice::from_ref(&asked));
    publish(dir, listen, "plant/NBIRTH/line2", &node_birth(8));
    publish(dir, listen, "plant/NDATA/line2", &payload(false, &[(2, Value::F64(23.5))]));
    publish(dir, listen, "plant/NDEATH/line2", &payload(true, &[(0, Value::U64(7))]));
    publish(dir, listen, "plant/NDATA/line2", &payload(false, &[(2, Value::F64(24.5))]));
    publish(dir, listen, "plant/NDEATH/line2", &payload(true, &[(0, Value::U64(8))]));
    publish(dir, listen, "STATE/host", b"{\"online\":true}");
    wan.mend();
    let expected = [
        "plant/line2/line/temp=F64(20.5) Cel 0",
        "plant/line2/line/temp=F64(21.5) Cel 0",
        "plant/line2/line/temp=F64(23.5) Cel 0",
        "plant/line2/line/temp=F64(24.5) Cel 0",
        "plant/line2/line/temp=Null Cel 80310000",
        "plant/line2/press/speed=I64(-1) rpm 0",
        "plant/line2/press/speed=I64(900) rpm 0",
    ];
    wait_until("every reading is at the hub", 60, || readings(&arrived).len() >= expected.len());
    assert_eq!(readings(&arrived), expected);
    let dead: Vec<_> =
        arrived.arrived().into_iter().filter(|m| m.topic.starts_with("dead-letter/")).collect();
    assert_eq!(
        dead.iter().map(|m| m.topic.as_str()).collect::<Vec<_>>(),
        ["dead-letter/spBv1.0/plant/NDATA/line2"]
    );
    assert_eq!(dead[0].bytes, unborn, "as it came");
    assert_eq!(commands(&node), [asked], "once a minute");
}

/// A broker keeps its nodes connected over the gateway's restart, so they send no birth of themselves (promise 1).
#[test]
fn a_node_behind_a_local_broker_is_asked_there() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let local_dir = dir.join("local");
    std::fs::create_dir(&local_dir).unwrap();
    let (hub, local) = (Mosquitto::start(dir, ""), Mosquitto::start(&local_dir, ""));
    let (arrived, node) =
        (Subscriber::start(hub.address, "sp"), Subscriber::start(local.address, "spBv1.0/+/NCMD/#"));
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\n{ROUTES}",
        local.address, hub.address
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    publish(dir, local.address, "plant/DDATA/line2/press", &payload(false, &[(3, Value::I64(5))]));
    wait_until("the node is asked for its births", 30, || !commands(&node).is_empty());
    publish(dir, local.address, "plant/NBIRTH/line2", &node_birth(1));
    publish(dir, local.address, "plant/DBIRTH/line2/press", &payload(true, &[(3, Value::I64(6))]));
    publish(dir, local.address, "plant/DDATA/line2/press", &payload(false, &[(3, Value::I64(7))]));
    wait_until("its data arrive", 60, || {
        readings(&arrived).iter().any(|reading| reading.starts_with("plant/line2/press/speed=I64(7)"))
    });
    assert_eq!(commands(&node).len(), 1);
}

/// A client at QoS 0 of these filters, over MQTT 3.1.1, that reads nothing once it is subscribed.
fn deaf(address: SocketAddr, filters: &[&str]) -> TcpStream {
    let connect = [&[0, 4][..], b"MQTT", &[4, 2, 0, 0], &text("deaf")].concat();
    let topics: Vec<u8> = filters.iter().flat_map(|filter| [text(filter), vec![0]].concat()).collect();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let subscribe = packet(0x82, &[&[0, 1][..], &topics].concat());
    stream.write_all(&[packet(0x10, &connect), subscribe].concat()).unwrap();
    // CONNACK and SUBACK.
    stream.read_exact(&mut vec![0; 4 + 4 + filters.len()]).unwrap();
    stream
}

/// Promise 12: a copy of a request waits for ever for who does not read.
#[test]
fn a_client_that_does_not_read_holds_up_no_request_of_births() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let (gateway, listen) = Gateway::started(dir, hub.address, ROUTES);
    let _deaf = deaf(listen, &["fill", "spBv1.0/plant/NCMD/+"]);
    let nodes = Subscriber::start(listen, "spBv1.0/plant/NCMD/+");
    let mut publisher = Publisher::new(listen, "filler", 20);
    let large = "x".repeat(50_000);
    wait_until("messages wait for the client", 60, || {
        (0..10).for_each(|_| publisher.publish("fill", &large));
        publisher.settle(0, 60);
        gateway.metric("edge_local_held_bytes") >= Some(200_000.0)
    });
    let lines = ["line1", "line2", "line3"];
    for line in lines {
        publish(dir, listen, &format!("plant/NDATA/{line}"), &payload(false, &[(2, Value::F64(22.5))]));
    }
    wait_until("each node is asked for its birth", 30, || commands(&nodes).len() >= lines.len());
}
