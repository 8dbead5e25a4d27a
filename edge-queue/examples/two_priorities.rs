//! Two lanes with limits of their own: telemetry that overflows in an outage never evicts an alarm, alarms go first when the link is
//! back, and what was given up is on the account.
//!
//! `cargo run -p edge-queue --example two_priorities`
//!
//! ```text
//! first: alarm 0, alarm 500, alarm 1000, alarm 1500, alarm 2000, alarm 2500, alarm 3000, reading 4000, alarm 3500, alarm 4000, alarm 4500, reading 4001
//! given up: Some(0) alarms, Some(4000) readings
//! gap: readings 1 to 4000 (overflow)
//! ```
#![forbid(unsafe_code)]

use std::error::Error;

use edge_queue::{Config, Lane, LaneConfig, OnFull, Queue, Reason, Row, StoreKind, Wait};

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default()
        .store(StoreKind::Memory)
        .max_messages(1_000)
        .on_full(OnFull::DropOldest)
        .lane(Lane::ALARM, LaneConfig::default().max_messages(50).on_full(OnFull::Reject));
    let queue = Queue::open("", config)?;
    let mut hub = queue.consumer("hub")?;

    // An outage: nobody leases, and more telemetry comes than its lane holds.
    for n in 0..5_000 {
        drop(queue.push(Row::new(format!("reading {n}")))?);
        if n % 500 == 0 {
            drop(queue.push(Row::new(format!("alarm {n}")).lane(Lane::ALARM))?);
        }
    }

    let first: Vec<String> = hub
        .lease(12, Wait::None)?
        .into_iter()
        .map(|lease| {
            let text = String::from_utf8_lossy(lease.payload()).into_owned();
            lease.ack();
            text
        })
        .collect();
    println!("first: {}", first.join(", "));
    let alarms = first.iter().filter(|text| text.starts_with("alarm")).count();
    assert_eq!(alarms, 10, "all alarms are among the first rows");
    assert!(
        first.contains(&"reading 4000".to_owned()),
        "the oldest reading that is left; one row in eight is its lane's"
    );

    let given_up = |lane| {
        let mut ledgers = queue.ledger().into_iter();
        ledgers.find(|ledger| ledger.lane == lane).map(|ledger| ledger.dropped.for_reason(Reason::Overflow))
    };
    println!("given up: {:?} alarms, {:?} readings", given_up(Lane::ALARM), given_up(Lane::TELEMETRY));
    assert_eq!((given_up(Lane::ALARM), given_up(Lane::TELEMETRY)), (Some(0), Some(4_000)));
    for gap in hub.gaps() {
        println!("gap: readings {} to {} ({})", gap.first_seq, gap.last_seq, gap.reason.name());
        assert_eq!((gap.first_seq, gap.last_seq, gap.count), (1, 4_000, 4_000));
    }
    Ok(())
}
