//! Store and forward in a program of its own: messages are taken while there is no hub, are safe on disk, and arrive when it comes.
//!
//! ```text
//! 21.5: Stored
//! 21.6: Stored
//! 21.7: Stored
//! messages waiting: 3
//! the hub got 21.5, 21.6, 21.7
//! closed: Delivered
//! ```
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use edge_bridge::net::Server;
use edge_bridge::{Bridge, Closed, Receipt};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A port on which nobody listens yet: the hub is down.
    let hub = Server::builder().start_observer("127.0.0.1:0", |_, _| {}).await?;
    let address = hub.local_addr();
    drop(hub);

    let dir = tempfile::tempdir()?;
    let bridge = Bridge::builder(&format!("mqtt://{address}"))
        .client_id("site7")
        .spool_dir(dir.path().join("spool"))
        .start()
        .await?;
    for celsius in ["21.5", "21.6", "21.7"] {
        let receipt = bridge.publish("plant/1/temperature", celsius).await?.await?;
        println!("{celsius}: {receipt:?}");
        assert_eq!(receipt, Receipt::Stored, "there is no hub that could have it");
    }
    let waiting = bridge.watch().wait_for(|stats| stats.waiting == 3).await?.waiting;
    println!("messages waiting: {waiting}");

    // The hub comes, and gets all of it in order. A stand-in for a broker: it shows what it gets, and acknowledges it.
    let (show, mut seen) = mpsc::channel(16);
    let _hub = Server::builder()
        .start_observer(address, move |_, message| {
            // Nobody looks any more: the program ends.
            let _ = show.try_send(String::from_utf8_lossy(&message.payload).into_owned());
        })
        .await?;
    let mut arrived = Vec::new();
    while arrived.len() < 3 {
        arrived.extend(seen.recv().await);
    }
    println!("the hub got {}", arrived.join(", "));
    assert_eq!(arrived, ["21.5", "21.6", "21.7"]);
    let closed = bridge.close_within(Duration::from_secs(10)).await?;
    println!("closed: {closed:?}");
    assert_eq!(closed, Closed::Delivered);
    Ok(())
}
