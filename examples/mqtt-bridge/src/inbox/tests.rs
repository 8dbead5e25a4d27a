use edge_bridge::Bridge;
use edge_bridge::bridge::rules::{Rule, Rules};
use edge_bridge::net::Server;
use edge_bridge::net::server::NoQueue;
use edge_bridge::wire::Subscription;

use super::*;
use crate::outlets::OutletIngest;

fn row(topic: &'static str, n: usize) -> Row {
    Row::new(Utf8::from_static(topic), n.to_string().into())
}

/// A broker, and a client that has subscribed to everything.
async fn broker_and_client() -> (Server, Bridge, edge_bridge::net::Commands) {
    let server =
        Server::builder().start("127.0.0.1:0", OutletIngest(Outlets::default()), |_| NoQueue).await.unwrap();
    let client = Bridge::builder(&format!("mqtt://{}", server.local_addr()));
    let client = client.client_id("client").start().await.unwrap();
    let filter = Subscription::new(Utf8::from_static("#"), QoS::AtLeastOnce);
    let mut messages = client.subscribe_all([filter]).await.unwrap();
    // Until it is there: at QoS 0 nobody is waited for.
    while !messages_wait(&mut messages).await {
        let probe = Publish { qos: QoS::AtMostOnce, ..publish_of(&row("probe", 0)).unwrap() };
        server.publish(probe).await.unwrap();
    }
    while messages_wait(&mut messages).await {}
    (server, client, messages)
}

async fn messages_wait(messages: &mut edge_bridge::net::Commands) -> bool {
    match timeout(Duration::from_millis(20), messages.next()).await {
        Ok(Some(message)) => {
            message.done();
            true
        }
        _ => false,
    }
}

/// More messages than the broker takes at a time reach a client in their order, and leave the queue when it has them.
#[tokio::test]
async fn a_backlog_comes_in_its_order() {
    const MESSAGES: usize = 600;
    let (server, _client, mut messages) = broker_and_client().await;
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(
        dir.path(),
        Config::default(),
        "a",
        server.publisher(),
        Outlets::default(),
        Instant::now(),
    );
    let inbox = inbox.await.unwrap();
    for n in 0..MESSAGES {
        drop(inbox.push(row("t", n)).await.unwrap());
    }
    let mut next = 0;
    while next < MESSAGES {
        let message = timeout(Duration::from_secs(30), messages.next()).await.unwrap().unwrap();
        if message.topic() == "t" {
            assert_eq!(message.payload(), next.to_string().as_bytes());
            next += 1;
        }
        message.done();
    }
    let is_empty = async {
        while inbox.queue.ledger().iter().any(|lane| lane.queued > 0) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), is_empty).await.expect("all were acknowledged");
    inbox.close().await.unwrap();
}

/// What was left from before a start waits for clients; a message keeps its time to live on the way to another connection.
#[tokio::test]
async fn what_was_left_waits_for_clients_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let queue = aio::Queue::open(dir.path(), Config::default()).await.unwrap();
    drop(queue.consumer(CONSUMER).await.unwrap());
    let mut left = row("t", 1);
    left.ttl_ms = Some(600_000);
    queue.push(left.into_queue_row()).await.unwrap().await.unwrap();
    queue.close().await.unwrap();
    let (server, _client, mut messages) = broker_and_client().await;
    let outlets = Outlets::default();
    let other = outlets.open("b", Rules::new(vec![Rule::parse("# out 1").unwrap()]));
    let inbox = Inbox::open(
        dir.path(),
        Config::default(),
        "a",
        server.publisher(),
        outlets,
        Instant::now() + Duration::from_secs(2),
    )
    .await
    .unwrap();
    assert!(!messages_wait(&mut messages).await, "not at once");
    let message = timeout(Duration::from_secs(30), messages.next()).await.unwrap().unwrap();
    assert_eq!(
        (message.topic(), message.properties().u32(PropertyId::MessageExpiryInterval).is_some()),
        ("t", true)
    );
    message.done();
    let (passed_on, share) = other.next().await;
    assert!(passed_on.ttl_ms.is_some_and(|left| (1..=600_000).contains(&left)), "{passed_on:?}");
    share.done();
    inbox.close().await.unwrap();
}
