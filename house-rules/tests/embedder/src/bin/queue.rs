//! The queue from a program without tokio.

use std::time::Duration;

use bytes::Bytes;
use edge_queue::{Config, OnFull, Queue, Receipt, Row, Wait};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn send(payload: &[u8]) {
    assert_eq!(payload, b"21.5");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("embedder-queue-{}", std::process::id()));
    let payload = Bytes::from_static(b"21.5");

    let q = Queue::open(&dir, Config::default().max_messages(100_000).on_full(OnFull::DropOldest))?;
    let r = q.push(Row::new(payload).key("site/a").ttl(HOUR))?;
    assert!(matches!(r.wait()?, Receipt::Stored | Receipt::HandedOver));
    let mut hub = q.consumer("hub")?;
    let mut leased = 0;
    for lease in hub.lease(100, Wait::For(SECOND))? {
        send(lease.payload());
        lease.ack();
        leased += 1;
    }
    assert_eq!(leased, 1);
    drop(hub);
    drop(q);
    std::fs::remove_dir_all(&dir)?;
    println!("queue: ok");
    Ok(())
}
