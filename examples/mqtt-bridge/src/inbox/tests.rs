use edge_bridge::Bridge;
use edge_bridge::bridge::topic_rules::{Rule, Rules};
use std::io;

use edge_bridge::net::Server;
use edge_bridge::net::server::{ClientStore, NoQueue};
use edge_bridge::wire::Subscription;

use super::*;
use crate::outlets::OutletIngest;

fn row(topic: &'static str, n: usize) -> Row {
    Row::new(Utf8::from_static(topic), n.to_string().into())
}

/// A broker, and a client that has subscribed to everything.
async fn broker_and_client() -> (Server, Bridge, edge_bridge::net::Commands) {
    let server = Server::builder()
        .start("127.0.0.1:0", OutletIngest::new(Outlets::default()), |_| NoQueue)
        .await
        .unwrap();
    with_client(server).await
}

async fn with_client(server: Server) -> (Server, Bridge, edge_bridge::net::Commands) {
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

/// Messages from before a start wait for clients; a message keeps its time to live on the way to another connection.
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

/// The program was a client of another local broker before, which refused a message.
#[tokio::test]
async fn what_another_broker_refused_is_counted_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let queue = aio::Queue::open(dir.path(), Config::default()).await.unwrap();
    assert_eq!(parked(&queue).await.unwrap(), 0);
    let beside = queue.open_beside(PARKED, PARKED_MORE_BYTES).await.unwrap();
    drop(beside.consumer(CONSUMER).await.unwrap());
    beside.push(row("t", 1).into_queue_row()).await.unwrap().await.unwrap();
    beside.close().await.unwrap();
    for _ in 0..2 {
        assert_eq!(parked(&queue).await.unwrap(), 1);
    }
}

/// A store that takes nothing.
struct Refusing;

impl ClientStore for Refusing {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn save(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// At a stop the broker ends before the queue is closed. The session of its client ends with it, unsaved: the disk has the only copy.
#[tokio::test]
async fn what_no_client_has_acknowledged_at_the_brokers_end_stays_on_disk() {
    let server = Server::builder().client_store(Refusing);
    let server = server.start("127.0.0.1:0", OutletIngest::new(Outlets::default()), |_| NoQueue);
    let (server, _client, mut messages) = with_client(server.await.unwrap()).await;
    let (dir, config) = (tempfile::tempdir().unwrap(), Config::default());
    let publisher = server.publisher();
    let inbox = Inbox::open(dir.path(), config, "a", publisher, Outlets::default(), Instant::now());
    let inbox = inbox.await.unwrap();
    assert!(inbox.push(row("t", 1)).await.unwrap().await);
    let given = timeout(Duration::from_secs(30), messages.next()).await.unwrap().unwrap();
    assert_eq!(given.topic(), "t");
    drop(server);
    assert_eq!(inbox.close().await, Ok(1));
    drop(given);
}

/// Messages for a client that is away are holes among those that others acknowledge, and a queue keeps a thousand holes: these are let go of,
/// although the session that has them cannot be saved.
#[tokio::test]
async fn a_client_that_is_away_holds_up_nobody_though_sessions_cannot_be_saved() {
    const EACH: usize = 1_300;
    let server = Server::builder().client_store(Refusing);
    let server =
        server.start("127.0.0.1:0", OutletIngest::new(Outlets::default()), |_| NoQueue).await.unwrap();
    let url = format!("mqtt://{}", server.local_addr());
    let subscribed = async |id: &str| {
        let client = Bridge::builder(&url).client_id(id).start().await.unwrap();
        let filter = Subscription::new(Utf8::try_from(id).unwrap(), QoS::AtLeastOnce);
        let mut messages = client.subscribe_all([filter]).await.unwrap();
        while !messages_wait(&mut messages).await {
            let probe = Publish { topic: Utf8::try_from(id).unwrap(), ..publish_of(&row("", 0)).unwrap() };
            server.publish(Publish { qos: QoS::AtMostOnce, ..probe }).await.unwrap();
        }
        while messages_wait(&mut messages).await {}
        (client, messages)
    };
    let (away, messages) = subscribed("away").await;
    drop(messages);
    let _ = away.close().await.unwrap();
    let (_here, mut messages) = subscribed("here").await;
    let dir = tempfile::tempdir().unwrap();
    let publisher = server.publisher();
    let inbox =
        Inbox::open(dir.path(), Config::default(), "a", publisher, Outlets::default(), Instant::now());
    let inbox = inbox.await.unwrap();
    for n in 0..EACH {
        drop(inbox.push(row("away", n)).await.unwrap());
        drop(inbox.push(row("here", n)).await.unwrap());
    }
    for n in 0..EACH {
        let message = timeout(Duration::from_secs(30), messages.next()).await;
        let message = message.unwrap_or_else(|_| panic!("stuck at {n}")).unwrap();
        assert_eq!(message.payload(), n.to_string().as_bytes());
        message.done();
    }
    inbox.close().await.unwrap();
}

/// A connection whose queue does not open, or whose disk fails, takes nothing: clients get what comes behind.
#[tokio::test]
async fn a_connection_that_stores_nothing_holds_up_nobody() {
    const MESSAGES: usize = 1_300;
    let (server, _client, mut messages) = broker_and_client().await;
    let dir = tempfile::tempdir().unwrap();
    let outlets = Outlets::default();
    let stuck = outlets.open("stuck", Rules::new(vec![Rule::parse("# out 1").unwrap()]));
    let config = Config::default();
    let inbox = Inbox::open(dir.path(), config, "a", server.publisher(), outlets, Instant::now());
    let inbox = inbox.await.unwrap();
    for n in 0..MESSAGES {
        drop(inbox.push(row("t", n)).await.unwrap());
    }
    let mut next = 0;
    while next < MESSAGES {
        let message = timeout(Duration::from_secs(30), messages.next()).await;
        let message = message.unwrap_or_else(|_| panic!("stuck at {next}")).unwrap();
        if message.topic() == "t" {
            assert_eq!(message.payload(), next.to_string().as_bytes());
            next += 1;
        }
        message.done();
    }
    // It takes messages again: the last ones wait for it, on disk here meanwhile.
    let mut taken = Vec::new();
    while taken.last() != Some(&(MESSAGES - 1)) {
        let (row, share) = timeout(Duration::from_secs(30), stuck.next()).await.expect("the last ones");
        taken.push(std::str::from_utf8(&row.payload).unwrap().parse::<usize>().unwrap());
        share.done();
    }
    assert!((NOT_PASSED_ON_MAX..=NOT_PASSED_ON_MAX + MESSAGES_MAX).contains(&taken.len()), "{}", taken.len());
    let is_empty = async {
        while inbox.queue.ledger().iter().any(|lane| lane.queued > 0) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), is_empty).await.expect("all were acknowledged");
    inbox.close().await.unwrap();
}
