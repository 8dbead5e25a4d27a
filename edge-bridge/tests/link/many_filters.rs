//! Very many subscriptions. Each pass over all of them per filter would take minutes.
#![allow(clippy::disallowed_methods, reason = "a test of the time that it takes")]

use std::time::{Duration, Instant};

use bytes::BytesMut;
use edge_bridge::bridge::spool::MemorySpool;
use edge_bridge::bridge::{Core, Input, LinkConfig, Output, RawPack};
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::QoS;

use crate::link_support::{at, text};

const FILTERS: usize = 100_000;

#[test]
fn a_hundred_thousand_filters_are_subscribed_and_unsubscribed_over_reconnections_in_seconds() {
    let config = LinkConfig::new(ClientConfig::new(text("site7")));
    let mut core = Core::new(config, MemorySpool::new(10, 1_000), RawPack::new(false));
    let filters: Vec<_> = (0..FILTERS).map(|n| text(&format!("plant/{n}/#"))).collect();
    let begun = Instant::now();
    core.start(at(1));
    filters.iter().for_each(|filter| core.subscribe(at(1), filter.clone(), QoS::AtLeastOnce));
    let (mut now_ms, mut sent) = (1, 0);
    for connection in 0..3 {
        core.handle_input(at(now_ms), Input::Dialed);
        let mut connack = BytesMut::from(&[0x20, 3, u8::from(connection > 0), 0, 0][..]);
        core.handle_input(at(now_ms), Input::Bytes(&mut connack));
        for _ in 0..10 {
            core.handle_input(at(now_ms), Input::Rows);
        }
        core.handle_input(at(now_ms), Input::HungUp(None));
        // The UNSUBSCRIBE of the second connection has no answer, and half of its filters are subscribed again behind it.
        let half = filters.iter().take(FILTERS / 2);
        match connection {
            0 => half.for_each(|filter| core.unsubscribe(at(now_ms), filter)),
            _ => half.step_by(2).for_each(|f| core.subscribe(at(now_ms), f.clone(), QoS::AtLeastOnce)),
        }
        now_ms = core.next_deadline().unwrap();
        core.handle_timeout(at(now_ms));
        while let Some(output) = core.poll_output() {
            sent += if let Output::Transmit(bytes) = output { bytes.len() } else { 0 };
        }
    }
    assert!(sent > 2 * FILTERS * 12, "{sent}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
