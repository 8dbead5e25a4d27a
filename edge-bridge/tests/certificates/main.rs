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
mod records;
mod refusal_words;
mod revoked;
mod silent;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_bridge::ingest::Now;
use edge_bridge::listener::{Access, Authenticate, Event, LoginRequest};
use edge_bridge::net::{Bridge, Receipt, Server, ServerTls, Tls};
use edge_bridge::wire::ReasonCode;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(40);

/// User name by the certificate of the client that connected last.
struct Named(Arc<Mutex<Option<String>>>);

impl Authenticate for Named {
    fn authenticate(&mut self, _: Now, login: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        *self.0.lock().unwrap() = login.certificate_name.map(str::to_owned);
        Ok(())
    }
}

/// Has a bridge with these settings deliver a message to a server with those. The error of either side that says more, if they do not agree.
async fn deliver(bridge: Tls, server: ServerTls) -> Result<(), String> {
    deliver_as(bridge, server).await.map(drop)
}

/// Returns the user name by the certificate of the bridge.
async fn deliver_as(bridge: Tls, server: ServerTls) -> Result<Option<String>, String> {
    let (refused, user) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
    let tell = refused.clone();
    let server = Server::builder()
        .tls(server)
        .access(Access::of(Named(user.clone())))
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
            let is_own = |said: &String| {
                !["alert", "went away", "closed", "ended the connection"]
                    .iter()
                    .any(|word| said.contains(word))
            };
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
                Ok(user.lock().unwrap().clone())
            }
            error = error => Err(error),
        }
    });
    result.await.expect("delivered or refused")
}
