//! The rig's own test: each planted bug breaks one rule, and that rule says so, within the default budget. Without these a rig that never
//! finds anything could not be told from one that cannot.

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::ledger::{Rule, Violation};
use crate::random;
use crate::sensor::SensorConfig;
use crate::stories::{live_row_behind_backlog, slow_link_world};
use crate::world::World;

/// Seeds of [`random`] that a planted bug gets: a tenth of the default budget.
const SEEDS: u64 = 50;

/// A random story breaks `rule`, and it is the first to break.
fn found(bug: Bug, rule: Rule) {
    for seed in 0..SEEDS {
        if let Err(violation) = random::run(seed, Some(bug)) {
            assert_eq!(violation.rule, rule, "{bug:?} at seed {seed}: {violation:?}");
            println!("{bug:?}: {rule:?} at seed {seed}: {}", violation.detail);
            return;
        }
    }
    panic!("{bug:?} was not found in {SEEDS} seeds");
}

/// A story that a bug needs to show: without it the story is fine.
fn found_in(bug: Bug, rule: Rule, story: impl Fn(Option<Bug>) -> Result<(), Violation>) {
    assert_eq!(story(None), Ok(()), "without {bug:?}");
    let violation = story(Some(bug)).expect_err("not found");
    assert_eq!(violation.rule, rule, "{bug:?}: {violation:?}");
}

#[test]
fn hub_forgets_is_lost() {
    found(Bug::HubForgets, Rule::Lost);
}

#[test]
fn row_removed_at_lease() {
    found(Bug::RemovedAtLease, Rule::RemovedEarly);
}

#[test]
fn receipt_one_commit_early() {
    found(Bug::ReceiptAtPush, Rule::EarlyReceipt);
}

#[test]
fn receipt_resolved_when_its_connection_ends() {
    found_in(Bug::ReceiptAtClose, Rule::EarlyReceipt, |bug| {
        let config = GatewayConfig { deduplicates: true, ..GatewayConfig::default() };
        let mut world = World::with_bug(7, config, &[SensorConfig::new(40, 1_500)], bug);
        world.at(0, Fault::WanDown);
        (0..30).for_each(|n| world.at(1_500 + n * 1_700, Fault::SensorReset(0)));
        world.at(50_000, Fault::WanUp);
        world.run_until_delivered(180_000)
    });
}

#[test]
fn one_more_than_the_receive_maximum() {
    found(Bug::OneMore, Rule::ReceiveMaximum);
}

#[test]
fn identifier_reused_in_flight() {
    found(Bug::IdReused, Rule::PacketId);
}

#[test]
fn pubacks_swapped() {
    found_in(Bug::PubacksSwapped, Rule::PubackOrder, |bug| {
        let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(40, 200)], bug);
        world.run_until_delivered(60_000)
    });
}

#[test]
fn publishes_swapped() {
    found(Bug::PublishesSwapped, Rule::TopicOrder);
}

#[test]
fn dup_cleared() {
    found(Bug::DupCleared, Rule::Dup);
}

#[test]
fn lost_session_discarded() {
    found_in(Bug::LostSessionDiscarded, Rule::Delivery, |bug| {
        let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(20, 1_500)], bug);
        world.at(0, Fault::WanQuality(250, 0, 0));
        world.at(20_000, Fault::HubDown);
        world.at(25_000, Fault::HubUp { keeps_session: false });
        world.run_until_delivered(600_000)
    });
}

#[test]
fn identity_not_kept() {
    found_in(Bug::FreshIdentity, Rule::UnmarkedDuplicate, |bug| {
        let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(20, 3_000)], bug);
        world.at(0, Fault::WanQuality(250, 0, 0));
        world.at(20_100, Fault::BridgeStop(500));
        world.run_until_delivered(120_000)
    });
}

#[test]
fn acknowledgements_never_saved() {
    found_in(Bug::AcksNotSaved, Rule::DuplicateBound, |bug| {
        let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(20, 6_000)], bug);
        world.at(0, Fault::WanDown);
        world.at(40_000, Fault::WanUp);
        world.at(80_000, Fault::PowerCut(1_000));
        world.run_until_delivered(300_000)
    });
}

#[test]
fn leases_kept() {
    found(Bug::LeaseKept, Rule::Lease);
}

#[test]
fn link_lies() {
    found(Bug::LinkLies, Rule::LinkState);
}

/// A window that does not shrink stands in nobody's way but the live row's.
#[test]
fn delay_hidden() {
    let mut world = slow_link_world(50, Some(Bug::DelayHidden));
    let worst_ms = live_row_behind_backlog(&mut world).unwrap();
    assert!(worst_ms > 1_000, "{worst_ms} ms");
}

#[test]
fn connections_always_read() {
    found_in(Bug::AlwaysReads, Rule::Memory, |bug| {
        let config = GatewayConfig { max_unacked_bytes: 4_000, ..GatewayConfig::default() };
        let flood = SensorConfig { size: 2_000, window: 100, ..SensorConfig::new(5, 1_000) };
        let mut world = World::with_bug(7, config, &[flood; 3], bug);
        world.at(0, Fault::WanDown);
        world.at(0, Fault::SlowDisk(2_000));
        world.at(10_000, Fault::WanUp);
        world.run_until_delivered(300_000)
    });
}
