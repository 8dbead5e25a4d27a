//! The drill without a gateway: sensors straight to the hub, through the relay. It shows that the drill's own parts lose
//! nothing, so that a loss in a real drill is the gateway's.

use super::super::verdict::judge;
use super::*;

/// A story's last two seconds at the high rate, played from there.
async fn sensors_straight_to_the_hub(cut_and_back: bool) -> (Records, BTreeMap<String, u64>, Timeline) {
    let sensors: Vec<Sensor> = series::sensors()
        .unwrap()
        .into_iter()
        .filter(|s| s.class == super::super::record::Class::Raw)
        .collect();
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
    let header = Header { schema: SCHEMA, seed: 1, raw_prefix: String::new(), tolerance: BTreeMap::new() };
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

    let mut sensor = series::sensors().unwrap().remove(8);
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
