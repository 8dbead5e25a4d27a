//! The same queue from a tokio program: a handle over the same writer.

use bytes::Bytes;
use edge_queue::{Config, Receipt, Row};
use futures_util::StreamExt;

async fn upload(chunk: &edge_queue::Chunk) -> Result<(), std::convert::Infallible> {
    assert!(chunk.iter().all(|lease| lease.payload().starts_with(b"row ")));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("embedder-aio-{}", std::process::id()));
    let q = edge_queue::aio::Queue::open(&dir, Config::default()).await?;
    for number in 0..3 {
        let receipt = q.push(Row::new(Bytes::from(format!("row {number}")))).await?.await?;
        assert!(matches!(receipt, Receipt::Stored | Receipt::HandedOver));
    }
    let mut hub = q.consumer("hub").await?;
    let mut seen = 0;
    while let Some(chunk) = hub.next_chunk(100).await? {
        upload(&chunk).await?;
        seen += chunk.iter().count();
        chunk.ack();
        if seen == 3 {
            break;
        }
    }
    // A consumer is a Stream too.
    let _receipt = q.push(Row::new(Bytes::from_static(b"row 3"))).await?;
    let lease = hub.next().await.ok_or("the stream ended")??;
    assert_eq!(lease.payload(), &b"row 3"[..]);
    lease.ack();
    drop(hub);
    drop(q);
    std::fs::remove_dir_all(&dir)?;
    println!("queue_async: ok");
    Ok(())
}
