//! The drill without a gateway: sensors straight to the hub, through the relay. It shows that the drill's own parts lose
//! nothing, so that a loss in a real drill is the gateway's.

use super::super::record::{Acked, Class};
use super::super::verdict::{Fate, judge};
use super::*;

/// A story's last two seconds at the high rate, played from there.
async fn sensors_straight_to_the_hub(cut_and_back: bool) -> (Records, BTreeMap<String, u64>, Timeline) {
    let sensors: Vec<Sensor> =
        series::sensors().unwrap().into_iter().filter(|s| s.class == Class::Raw).collect();
    let clock = Clock::start();
    let hub = Hub::start(clock).await.unwrap();
    let mut relay = Relay::start(hub.address(), Duration::from_millis(30)).await.unwrap();
    let story = Arc::new(Story::new(1, 30));
    let crew = Crew::start(&sensors, relay.address(), &story, clock);
    if cut_and_back {
        clock.until(400).await;
        relay.set(Fault::Cut).await;
        clock.until(700).await;
        relay.set(Fault::Normal).await;
        clock.until(1_200).await;
        relay.set(Fault::HalfOpen).await;
        clock.until(1_500).await;
        relay.set(Fault::Normal).await;
    }
    clock.until(2_500).await;
    let Crew { mut tasks, stop, .. } = crew;
    stop.send(true).unwrap();
    let (mut acks, mut published) = (Vec::new(), BTreeMap::new());
    while let Some(record) = tasks.join_next().await {
        let record = record.unwrap();
        published.insert(record.client, record.published);
        acks.extend(record.acks);
    }
    let header = Header { schema: SCHEMA, seed: 1, raw_prefix: String::new(), ..Header::default() };
    (Records { header, acks, hub: hub.take_record() }, published, Timeline::default())
}

#[tokio::test]
async fn promise_1_sensors_relay_and_hub_lose_nothing_by_themselves_over_a_cut_and_a_half_open_link() {
    for faults in [false, true] {
        let (records, published, timeline) = sensors_straight_to_the_hub(faults).await;
        let verdict = judge(&records, &timeline, &published);
        assert!(verdict.acknowledged >= 40, "{} acknowledged", verdict.acknowledged);
        assert_eq!(verdict.lost, []);
        assert!(verdict.puback_p99_ms >= Some(60), "the relay's delay is missing");
    }
}

#[tokio::test]
async fn promise_1_negative_control_a_hub_that_forgets_one_message_is_caught() {
    let (mut records, published, timeline) = sensors_straight_to_the_hub(false).await;
    let forgotten = records.acks[7].sha256.clone();
    records.hub.retain(|arrived| arrived.sha256 != forgotten);
    assert_eq!(judge(&records, &timeline, &published).lost.len(), 1);
}

/// Mosquitto's part of `--mosquitto`, without a gateway between: the sensor publishes where the hub's subscriber listens.
#[tokio::test]
async fn a_real_mosquitto_as_hub_gives_the_subscriber_everything() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    assert!(mosquitto::version().await.unwrap().starts_with("mosquitto version"));
    let Stack { hub, local, brokers, .. } = Stack::mosquitto(dir.path(), clock).await.unwrap();
    assert!(
        std::fs::read_to_string(dir.path().join("mosquitto-hub.conf"))
            .unwrap()
            .contains("max_inflight_messages 0")
    );
    let local_conf = std::fs::read_to_string(dir.path().join("mosquitto-local.conf")).unwrap();
    assert!(local_conf.contains("max_queued_messages 0") && !local_conf.contains("inflight"));
    assert_ne!(Some(hub.address()), local);

    let energy = |sensor: &Sensor| sensor.name == "energy";
    let mut sensor = series::sensors().unwrap().into_iter().find(energy).unwrap();
    sensor.topic = format!("{RAW_PREFIX}{}", sensor.topic);
    let story = Arc::new(Story::new(1, 30));
    let crew = Crew::start(&[sensor], brokers[0].address, &story, clock);
    clock.until(1_500).await;
    crew.stop.send(true).unwrap();
    let Crew { mut tasks, .. } = crew;
    let record = tasks.join_next().await.unwrap().unwrap();
    assert!(record.acks.len() > 20);
    let arrived = hub.take_record();
    assert!(record.acks.iter().all(|ack| arrived.iter().any(|a| a.sha256 == ack.sha256)));
}

/// A gateway that acknowledges from memory: Mosquitto's own bridge, started the way the drill starts ours.
const MOSQUITTO_AS_GATEWAY: &str = r#"#!/bin/sh
# run FILE --state DIR
port() { sed -n "s|^$1 = \".*:\([0-9]*\)\".*|\1|p" "$2" | head -n 1; }
cat > "$2.mosquitto" <<END
listener $(port listen "$2") 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
connection drill
address 127.0.0.1:$(port url "$2")
topic plant/raw/# out 1 "" site7/
cleansession false
restart_timeout 1
keepalive_interval 5
try_private false
END
PATH="$PATH:/usr/sbin" exec mosquitto -c "$2.mosquitto"
"#;

#[tokio::test]
async fn promise_1_negative_control_a_gateway_that_acknowledges_from_memory_fails_the_drill() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("gateway.sh");
    std::fs::write(&program, MOSQUITTO_AS_GATEWAY).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let setup = Setup { program: &program, work: &dir.path().join("work"), mosquitto: None };
    let played = play(Story::of_length(11, 8_000), setup).await.unwrap();
    assert_eq!(played.observed.kills, 1);
    assert!(played.observed.gateway_rss_kib_max > 1_000);
    let (cut_at, _) = played.timeline.outages[0];
    let killed_at = played.timeline.killed_at.unwrap();
    let verdict = judge(&played.records, &played.timeline, &played.published);
    assert!(!verdict.passed(&played.observed));
    // What it had acknowledged between the cut and the kill was in its memory alone. Whether the rest comes in time is
    // a matter of how soon this version of Mosquitto dials again, so nothing is said of it.
    let in_memory = |ack: &Acked| ack.class == Class::Raw && ack.first_sent >= cut_at && ack.time < killed_at;
    let fates: Vec<Fate> = played
        .records
        .acks
        .iter()
        .zip(&verdict.fates)
        .filter(|(ack, _)| in_memory(ack))
        .map(|(_, fate)| *fate)
        .collect();
    assert!(fates.len() > 3, "{} acknowledged in the outage", fates.len());
    assert!(fates.iter().all(|fate| *fate == Fate::Lost), "{fates:?}");
}
