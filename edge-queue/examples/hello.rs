//! The whole cycle in one page: open, push, lease, acknowledge, look at the account, close.
//!
//! `cargo run -p edge-queue --example hello`
//!
//! ```text
//! 3 rows survive a power cut
//! sent 21.5
//! sent 21.6
//! 3 accepted, 2 delivered, 1 queued
//! ```
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use edge_queue::{Config, Queue, Receipt, Row, Wait};

fn main() -> Result<(), Box<dyn Error>> {
    let spool = tempfile::tempdir()?;
    let queue = Queue::open(spool.path(), Config::default().max_bytes(4 * 1024 * 1024))?;
    // Registered before the first push: each row is then owed to it.
    let mut hub = queue.consumer("hub")?;

    let receipts =
        queue.push_batch(["21.5", "21.6", "21.4"].map(|value| Row::new(value).key("site/boiler")))?;
    queue.commit()?;
    for receipt in &receipts {
        assert_eq!(receipt.wait()?, Receipt::Stored);
    }
    println!("{} rows survive a power cut", receipts.len());

    for lease in hub.lease(2, Wait::For(Duration::from_secs(1)))? {
        println!("sent {}", String::from_utf8_lossy(lease.payload()));
        lease.ack();
    }
    // Leased and not acknowledged: it goes back to its old place.
    drop(hub.lease(1, Wait::None)?);

    let ledgers = queue.ledger();
    let ledger = ledgers.iter().find(|ledger| ledger.accepted > 0).ok_or("a lane with rows")?;
    assert!(ledger.balanced());
    println!("{} accepted, {} delivered, {} queued", ledger.accepted, ledger.delivered, ledger.queued);
    assert_eq!((ledger.accepted, ledger.delivered, ledger.queued), (3, 2, 1));
    queue.close()?;
    Ok(())
}
