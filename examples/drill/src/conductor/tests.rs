//! The drill without a gateway: sensors straight to the hub, through the relay. It shows that the drill's own parts lose
//! nothing, so that a loss in a real drill is the gateway's.

use super::*;
use crate::mosquitto;
use crate::record::{Acked, Class};
use crate::series;
use crate::verdict::{Fate, Verdict, judge};

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

/// A gateway that acknowledges from memory: Mosquitto's own bridge. Arguments: port of the sensors, port of the hub, state.
const MOSQUITTO_AS_GATEWAY: &str = r#"
if [ -e "$3/ends-at-once" ]; then echo "the state is not mine" >&2; exit 3; fi
cat > "$3/bridge.conf" <<END
listener $1 127.0.0.1
allow_anonymous true
persistence false
max_queued_messages 0
connection drill
address 127.0.0.1:$2
topic plant/# out 1 "" far/
cleansession false
restart_timeout 1
keepalive_interval 5
try_private false
END
PATH="$PATH:/usr/sbin" exec mosquitto -c "$3/bridge.conf"
"#;

/// Plays eight seconds with a command that runs this script.
async fn with_script(dir: &Path, script: &str) -> io::Result<(Played, Verdict)> {
    let file = dir.join("gateway.sh");
    std::fs::write(&file, script).unwrap();
    let command = format!("sh {} {{local_port}} {{hub_port}} {{state}}", file.display());
    let candidate = Candidate::Foreign(command.parse().unwrap());
    let setup = Setup { candidate: &candidate, numbers: false, work: &dir.join("work"), mosquitto: None };
    let played = play(Story::of_length(11, 8_000), setup).await?;
    let verdict = judge(&played.records, &played.timeline, &played.published);
    Ok((played, verdict))
}

/// Checks that are not kept.
fn broken(played: &Played, verdict: &Verdict) -> Vec<&'static str> {
    let checks = verdict.checks(&played.observed).into_iter();
    checks.filter(|check| !check.kept).map(|check| check.name).collect()
}

#[tokio::test]
async fn promise_1_negative_control_a_gateway_that_acknowledges_from_memory_fails_the_drill() {
    let dir = tempfile::tempdir().unwrap();
    let (played, verdict) = with_script(dir.path(), MOSQUITTO_AS_GATEWAY).await.unwrap();
    assert_eq!(played.observed.kills, 1);
    assert!(played.observed.gateway_rss_kib_max > 1_000);
    assert_eq!(played.records.header.raw_prefix, "far/", "as the first message told");
    let (cut_at, _) = played.timeline.outages[0];
    let killed_at = played.timeline.killed_at.unwrap();
    assert!(broken(&played, &verdict).contains(&"What was acknowledged is at the hub"));
    assert!(!broken(&played, &verdict).contains(&"The ledger adds up"), "it has none to be judged by");
    // What it had acknowledged between the cut and the kill was in its memory alone. Whether the rest comes in time is
    // a matter of how soon this version of Mosquitto dials again, so nothing is said of it.
    let in_memory = |ack: &Acked| ack.first_sent >= cut_at && ack.time < killed_at;
    let fates = || played.records.acks.iter().zip(&verdict.fates);
    let of_memory: Vec<Fate> = fates().filter(|(ack, _)| in_memory(ack)).map(|(_, fate)| *fate).collect();
    assert!(of_memory.len() > 3, "{} acknowledged in the outage", of_memory.len());
    assert!(of_memory.iter().all(|fate| *fate == Fate::Lost), "{of_memory:?}");
    // A second before the cut a message has crossed the link.
    let before: Vec<Fate> =
        fates().filter(|(ack, _)| ack.time < cut_at - 1_000).map(|(_, fate)| *fate).collect();
    assert!(before.iter().any(|fate| matches!(fate, Fate::Arrived { .. })), "{before:?}");
}

#[tokio::test]
async fn a_foreign_gateway_that_does_not_come_back_has_a_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let script = MOSQUITTO_AS_GATEWAY.replacen("cat >", "touch \"$3/ends-at-once\"\ncat >", 1);
    let (played, verdict) = with_script(dir.path(), &script).await.unwrap();
    let ended = played.events.iter().find(|event| event.name == "gateway.ended").unwrap();
    assert!(ended.text.contains("the state is not mine"), "{}", ended.text);
    assert!(!verdict.lost.is_empty() && verdict.acknowledged < verdict.published);
    assert!(
        broken(&played, &verdict)
            .contains(&"Sensors are served in the outage too: acknowledged of published")
    );
}

#[tokio::test]
async fn a_script_whose_gateway_outlives_the_kill_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    // The shell is killed and its child goes on; it ends with the test's folder.
    let script = MOSQUITTO_AS_GATEWAY.replace(
        "exec mosquitto -c \"$3/bridge.conf\"",
        "mosquitto -c \"$3/bridge.conf\" & echo $! > \"$3/pid\"; wait",
    );
    let error = with_script(dir.path(), &script).await.map(drop).unwrap_err();
    let pid = std::fs::read_to_string(dir.path().join("work/state/pid")).unwrap();
    std::process::Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(error.to_string().contains("end with `exec`"), "{error}");
}
