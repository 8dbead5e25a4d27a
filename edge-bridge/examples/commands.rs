//! Commands from a hub: each is acknowledged when the program says that it is done, and not before.
//!
//! ```text
//! cmd/valve: close
//! cmd/valve: open
//! the hub has 2 acknowledgements
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a program of its own")]

use std::error::Error;

use edge_bridge::Bridge;
use edge_bridge::listener::Event;
use edge_bridge::net::Server;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8};
use tokio::sync::mpsc;

fn command(payload: &'static str) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static("cmd/valve"),
        packet_id: None,
        properties: Properties::default(),
        payload: payload.into(),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A stand-in for a broker: it says when somebody has subscribed.
    let (say, mut said) = mpsc::channel(16);
    let hub = Server::builder()
        .on_event(move |event, _| {
            if matches!(event, Event::Subscribed { .. }) {
                let _ = say.try_send(());
            }
        })
        .start_observer("127.0.0.1:0", |_, _| {})
        .await?;
    let bridge = Bridge::builder(&format!("mqtt://{}", hub.local_addr())).client_id("site7").start().await?;
    let mut commands = bridge.subscribe("cmd/#").await?;
    said.recv().await.ok_or("the hub has ended")?;

    // The hub's side of each command ends when it is acknowledged.
    let publisher = hub.publisher();
    let settled = tokio::spawn(async move {
        let first = publisher.publish(command("close")).await?;
        let second = publisher.publish(command("open")).await?;
        Ok::<_, edge_bridge::net::server::Ended>([first, second])
    });
    for expected in ["close", "open"] {
        let command = commands.next().await.ok_or("the bridge is closed")?;
        let payload = String::from_utf8_lossy(command.payload()).into_owned();
        assert!(!settled.is_finished(), "not acknowledged before it is done");
        println!("{}: {payload}", command.topic());
        assert_eq!(payload, expected);
        // The valve moves here. A command that is dropped instead comes again.
        command.done();
    }
    let delivered: u32 = settled.await??.iter().map(|command| command.delivered).sum();
    println!("the hub has {delivered} acknowledgements");
    assert_eq!(delivered, 2);
    let _ = bridge.close().await?;
    Ok(())
}
