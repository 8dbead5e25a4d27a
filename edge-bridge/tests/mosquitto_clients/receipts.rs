//! Receipts: a PUBACK waits until the application has the message safe.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::Ticket;
use edge_bridge::net::Server;
use edge_bridge::net::server::{Receipts, Sink};
use edge_bridge::row::Row;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::{PATIENCE, VERSIONS, client, publish, unbounded};

/// Stores every message and lets the test say when it is safe.
struct Store;

impl Ingest for Store {
    fn ingest(&mut self, _: Now, message: &Inbound) -> Answer {
        Answer::Store(vec![Row::new(message.topic.clone(), message.payload.clone())])
    }
}

#[derive(Default)]
struct Shelf {
    tickets: Vec<Ticket>,
    commits: usize,
    full: bool,
}

struct ToShelf(Arc<Mutex<Shelf>>);

impl Sink for ToShelf {
    fn has_room(&mut self) -> bool {
        !self.0.lock().unwrap().full
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        let mut shelf = self.0.lock().unwrap();
        if shelf.full {
            return Err(rows);
        }
        shelf.tickets.push(ticket);
        Ok(())
    }

    fn commit(&mut self) {
        self.0.lock().unwrap().commits += 1;
    }
}

async fn storing() -> (Server, Arc<Mutex<Shelf>>, Receipts) {
    let shelf = Arc::new(Mutex::new(Shelf::default()));
    let (tell, mut told) = unbounded();
    let inner = Arc::clone(&shelf);
    let server = Server::builder()
        .start("127.0.0.1:0", Store, |receipts| {
            tell.send(receipts).unwrap();
            ToShelf(inner)
        })
        .await
        .unwrap();
    (server, shelf, told.recv().await.unwrap())
}

/// Until `done`, with a deadline.
async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let poll = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Promise 1: `mosquitto_pub -q 1` ends when it has its PUBACK.
#[tokio::test]
async fn the_puback_waits_for_the_receipt() {
    let (server, shelf, receipts) = storing().await;
    for version in VERSIONS {
        let mut publisher =
            client(&server, "mosquitto_pub", version, &["-q", "1", "-t", "a", "-m", "x"]).spawn().unwrap();
        wait_until("stored", || !shelf.lock().unwrap().tickets.is_empty()).await;
        // A whole message of another client goes through in the meantime: the server is not just slow.
        assert!(publish(&server, version, &["-q", "0", "-t", "b", "-m", "y"]).await.status.success());
        wait_until("the second is stored", || shelf.lock().unwrap().tickets.len() == 2).await;
        assert_eq!(publisher.try_wait().unwrap(), None, "{version}: acknowledged before it was safe");
        for ticket in std::mem::take(&mut shelf.lock().unwrap().tickets) {
            receipts.resolve(ticket);
        }
        let status = timeout(PATIENCE, publisher.wait()).await.expect("no PUBACK came").unwrap();
        assert!(status.success());
    }
}

/// A queue without room: no PUBACK, no refusal, and all of it goes on when there is room.
#[tokio::test]
async fn a_full_queue_withholds_and_goes_on() {
    let (server, shelf, receipts) = storing().await;
    shelf.lock().unwrap().full = true;
    let mut publisher = client(&server, "mosquitto_pub", "mqttv5", &["-q", "1", "-t", "a", "-l"]);
    let mut publisher = publisher.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = publisher.stdin.take().unwrap();
    for n in 0..50 {
        stdin.write_all(format!("{n}\n").as_bytes()).await.unwrap();
    }
    drop(stdin);
    let poll = async {
        while server.stats().await.unwrap().held == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, poll).await.expect("nothing was held");
    assert_eq!(publisher.try_wait().unwrap(), None);
    assert_eq!(shelf.lock().unwrap().tickets.len(), 0);
    shelf.lock().unwrap().full = false;
    let mut resolved = 0;
    wait_until("all stored", || {
        for ticket in std::mem::take(&mut shelf.lock().unwrap().tickets) {
            receipts.resolve(ticket);
            resolved += 1;
        }
        resolved == 50
    })
    .await;
    assert!(timeout(PATIENCE, publisher.wait()).await.expect("it did not end").unwrap().success());
    assert!(shelf.lock().unwrap().commits > 0, "a publisher with a full window stands still");
}

/// Promise 1 at a clean stop: what was received is acknowledged when it is safe, then everybody is told.
#[tokio::test]
async fn a_shutdown_waits_for_receipts() {
    let (server, shelf, receipts) = storing().await;
    let publisher =
        client(&server, "mosquitto_pub", "mqttv5", &["-d", "-q", "1", "-t", "a", "-m", "x"]).spawn().unwrap();
    wait_until("stored", || !shelf.lock().unwrap().tickets.is_empty()).await;
    let address = server.local_addr();
    let stop = tokio::spawn(server.shutdown(PATIENCE));
    wait_until("a commit is asked for", || shelf.lock().unwrap().commits > 0).await;
    wait_until("nobody is let in", || std::net::TcpListener::bind(address).is_ok()).await;
    assert!(!stop.is_finished());
    let ticket = shelf.lock().unwrap().tickets.pop().unwrap();
    receipts.resolve(ticket);
    let out = timeout(PATIENCE, publisher.wait_with_output()).await.expect("no PUBACK came").unwrap();
    // It may end with an error, since it is told that we stop while it says good-bye; the PUBACK came first.
    assert!(String::from_utf8_lossy(&out.stdout).contains("received PUBACK"), "{out:?}");
    timeout(PATIENCE, stop).await.expect("it did not stop").unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let (server, shelf, _receipts) = storing().await;
    let mut publisher =
        client(&server, "mosquitto_pub", "mqttv5", &["-q", "1", "-t", "a", "-m", "x"]).spawn().unwrap();
    wait_until("stored", || !shelf.lock().unwrap().tickets.is_empty()).await;
    timeout(PATIENCE, server.shutdown(Duration::from_millis(50))).await.expect("it did not stop");
    publisher.kill().await.unwrap();
}
