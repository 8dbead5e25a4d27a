//! Filters that the hub refuses, and messages of QoS 2 that it still has.

use edge_bridge::wire::{QoS, ReasonCode};

use crate::refusal_support::{Rig, TAKEN};
use crate::{MINUTE, SECOND};

/// Once a refused filter was asked for again at once, 47 times a second.
#[test]
fn a_refused_filter_is_asked_for_with_back_off() {
    let mut rig = Rig::new(|_, _| TAKEN);
    rig.refuses_filters = Some(ReasonCode::NOT_AUTHORIZED);
    rig.subscribe("cmd/#");
    rig.run_until(MINUTE);
    assert!((4..12).contains(&rig.subscribes), "{} in a minute", rig.subscribes);
    rig.run_until(60 * MINUTE);
    assert!(rig.subscribes < 24, "{} in an hour", rig.subscribes);
    assert_eq!((rig.filters_told, rig.core.stats().refused_subscriptions.len()), (1, 1));
    assert_eq!(rig.core.stats().granted_subscriptions, 0);
    rig.refuses_filters = None;
    let before = rig.subscribes;
    rig.cut();
    let now_ms = rig.now_ms;
    rig.run_until(now_ms + MINUTE);
    assert_eq!(rig.subscribes, before + 1, "on the next connection");
    assert!(rig.core.stats().refused_subscriptions.is_empty());
    assert_eq!(rig.core.stats().granted_subscriptions, 1);
}

/// A session that an earlier client left behind holds messages of QoS 2.
#[test]
fn a_message_of_qos_2_is_carried_through() {
    let mut rig = Rig::new(|_, _| TAKEN);
    rig.qos2_leftovers = vec![7, 8];
    rig.fill(10, 1);
    rig.run_until(10 * SECOND);
    assert_eq!(rig.dials, 1, "no endless redial");
    assert_eq!(rig.qos2_done, [7, 8]);
    let received: Vec<_> = rig.received.iter().map(|publish| publish.qos).collect();
    assert_eq!(received, [QoS::ExactlyOnce, QoS::ExactlyOnce]);
    rig.assert_all_in_order(10);
}
