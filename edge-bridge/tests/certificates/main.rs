//! Handshakes between a bridge and a server of this crate, with certificates that are good at some times or for some only.
#![cfg(feature = "net")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]

mod authority;
mod clock_floor;
mod forwarded;
mod revoked;
mod silent;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::listener::Event;
use edge_bridge::net::{Bridge, Receipt, Server, ServerTls, Tls};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(40);

/// Has a bridge with these settings deliver a message to a server with those. The error of either side that says more, if they do not agree.
async fn deliver(bridge: Tls, server: ServerTls) -> Result<(), String> {
    let refused = Arc::new(Mutex::new(None));
    let tell = refused.clone();
    let server = Server::builder()
        .tls(server)
        .on_event(move |event, _| {
            if let Event::NoTls { error, .. } = event {
                *tell.lock().unwrap() = Some(error.clone());
            }
        })
        .start_observer("127.0.0.1:0", |_, _| {})
        .await
        .unwrap();
    let url = format!("mqtts://localhost:{}", server.local_addr().port());
    let bridge = Bridge::builder(&url).client_id("site7").tls(bridge).start().await.unwrap();
    let receipt = bridge.publish("a", "1").await.unwrap();
    let error = async {
        loop {
            let of_server = refused.lock().unwrap().clone();
            let mut said = [bridge.stats().last_error, of_server].into_iter().flatten();
            // Whoever is refused is told so by an alert, or by nothing at all.
            let is_own =
                |said: &String| !["alert", "went away", "closed"].iter().any(|word| said.contains(word));
            if let Some(own) = said.find(is_own) {
                return own;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let result = timeout(PATIENCE, async {
        tokio::select! {
            receipt = receipt => {
                assert!(matches!(receipt.unwrap(), Receipt::HandedOver));
                Ok(())
            }
            error = error => Err(error),
        }
    });
    result.await.expect("delivered or refused")
}
