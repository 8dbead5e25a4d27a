//! Messages between clients of both versions, with sessions and wills.

use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::listener::Event;
use edge_bridge::session::Closed;
use edge_bridge::wire::{Properties, Publish, QoS, ReasonCode, Utf8, Version};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::{PATIENCE, VERSIONS, client, lines, site};

#[tokio::test]
async fn publishers_of_both_versions_at_each_qos() {
    let mut site = site().await;
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let payload = format!("{version} {qos}");
            site.pub_ok(version, &["-q", qos, "-t", "plant/1", "-m", &payload]).await;
            let message = site.seen().await;
            assert_eq!(message.payload, payload.as_bytes());
            assert_eq!(message.topic.as_str(), "plant/1");
            assert_eq!(message.qos as u8, qos.as_bytes()[0] - b'0');
            assert_eq!(message.version, if version == "mqttv5" { Version::V5 } else { Version::V311 });
        }
    }
    site.pub_ok(
        "mqttv5",
        &["-q", "1", "-t", "a", "-m", "x", "-D", "publish", "user-property", "unit", "bar"],
    )
    .await;
    assert_eq!(site.seen().await.properties.user_property("unit"), Some("bar"));
    site.server.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn subscribers_of_both_versions_get_what_they_subscribed_to() {
    let mut site = site().await;
    for version in VERSIONS {
        for qos in ["0", "1", "2"] {
            let sub = site.sub(version, &["-q", qos, "-C", "2", "-v", "-t", "plant/+/temp", "-t", "x"]).await;
            site.pub_ok(version, &["-q", "1", "-t", "plant/1/other", "-m", "no"]).await;
            site.pub_ok("mqttv311", &["-q", "1", "-t", "plant/1/temp", "-m", "20.5"]).await;
            site.pub_ok("mqttv5", &["-q", "0", "-t", "x", "-m", "y"]).await;
            assert_eq!(lines(sub).await, ["plant/1/temp 20.5", "x y"], "{version} {qos}");
        }
    }
}

#[tokio::test]
async fn retained_messages_come_first_and_an_empty_one_removes() {
    let mut site = site().await;
    site.pub_ok("mqttv311", &["-q", "1", "-r", "-t", "state/a", "-m", "on"]).await;
    site.pub_ok("mqttv5", &["-q", "1", "-r", "-t", "state/b", "-m", "off"]).await;
    for version in VERSIONS {
        let sub = site.sub(version, &["-C", "2", "-F", "%t %r %p", "-t", "state/#"]).await;
        assert_eq!(lines(sub).await, ["state/a 1 on", "state/b 1 off"]);
    }
    site.pub_ok("mqttv5", &["-q", "1", "-r", "-t", "state/a", "-n"]).await;
    let sub = site.sub("mqttv5", &["-C", "1", "-F", "%t %r %p", "-t", "state/#"]).await;
    assert_eq!(lines(sub).await, ["state/b 1 off"]);
}

#[tokio::test]
async fn a_killed_client_leaves_its_will() {
    let mut site = site().await;
    for version in VERSIONS {
        let watcher = site.sub(version, &["-q", "1", "-C", "1", "-v", "-t", "will/#"]).await;
        let will = ["-t", "nothing", "--will-topic", "will/a", "--will-payload", "gone", "--will-qos", "1"];
        let mut doomed = site.sub(version, &will).await;
        doomed.start_kill().unwrap();
        assert_eq!(lines(watcher).await, ["will/a gone"]);
        let ingested = site.seen().await;
        assert_eq!((ingested.topic.as_str(), &ingested.payload[..]), ("will/a", &b"gone"[..]));
    }
}

#[tokio::test]
async fn a_persistent_session_gets_what_came_while_its_client_was_away() {
    let mut site = site().await;
    for version in VERSIONS {
        let mut session = vec!["-c", "-i", version, "-q", "1", "-t", "news"];
        if version == "mqttv5" {
            session.extend(["-x", "600"]);
        }
        let mut first = site.sub(version, &session).await;
        first.start_kill().unwrap();
        first.wait().await.unwrap();
        site.gone(version).await;
        for n in ["1", "2", "3"] {
            site.pub_ok(version, &["-q", "1", "-t", "news", "-m", n]).await;
        }
        let again =
            client(&site.server, "mosquitto_sub", version, &[&session[..], &["-C", "3"]].concat()).spawn();
        assert_eq!(lines(again.unwrap()).await, ["1", "2", "3"], "{version}");
        site.gone(version).await;
    }
}

#[tokio::test]
async fn a_second_client_of_the_same_name_takes_over() {
    for version in VERSIONS {
        let mut site = site().await;
        let first = site.sub(version, &["-i", "twin", "-t", "a"]).await;
        let second =
            client(&site.server, "mosquitto_sub", version, &["-i", "twin", "-t", "a"]).spawn().unwrap();
        let local = |why: &Closed| *why == Closed::Local(ReasonCode::SESSION_TAKEN_OVER);
        site.until(|event| matches!(event, Event::Disconnected { why, .. } if local(why))).await;
        // It would connect again, and take over in its turn.
        drop((first, second));
    }
}

#[tokio::test]
async fn the_application_publishes_and_learns_who_got_it() {
    let mut site = site().await;
    let sub = site.sub("mqttv5", &["-q", "1", "-C", "1", "-t", "cmd/#"]).await;
    let command = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("cmd/valve"),
        packet_id: None,
        properties: Properties::default(),
        payload: Bytes::from_static(b"close"),
    };
    let settled = timeout(PATIENCE, site.server.publish(command.clone())).await.unwrap().unwrap();
    assert_eq!((settled.delivered, settled.dropped), (1, 0));
    assert_eq!(lines(sub).await, ["close"]);
    // The program ends before the server has read its DISCONNECT.
    site.until(|event| matches!(event, Event::Disconnected { .. })).await;
    let nobody = timeout(PATIENCE, site.server.publish(command)).await.unwrap().unwrap();
    assert_eq!((nobody.delivered, nobody.dropped), (0, 0));
}

#[tokio::test]
async fn ten_thousand_lines_of_one_publisher_all_arrive_in_order() {
    let mut site = site().await;
    let mut publisher = client(&site.server, "mosquitto_pub", "mqttv311", &["-q", "1", "-t", "a", "-l"]);
    let mut publisher = publisher.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publisher.stdin.take().unwrap();
    let text: String = (0..10_000).map(|n| format!("{n}\n")).collect();
    let begin = std::time::Instant::now();
    stdin.write_all(text.as_bytes()).await.unwrap();
    drop(stdin);
    for n in 0..10_000 {
        let message = site.seen().await;
        assert_eq!(message.payload, n.to_string().as_bytes());
    }
    assert!(timeout(PATIENCE, publisher.wait()).await.unwrap().unwrap().success());
    println!("executed mosquitto_pub_lines: 10000 cases in {} ms", begin.elapsed().as_millis());
}
