//! An MQTT server for sensors with decisions of its own: readings are stored, repeated values absorbed, nonsense refused; and a sink of its own.
//!
//! ```text
//! 21.5: HandedOver
//! 21.5: HandedOver
//! 180: HandedOver
//! ajar: refused
//! stored: 2 readings, and the refused message as a dead letter
//! ```
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::Ticket;
use edge_bridge::net::Server;
use edge_bridge::net::server::{Receipts, Sink};
use edge_bridge::wire::{ReasonCode, Utf8};
use edge_bridge::{Bridge, Closed, Row};

/// Stores what has changed. Called once for each message, in order.
#[derive(Default)]
struct Changes {
    last: HashMap<Utf8, f64>,
}

impl Ingest for Changes {
    fn ingest(&mut self, _now: Now, message: &Inbound) -> Answer {
        let value = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse::<f64>().ok());
        // The publisher is told, and the message is stored all the same: as a dead letter.
        let Some(value) = value else { return Answer::Refuse(ReasonCode::PAYLOAD_FORMAT_INVALID) };
        if self.last.insert(message.topic.clone(), value) == Some(value) {
            return Answer::Absorb;
        }
        let mut row = Row::new(message.topic.clone(), message.payload.clone());
        row.lane = Some(u8::from(value < 100.0));
        Answer::Store(vec![row])
    }
}

/// Rows in memory, safe at once. In a product this is a queue on disk: `net::server::QueueSink`.
struct Shelf {
    rows: Arc<Mutex<Vec<Row>>>,
    receipts: Receipts,
}

impl Sink for Shelf {
    fn has_room(&mut self) -> bool {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).len() < 100
    }

    fn push(&mut self, ticket: Ticket, rows: Vec<Row>) -> Result<(), Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
        // Only now the sensor gets its PUBACK.
        self.receipts.resolve(ticket);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let shelf = Arc::new(Mutex::new(Vec::new()));
    let rows = Arc::clone(&shelf);
    let server = Server::builder()
        .start("127.0.0.1:0", Changes::default(), |receipts| Shelf { rows, receipts })
        .await?;

    // Any MQTT client is a sensor; here the bridge of this crate.
    let sensor =
        Bridge::builder(&format!("mqtt://{}", server.local_addr())).client_id("sensor").start().await?;
    for payload in ["21.5", "21.5", "180"] {
        println!("{payload}: {:?}", sensor.publish("oven/temperature", payload).await?.await?);
    }
    // A refused message waits at a bridge for a server that takes it.
    let refused = sensor.publish("oven/door", "ajar").await?;
    sensor.watch().wait_for(|stats| stats.last_refusal.is_some()).await?;
    println!("ajar: refused");

    let rows = std::mem::take(&mut *shelf.lock().unwrap_or_else(PoisonError::into_inner));
    let stored: Vec<_> =
        rows.iter().map(|row| (&row.payload[..], row.lane, row.dead_letter.is_some())).collect();
    let expected = [(&b"21.5"[..], Some(1), false), (b"180", Some(0), false), (b"ajar", None, true)];
    assert_eq!(stored[..3], expected);
    println!("stored: 2 readings, and the refused message as a dead letter");
    assert_eq!(sensor.close().await?, Closed::Lost(1));
    assert!(refused.await.is_err(), "never acknowledged as taken");
    Ok(())
}
