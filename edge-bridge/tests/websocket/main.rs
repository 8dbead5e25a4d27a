//! MQTT over WebSocket, spoken by a foreign client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "test code"
)]

mod foreign;
mod hostile;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::listener::Event;
use edge_bridge::net::{Server, ServerBuilder};
use tokio::time::{sleep, timeout};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// CONNECT of MQTT 3.1.1 as "c", clean session, and its CONNACK.
const CONNECT: &[u8] = &[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 1, b'c'];
const CONNACK: &[u8] = &[0x20, 2, 0, 0];

type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

/// A server with a WebSocket address, and what was published there.
async fn server(builder: ServerBuilder) -> (Server, SocketAddr, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let server = builder
        .ws_listen("127.0.0.1:0".parse().unwrap())
        .start_observer("127.0.0.1:0", move |_, message| log.lock().unwrap().push(message.payload.to_vec()))
        .await
        .unwrap();
    let address = server.addresses()[1].address;
    (server, address, seen)
}

/// A server whose refusals of a handshake are noted.
fn noting() -> (ServerBuilder, Arc<Mutex<Vec<String>>>) {
    let refused = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&refused);
    let builder = Server::builder().on_event(move |event, _| {
        if let Event::NoWebSocket { error, .. } = event {
            log.lock().unwrap().push(error.clone());
        }
    });
    (builder, refused)
}

/// All refusals as soon as there are so many: a client may see its end before the server's owner is told.
async fn refusals(refused: &Mutex<Vec<String>>, count: usize) -> Vec<String> {
    let noted = async {
        while refused.lock().unwrap().len() < count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, noted).await.expect("the refusal is told");
    std::mem::take(&mut *refused.lock().unwrap())
}

/// PUBLISH at QoS 1 to "t".
fn publish(id: u16, payload: &[u8]) -> Vec<u8> {
    let mut size = payload.len() + 5;
    let mut packet = vec![0x32];
    while size > 127 {
        packet.push(0x80 | (size % 128) as u8);
        size /= 128;
    }
    packet.push(size as u8);
    packet.extend([0, 1, b't']);
    packet.extend(id.to_be_bytes());
    packet.extend(payload);
    packet
}
