//! Wills of clients that are connected when the listener ends, by a kill or a stop.

use edge_bridge::listener::Config;
use edge_bridge::wire::{Connect, PropertyId, ReasonCode, Value, Version};

use crate::listener_support::*;
use crate::saved::{at_noon, restarted};

fn with_will(keep_alive_s: u16, delay_s: u32) -> Connect {
    with_will_of(Version::V5, keep_alive_s, delay_s)
}

fn with_will_of(version: Version, keep_alive_s: u16, delay_s: u32) -> Connect {
    let delay = (version == Version::V5).then_some((PropertyId::WillDelayInterval, Value::U32(delay_s)));
    let will = will("store/offline", delay.as_slice());
    Connect { will, keep_alive_s, ..stays("c", version) }
}

fn wills(site: &Site) -> usize {
    site.stored.len()
}

/// As for a client whose connection ended with the listener (§3.1.2.5), from the moment at which its silence would have been noticed: by the keep
/// alive that the listener demanded, where it demanded one (\[MQTT-3.2.2-21\]).
#[test]
fn a_client_that_does_not_come_back_has_its_will_published() {
    let cases = [
        (Version::V5, 10, 0, 15_000),
        (Version::V5, 10, 100, 100_000),
        (Version::V5, 0, 5, 450_000),
        (Version::V5, 3_600, 0, 450_000),
        (Version::V311, 10, 0, 15_000),
        (Version::V311, 0, 0, 60_000),
    ];
    for is_stop in [false, true] {
        for (version, keep_alive_s, delay_s, due_ms) in cases {
            let mut site = at_noon();
            site.connect(with_will_of(version, keep_alive_s, delay_s));
            if is_stop {
                site.listener.shut_down(site.now);
                site.outputs();
                site.pass(1_000);
            }
            assert_eq!(wills(&site), 0, "the stop says nothing about the client");
            // However long it took: nobody listened meanwhile.
            let (mut next, _) = restarted(&site, Config::default(), 500_000);
            next.pass(due_ms - 1);
            assert_eq!(wills(&next), 0, "{is_stop} {version:?} {keep_alive_s} {delay_s}");
            next.pass(1);
            assert_eq!(wills(&next), 1, "{is_stop} {version:?} {keep_alive_s} {delay_s}");
            next.pass(1_000_000);
            assert_eq!(wills(&next), 1, "once");
        }
    }
}

#[test]
fn a_client_that_comes_back_takes_its_will_back_however_it_connects() {
    for clean_start in [false, true] {
        let mut site = at_noon();
        site.connect(with_will(10, 0));
        let (mut next, _) = restarted(&site, Config::default(), 1_000);
        next.pass(10_000);
        let (again, ack) = next.connect(Connect { clean_start, will: None, ..with_will(10, 0) });
        assert_eq!(ack.session_present, !clean_start);
        next.send(again, &[disconnect(ReasonCode::NORMAL_DISCONNECTION)]);
        next.pass(1_000_000);
        assert_eq!(wills(&next), 0);
    }
}

#[test]
fn a_will_that_was_deleted_or_of_a_session_that_ends_with_its_connection_is_not_there_after_a_restart() {
    let mut site = at_noon();
    let (client, _) = site.connect(with_will(10, 0));
    site.send(client, &[disconnect(ReasonCode::NORMAL_DISCONNECTION)]);
    let short = Connect { will: will("store/offline", &[]), ..connect("short", Version::V5) };
    site.connect(short);
    let (mut next, _) = restarted(&site, Config::default(), 1_000);
    next.pass(1_000_000);
    assert_eq!(wills(&next), 0);
}

/// A second end before the will is due: its client had no longer time to come back.
#[test]
fn a_further_restart_begins_the_time_to_come_back_anew() {
    for (delay_s, due_ms) in [(0, 15_000), (100, 100_000)] {
        let mut site = at_noon();
        site.connect(with_will(10, delay_s));
        let (mut next, _) = restarted(&site, Config::default(), 1_000);
        next.pass(14_000);
        // Longer than what was left.
        let (mut third, _) = restarted(&next, Config::default(), 500_000);
        third.pass(due_ms - 1);
        assert_eq!(wills(&third), 0, "{delay_s}");
        third.pass(1);
        assert_eq!(wills(&third), 1, "{delay_s}");
    }
}

#[test]
fn a_client_that_comes_back_after_a_further_restart_takes_its_will_back_however_it_connects() {
    for clean_start in [false, true] {
        let mut site = at_noon();
        site.connect(with_will(10, 0));
        let (mut next, _) = restarted(&site, Config::default(), 1_000);
        next.pass(5_000);
        let (mut third, _) = restarted(&next, Config::default(), 1_000);
        let (again, _) = third.connect(Connect { clean_start, will: None, ..with_will(10, 0) });
        third.send(again, &[disconnect(ReasonCode::NORMAL_DISCONNECTION)]);
        third.pass(1_000_000);
        assert_eq!(wills(&third), 0, "{clean_start}");
    }
}

/// The will of a connection that ended before the listener did has only the rest of its delay.
#[test]
fn a_will_of_an_absent_client_keeps_the_rest_of_its_delay_over_restarts() {
    let mut site = at_noon();
    let (client, _) = site.connect(with_will(10, 100));
    site.cut(client);
    site.pass(40_000);
    let (mut next, _) = restarted(&site, Config::default(), 0);
    next.pass(40_000);
    let (mut third, _) = restarted(&next, Config::default(), 0);
    third.pass(19_999);
    assert_eq!(wills(&third), 0);
    third.pass(1);
    assert_eq!(wills(&third), 1);
}
