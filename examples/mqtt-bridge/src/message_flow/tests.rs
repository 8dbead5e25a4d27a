use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use edge_bridge::Bridge;
use edge_bridge::bridge::topic_rules::Rule;
use edge_bridge::wire::{PropertiesBuilder, Utf8};
use edge_queue::{Config, OnFull};
use futures_util::FutureExt;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::outlets::Outlets;

fn row(topic: &str, bytes: usize) -> Row {
    Row::new(Utf8::try_from(topic).unwrap(), vec![b'x'; bytes].into())
}

/// To a hub that is not there.
async fn bridge(dir: &std::path::Path, config: Config) -> Arc<Bridge> {
    let bridge = Bridge::builder("mqtt://127.0.0.1:1").client_id("c").spool_dir(dir).queue_config(config);
    Arc::new(bridge.start().await.unwrap())
}

async fn flow(dir: &std::path::Path) -> MessageFlow {
    flow_to(bridge(dir, Config::default().max_messages(2).on_full(OnFull::Reject)).await)
}

fn flow_to(bridge: Arc<Bridge>) -> MessageFlow {
    MessageFlow {
        connection: "up".to_owned(),
        to: Destination::Bridge(bridge),
        rules: Rules::default(),
        map: Rules::map_out,
        keeps_retain: true,
    }
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_room_and_leaves_the_message_unacknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let flow = flow(dir.path()).await;
    let (stop, mut stopped) = watch::channel(false);
    let (mut causes, mut on_the_way) = (Causes::default(), OnTheWay::new());
    for _ in 0..2 {
        let handed = hand_on(&flow, row("a", 1), &mut causes, &mut on_the_way, &mut stopped).await;
        assert!(matches!(handed, Handed::Taken(_)));
    }
    let full = hand_on(&flow, row("a", 1), &mut causes, &mut on_the_way, &mut stopped);
    let stopping = async {
        sleep(Duration::from_millis(300)).await;
        stop.send_replace(true);
    };
    let both = futures_util::future::join(full, stopping);
    let (handed, ()) = timeout(Duration::from_secs(10), both).await.expect("the wait ends");
    assert!(matches!(handed, Handed::NotNow));
    assert!(causes.full.count > 1 && causes.full.said_at.is_some(), "tried again, and told");
}

#[tokio::test]
async fn a_message_that_no_queue_takes_is_told_from_one_that_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let flow = flow(dir.path()).await;
    let (_stop, mut stopped) = watch::channel(false);
    let (mut causes, mut on_the_way) = (Causes::default(), OnTheWay::new());
    // The other side would close the connection at it, and again each time.
    let mut noted = row("a", 1);
    let mut properties = PropertiesBuilder::new();
    properties.user("note", "line 1\nline 2").unwrap();
    noted.properties = properties.finish();
    for row in [row("a", 1 << 20), row("a\u{1}", 1), row(&"a/".repeat(200), 1), noted] {
        let handed = hand_on(&flow, row, &mut causes, &mut on_the_way, &mut stopped).await;
        assert!(matches!(handed, Handed::Never));
    }
    assert_eq!((causes.never.count, causes.refused.count), (4, 0));
    let closed = PushError::Closed { row: Box::new(edge_queue::Row::new("x")) };
    assert!(!is_final(&PublishError::Refused { source: closed.into() }));
}

/// Everything goes out.
fn all_out() -> Rules {
    Rules::new(vec![Rule::parse("# out 1").unwrap()])
}

