//! A whole gateway inside another program, with a filter and an ingest of that program's; sensor and hub are here, too, on loopback.

use std::time::Duration;

use edge_bridge::Bridge;
use edge_bridge::ingest::Answer;
use edge_bridge::net::Server;
use edge_codec::{Limits, Value};
use edge_filter::reduce::Deadband;
use edge_filter::{Pipeline, Rule};
use edge_gateway::{Format, Gateway, Verdict};

/// Runs the gateway until the hub has what a filter keeps of three readings.
///
/// # Errors
/// Something cannot be started on loopback, or says nothing for ten seconds.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, mut arrived) = tokio::sync::mpsc::channel(100);
    let note = move |_, message: &edge_bridge::ingest::Inbound| drop(tell.try_send(message.payload.clone()));
    let hub = Server::builder().start_observer("127.0.0.1:0", note).await?;
    let state = std::env::temp_dir().join(format!("edge-gateway-embedded-{}", std::process::id()));

    let steps = Pipeline::builder().rule("plant/#", Rule::new().reducer(Deadband::absolute(0.5)?))?.build();
    let gateway = Gateway::builder("site7", &format!("mqtt://{}", hub.local_addr()))
        .listen("127.0.0.1:0".parse()?)
        .route("plant/#", "site7/readings", Format::Json)
        .filter("plant/#", steps)
        .ingest(|_, message| message.topic.ends_with("/test").then_some(Answer::Absorb))
        .start(&state)
        .await?;

    let address = gateway.address().ok_or("it listens")?;
    let sensor = Bridge::builder(&format!("mqtt://{address}")).client_id("sensor").start().await?;
    for (time, topic, value) in [(1, "temp", 20.5), (2, "temp", 20.6), (3, "test", 99.5), (4, "temp", 21.5)] {
        let payload = format!("{{\"value\":{value},\"ts\":{time}}}");
        drop(sensor.publish(&format!("plant/{topic}"), payload).await?);
    }
    let mut values = Vec::new();
    while values.len() < 2 {
        let payload = tokio::time::timeout(Duration::from_secs(8), arrived.recv()).await?;
        let payload = payload.ok_or("the hub is gone")?;
        for reading in edge_codec::Format::Json.decode(&payload, &Limits::default())? {
            values.push(reading?.value.into_owned());
        }
    }
    assert_eq!(values, [20.5, 21.5].map(Value::F64), "20.6 is in the deadband, and no test is a reading");
    let status = gateway.status().await;
    assert!(status.verdict != Verdict::Losing && status.queued.is_some(), "{status:?}");
    println!("the hub has {values:?}; the gateway is {}", status.verdict);
    let _ = sensor.close().await?;
    gateway.stop().await?;
    hub.shutdown(Duration::from_secs(1)).await;
    Ok(std::fs::remove_dir_all(&state)?)
}
