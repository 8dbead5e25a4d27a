//! A plain MQTT 5 client, as `docs/guide/from-rumqttc.md` shows it: messages in memory, or in a directory.
//!
//! Arguments: the hub's URL, and the directory if there is one.

use edge_bridge::Bridge;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("URL [DIRECTORY]")?;

    let mut builder = Bridge::builder(&url).client_id("site7");
    if let Some(directory) = arguments.next() {
        builder = builder.spool_dir(directory);
    }
    let bridge = builder.start().await?;
    let mut messages = bridge.subscribe("hello/#").await?;

    let mut receipts = Vec::new();
    for n in 0..10u8 {
        receipts.push(bridge.publish("hello/rust", vec![n]).await?);
    }
    for _ in 0..10 {
        let message = messages.next().await.ok_or("the bridge is closed")?;
        println!("{}: {:?}", message.topic(), message.payload());
        message.done();
    }
    for receipt in receipts {
        println!("{:?}", receipt.await?);
    }
    bridge.close().await?;
    println!("plain_client: ok");
    Ok(())
}
