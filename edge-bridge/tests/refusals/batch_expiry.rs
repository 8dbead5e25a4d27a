//! Message Expiry Interval of batches, in virtual time: a hub may drop a batch when its last reading has expired, and not before.

use std::cell::RefCell;
use std::rc::Rc;

use crate::refusal_support::{Answer, Rig, TestPack, text};
use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::wire::PropertyId;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// Message Expiry Intervals, in seconds, of a batch of rows with these times to live: as it was sent, and as it was resent in the same session `gone_ms` later.
fn expiries(ttls_ms: &[Option<u64>], gone_ms: u64) -> Vec<Option<u32>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let hub = Rc::clone(&seen);
    let mut rig = Rig::with(TestPack::batches(4), move |_, publish| {
        hub.borrow_mut().push(publish.properties.u32(PropertyId::MessageExpiryInterval));
        Answer::Silent
    });
    for (n, ttl_ms) in (0u32..).zip(ttls_ms) {
        let mut row = Row::new(text("t/0"), Bytes::from(n.to_string()));
        row.ttl_ms = *ttl_ms;
        rig.push_row(row);
    }
    rig.run_until(100);
    rig.hub_is_gone = true;
    rig.cut();
    rig.now_ms += gone_ms;
    rig.hub_is_gone = false;
    let now_ms = rig.now_ms;
    rig.run_until(now_ms + SECOND);
    seen.take()
}

#[test]
fn a_batch_is_kept_by_the_hub_until_its_last_reading_expires() {
    assert_eq!(expiries(&[Some(20 * SECOND), Some(HOUR)], 60 * SECOND), [Some(3_600), Some(3_540)]);
    assert_eq!(expiries(&[Some(HOUR), Some(20 * SECOND)], 60 * SECOND), [Some(3_600), Some(3_540)]);
}

#[test]
fn a_batch_with_a_reading_that_never_expires_has_no_expiry() {
    assert_eq!(expiries(&[Some(20 * SECOND), None], 60 * SECOND), [None, None]);
}

#[test]
fn a_batch_whose_readings_all_expired_in_flight_has_a_second_left() {
    assert_eq!(expiries(&[Some(20 * SECOND), Some(40 * SECOND)], 60 * SECOND), [Some(40), Some(1)]);
}
