//! Bridges whose certificate is renewed while they are connected.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::net::tls::renewal::timetable::CALM_WITHIN_MS;
use site::{Authority, DIAL_WITHIN, Identity, PATIENCE, Site};

mod site;

/// The pace of production is three orders slower.
fn fast() -> Pace {
    Pace { look_ms: 20, spread_ms: 20, offer_again_ms: 40, offer_refused_ms: 3_600_000 }
}

#[tokio::test]
async fn a_connection_is_moved_to_each_renewed_certificate_without_a_loss() {
    let site = Site::connected(fast()).await;
    let moves = async {
        for n in 2..=4 {
            let renewed = site.plant.sign("site7");
            site.install(&renewed);
            site.wait_for(|stats| stats.connects == n).await;
            assert_eq!(site.last_shown(), renewed.der);
        }
    };
    let mut receipts = Vec::new();
    let publishing = async {
        loop {
            let payload = receipts.len().to_string();
            receipts.push(site.bridge.publish("a", payload).await.unwrap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = moves => {}
        () = publishing => {}
    }
    let count = receipts.len();
    for receipt in receipts {
        timeout(PATIENCE, receipt).await.unwrap().unwrap();
    }
    let arrived: BTreeSet<_> = site.observed.lock().unwrap().iter().cloned().collect();
    assert_eq!(arrived, (0..count).map(|n| n.to_string()).collect());
    assert_eq!((site.shown_in_turn().len(), site.bridge.stats().sessions_lost), (4, 0));
    site.stays_for_looks(10).await;
    drop(site.server);
}

#[tokio::test]
async fn a_certificate_that_the_hub_refuses_costs_one_move_and_the_former_one_goes_on() {
    let site = Site::connected(fast()).await;
    let (first, original) = (site.last_shown(), ["cert", "key"].map(|name| site.dir.path().join(name)));
    let original = original.map(|path| fs::read_to_string(path).unwrap());
    let stranger = Authority::new("other CA").sign("site7");
    site.install(&stranger);
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!(site.shown_in_turn(), [first.clone(), stranger.der, first]);
    site.wait_for(|stats| stats.certificate_not_taken).await;
    site.stays_for_looks(20).await;
    // Whoever puts the former files back has nothing moved.
    let [cert, key] = original;
    site.install(&Identity { der: Vec::new(), cert, key });
    site.wait_for(|stats| !stats.certificate_not_taken).await;
    site.stays_for_looks(10).await;
    let renewed = site.plant.sign("site7");
    site.install(&renewed);
    site.wait_for(|stats| stats.connects == 3).await;
    assert_eq!(site.last_shown(), renewed.der);
}

/// As where a firewall or a load balancer has a bad moment just then.
#[tokio::test]
async fn a_certificate_to_which_nobody_answered_is_shown_again() {
    let site = Site::connected(fast()).await;
    let first = site.last_shown();
    site.way.is_swallowed.store(true, Ordering::SeqCst);
    let renewed = site.plant.sign("site7");
    site.install(&renewed);
    // The first dial of the move, which has the new certificate, is not answered.
    site.wait_for(|stats| stats.dials == 2).await;
    tokio::time::sleep(DIAL_WITHIN / 2).await;
    site.way.is_swallowed.store(false, Ordering::SeqCst);
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!((site.last_shown(), site.bridge.stats().certificate_not_taken), (first, false));
    site.wait_for(|stats| stats.connects == 3).await;
    assert_eq!(site.last_shown(), renewed.der);
    site.stays_for_looks(10).await;
}

/// By default only after an hour, because each time costs a connection; at once for a program that asks.
#[tokio::test]
async fn a_certificate_that_the_hub_has_refused_is_shown_again() {
    let site = Site::connected(Pace { offer_refused_ms: 40, ..fast() }).await;
    let stranger = Authority::new("other CA").sign("site7");
    site.install(&stranger);
    let is_shown = |times| {
        let shown = site.shown.lock().unwrap();
        shown.iter().filter(|shown| **shown == stranger.der).count() >= times
    };
    site.wait_for(|stats| stats.certificate_not_taken && is_shown(2)).await;
    let site = Site::connected(fast()).await;
    site.install(&stranger);
    site.wait_for(|stats| stats.connects == 2 && stats.certificate_not_taken).await;
    site.bridge.link().look_at_certificate().await;
    site.wait_for(|stats| stats.connects == 3).await;
    assert_eq!(site.shown.lock().unwrap().iter().filter(|shown| **shown == stranger.der).count(), 2);
}

#[tokio::test]
async fn a_certificate_without_its_key_moves_nothing() {
    let site = Site::connected(fast()).await;
    let renewed = site.plant.sign("site7");
    let half = &renewed.cert[..renewed.cert.len() / 2];
    for cert in [half, "", &renewed.cert] {
        site.write("cert", cert);
        site.stays_for_looks(5).await;
    }
    site.write("key", &renewed.key);
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!(site.last_shown(), renewed.der);
}

#[tokio::test]
async fn a_program_that_knows_of_a_renewal_waits_for_no_look() {
    let never = 3_600_000;
    let site = Site::connected(Pace { look_ms: never, spread_ms: never, ..fast() }).await;
    site.bridge.link().look_at_certificate().await;
    site.wait_for_looks(1).await;
    let renewed = site.plant.sign("site7");
    site.install(&renewed);
    site.bridge.link().look_at_certificate().await;
    site.wait_for(|stats| stats.connects == 2).await;
    assert_eq!(site.last_shown(), renewed.der);
}

/// Messages that wait go out now, on a connection that ends anyway, and not behind an answer that may not come.
#[tokio::test]
async fn a_link_that_is_closed_sends_what_it_has_and_does_not_move() {
    let site = Site::connected(fast()).await;
    site.way.is_mute.store(true, Ordering::SeqCst);
    let unanswered = site.bridge.publish("a", "1").await.unwrap();
    site.install(&site.plant.sign("site7"));
    // By now it waits for that answer, to move.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = site.bridge.publish("a", "2").await.unwrap();
    let Site { bridge, observed, server, .. } = site;
    let closing = tokio::spawn(bridge.close_within(PATIENCE));
    let arrived = async {
        while !observed.lock().unwrap().iter().any(|payload| payload == "2") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_millis(CALM_WITHIN_MS / 2), arrived).await.expect("at once");
    closing.abort();
    drop((unanswered, waiting, server));
}