/// The source would send them no more, and a kill would lose them.
#[tokio::test]
async fn what_is_in_the_queue_and_not_on_disk_yet_is_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let bridge = bridge(dir.path(), Config::default().ack_within(Duration::from_secs(3_600))).await;
    let outlets = Outlets::default();
    let outlet = outlets.open("up", all_out());
    let mut told: Vec<_> = (0..3).map(|_| outlets.pass_on("other", &row("a", 1))).collect();
    let flow = MessageFlow { rules: all_out(), ..flow_to(bridge.clone()) };
    let (stop, stopped) = watch::channel(false);
    let carrying = tokio::spawn(carry(Source::Outlet(outlet), flow, stopped));
    // What can be acknowledged is, before another message is taken.
    let all_pushed = async {
        while bridge.spool_stats().await.unwrap().messages < 3 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), all_pushed).await.expect("all are in the queue");
    assert!(told.iter_mut().take(2).all(|told| told.now_or_never().is_none()));
    bridge.commit().await;
    for each in told {
        timeout(Duration::from_secs(30), each).await.expect("safe, and acknowledged");
    }
    stop.send_replace(true);
    carrying.await.unwrap();
}

/// The hub is away and the queue is full: who published what is on disk has the PUBACK, and does not send it again.
#[tokio::test]
async fn what_is_safe_is_acknowledged_while_another_message_waits_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let outlets = Outlets::default();
    let outlet = outlets.open("up", all_out());
    let mut told: Vec<_> = (0..3).map(|_| outlets.pass_on("other", &row("a", 1))).collect();
    let flow = MessageFlow { rules: all_out(), ..flow(dir.path()).await };
    let (stop, stopped) = watch::channel(false);
    let carrying = tokio::spawn(carry(Source::Outlet(outlet), flow, stopped));
    let third = told.pop().unwrap();
    for first in told {
        timeout(Duration::from_secs(30), first).await.expect("safe, and acknowledged");
    }
    assert!(timeout(Duration::from_millis(300), third).await.is_err(), "it waits for room");
    stop.send_replace(true);
    carrying.await.unwrap();
}

/// Log of a thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Collects what this thread logs, until the guard is dropped.
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// They were acknowledged: the log is all that is seen of them.
#[tokio::test]
async fn a_stop_tells_all_messages_that_were_dropped() {
    let (log, _guard) = Log::start();
    let dir = tempfile::tempdir().unwrap();
    let outlets = Outlets::default();
    let outlet = outlets.open("up", all_out());
    // No line takes the last two.
    let rules = Rules::new(vec![Rule::parse("a/# out 1").unwrap()]);
    let told: Vec<_> = ["a/1", "a/2", "a/3", "b", "b"]
        .map(|topic| outlets.pass_on("other", &row(topic, 1 << 20)))
        .into_iter()
        .collect();
    let flow = MessageFlow { rules, ..flow(dir.path()).await };
    let (stop, stopped) = watch::channel(false);
    let carrying = tokio::spawn(carry(Source::Outlet(outlet), flow, stopped));
    for each in told {
        timeout(Duration::from_secs(30), each).await.expect("dropped, and acknowledged");
    }
    stop.send_replace(true);
    carrying.await.unwrap();
    let log = log.text();
    for (line, counts) in [
        ("the queue can never take", ["messages=1", "messages=3"]),
        ("no topic line takes", ["messages=1", "messages=2"]),
    ] {
        let lines: Vec<_> = log.lines().filter(|text| text.contains(line)).collect();
        assert!(
            lines.len() == 2 && lines.iter().zip(counts).all(|(line, count)| line.contains(count)),
            "{log}"
        );
    }
}

/// A sender at the hub writes no fields of this program.
#[tokio::test]
async fn a_topic_forges_no_field_of_a_line() {
    let (log, _guard) = Log::start();
    let dir = tempfile::tempdir().unwrap();
    let (flow, topic) = (flow(dir.path()).await, "a connection=down topic=\"b\" attempts=9");
    let closed = || PublishError::Refused {
        source: PushError::Closed { row: Box::new(edge_queue::Row::new("x")) }.into(),
    };
    let mut causes = Causes::default();
    causes.unmapped(&flow, topic);
    causes.full(&flow, topic);
    causes.refused(&flow, topic, &closed(), true);
    causes.refused(&flow, topic, &closed(), false);
    let log = log.text();
    let shown = r#" topic="a connection=down topic=\"b\" attempts=9" "#;
    assert_eq!(log.lines().filter(|line| line.contains(shown)).count(), 4, "{log}");
}
