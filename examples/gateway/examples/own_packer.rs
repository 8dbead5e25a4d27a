//! A gateway whose batches are in a format of the program's own: lines of text. Sensor and hub are here, too, on loopback.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Bridge;
use edge_bridge::ingest::Inbound;
use edge_bridge::net::Server;
use edge_codec::Value;
use edge_gateway::{Format, Gateway, PackedBatch, Packer};

/// `SENSOR TIME VALUE`, a line for each reading.
#[derive(Debug)]
struct Lines;

impl Packer for Lines {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn pack(&mut self, batch: &PackedBatch<'_>) -> Bytes {
        let mut lines = String::new();
        for (_, reading) in batch.readings {
            let value = match &reading.value {
                Value::F64(value) => value.to_string(),
                other => format!("{other:?}"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{} {} {value}", reading.sensor, reading.time);
        }
        lines.into()
    }
}

/// Runs the gateway until the hub has two readings.
///
/// # Errors
/// Something cannot be started on loopback, or says nothing for ten seconds.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, mut arrived) = tokio::sync::mpsc::channel(100);
    let note = move |_, message: &Inbound| drop(tell.try_send(message.payload.clone()));
    let hub = Server::builder().start_observer("127.0.0.1:0", note).await?;
    let state = std::env::temp_dir().join(format!("edge-gateway-own-packer-{}", std::process::id()));
    let gateway = Gateway::builder("site7", &format!("mqtt://{}", hub.local_addr()))
        .listen("127.0.0.1:0".parse()?)
        .route("plant/#", "site7/lines", Format::Cbor)
        .packer("plant/#", Lines)
        .start(&state)
        .await?;

    let address = gateway.address().ok_or("it listens")?;
    let sensor = Bridge::builder(&format!("mqtt://{address}")).client_id("sensor").start().await?;
    drop(sensor.publish("plant/temp", r#"[{"value":20.5,"ts":1},{"value":21.5,"ts":2}]"#).await?);
    let mut lines = String::new();
    while lines.lines().count() < 2 {
        let payload = tokio::time::timeout(Duration::from_secs(8), arrived.recv()).await?;
        lines.push_str(std::str::from_utf8(&payload.ok_or("the hub is gone")?)?);
    }
    assert_eq!(lines, "plant/temp 1 20.5\nplant/temp 2 21.5\n");
    print!("{lines}");
    let _ = sensor.close().await?;
    gateway.stop().await?;
    hub.shutdown(Duration::from_secs(1)).await;
    Ok(std::fs::remove_dir_all(&state)?)
}
