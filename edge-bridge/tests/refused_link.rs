//! A hub that refuses every message while nothing but parked rows is left: one of them probes the link. Virtual time. Promises 1, 4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod refusal_support;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::Spool;
use edge_bridge::wire::ReasonCode;
use refusal_support::{Answer, Rig, TAKEN, text};

const SECOND: u64 = 1_000;

/// Rows of eight topics, which are refused and then expire.
fn refuse_the_link(rig: &mut Rig) {
    for n in 0..8 {
        let mut row = Row::new(text(&format!("t/{n}")), Bytes::from(n.to_string()));
        row.ttl_ms = Some(20 * SECOND);
        rig.push_row(row);
    }
    rig.run_until(SECOND);
}

/// Rows of an earlier run, of which the spool learns late.
fn find_parked(rig: &mut Rig) {
    let now_ms = rig.now_ms;
    let spool = rig.core.spool_mut();
    for n in 100..120 {
        let row = Row::new(text(&format!("p/{}", n % 4)), Bytes::from(n.to_string()));
        spool.push(now_ms, row).unwrap();
    }
    for row in spool.lease(now_ms, 100, 10_000) {
        if row.row.topic.starts_with('p') {
            spool.park(row.id, ReasonCode::NOT_AUTHORIZED);
        } else {
            spool.give_back(row.id);
        }
    }
}

#[test]
fn a_parked_row_probes_a_refused_link_when_nothing_else_is_left() {
    for in_place in [true, false] {
        let mut rig = Rig::new(|_, _| Answer::Ack(0x87));
        rig.core.spool_mut().in_place = in_place;
        refuse_the_link(&mut rig);
        find_parked(&mut rig);
        rig.run_until(600 * SECOND);
        let (published, parked) = (rig.published, rig.core.stats().parked);
        assert_eq!((rig.core.spool().len(), parked), (20, 20), "nothing is lost: {:?}", rig.core.stats());
        assert!(published < 200, "{published} messages in ten minutes");
        rig.script = Box::new(|_, _| TAKEN);
        rig.run_until_empty(1_300 * SECOND);
        rig.assert_all_in_order(20);
    }
}
