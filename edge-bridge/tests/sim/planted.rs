//! The rig's own test: each planted bug breaks one rule, and that rule says so, within the default budget. Without these a rig that never
//! finds anything could not be told from one that cannot.

use crate::bug::Bug;
use crate::exchange_stories;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::hub_stories::passed_over;
use crate::ledger::{Rule, Violation};
use crate::random;
use crate::refusal_stories::{poison, refused_filter, refused_topic};
use crate::sensor::SensorConfig;
use crate::stories::{live_row_behind_backlog, slow_link_world, thin_link};
use crate::world::World;

/// Seeds of [`random`] that a planted bug gets: a tenth of the default budget.
const SEEDS: u64 = 50;

type Story = fn(Option<Bug>) -> Result<(), Violation>;

/// A bug that a rule must convict.
struct Control {
    bug: Bug,
    /// The story it needs to show; else a random one shows it.
    story: Option<Story>,
    /// The nth seed of the random stories.
    seed: fn(u64) -> u64,
}

fn random(bug: Bug) -> Control {
    Control { bug, story: None, seed: |n| n }
}

fn story(bug: Bug, story: Story) -> Control {
    Control { bug, story: Some(story), seed: |n| n }
}

/// Needs what only some of the random stories have.
fn random_of(bug: Bug, seed: fn(u64) -> u64) -> Control {
    Control { bug, story: None, seed }
}

/// The bugs that a rule convicts. A rule without one does not compile.
fn controls(rule: Rule) -> Vec<Control> {
    match rule {
        Rule::Lost => vec![
            random(Bug::HubForgets),
            story(Bug::ParkedInRam, refused_topic),
            story(Bug::ReleaseNotResent, resets_with_identifiers_in_use),
            story(Bug::NotReleasedAtStart, exchange_stories::restarts),
            story(Bug::DoneAtPubrec, sessions_lost_before_pubrel),
        ],
        Rule::RemovedEarly => vec![
            random(Bug::RemovedAtLease),
            random_of(Bug::GivenUpOnResume, exchange_stories::without_qos_2),
            story(Bug::IdentifiersBeginAgain, restarts),
            random(Bug::DoneAtPublish),
            story(Bug::DoneAtPubrec, resets_at_pubrec),
            story(Bug::ReleaseNotResent, exchange_stories::resets),
        ],
        Rule::Deleted => vec![story(Bug::RefusedDeleted, refused_topic)],
        Rule::HandedOver => vec![
            story(Bug::RefusedAcked, refused_topic),
            story(Bug::ForgottenCounts, exchange_stories::forgetful),
        ],
        Rule::HeadOfLine => vec![story(Bug::ParkedBlock, refused_topic)],
        Rule::DialRate => vec![story(Bug::NeverParked, poison)],
        Rule::CommandLost => vec![random_of(Bug::QosNotRaised, random::asking)],
        Rule::SubscribeRate => vec![story(Bug::SubscribeStorm, refused_filter)],
        Rule::EarlyReceipt => {
            vec![random(Bug::ReceiptAtPush), story(Bug::ReceiptAtClose, sensor_that_reconnects)]
        }
        Rule::ReceiveMaximum => {
            vec![random(Bug::OneMore), story(Bug::DoneAtPubrec, exchange_stories::small_receive_maximum)]
        }
        Rule::PacketId => {
            vec![random(Bug::IdReused), story(Bug::ReleaseNotResent, resets_without_removal)]
        }
        Rule::PubackOrder => vec![story(Bug::PubacksSwapped, quick_sensor)],
        Rule::TopicOrder => vec![random(Bug::PublishesSwapped)],
        Rule::Dup => vec![random(Bug::DupCleared)],
        Rule::UnmarkedDuplicate => vec![story(Bug::FreshIdentity, bridge_restart)],
        Rule::DuplicateBound => vec![story(Bug::AcksNotSaved, power_cut_after_delivery)],
        Rule::ExactlyOnce => vec![story(Bug::HubForgetsIdentifiers, exchange_stories::resets)],
        Rule::LinkState => vec![random(Bug::LinkLies)],
        Rule::Memory => vec![story(Bug::AlwaysReads, flood_on_a_slow_disk)],
        Rule::Delivery => vec![story(Bug::LostSessionDiscarded, lost_session)],
        Rule::BrokenOff => {
            vec![random(Bug::TransmissionIsSilence), story(Bug::TransmissionIsSilence, thin_link)]
        }
        Rule::TimeToLive => vec![random(Bug::AgeForgotten)],
        Rule::PassedOver => vec![story(Bug::DelayHidden, passed_over_and_said_to_flow)],
        Rule::Waiting => vec![random(Bug::WaitingAtLastLease)],
        Rule::Lease => vec![random(Bug::LeaseKept)],
        Rule::HubLimits => vec![random(Bug::RetainKept)],
        Rule::SetAside => vec![random(Bug::DefinitionCounts)],
        Rule::OnePlace => vec![random(Bug::AnswersInOrder)],
        Rule::Protocol => vec![story(Bug::ConnectsTwice, quick_sensor)],
        Rule::Spin => vec![story(Bug::WokenAtOnce, quick_sensor)],
    }
}

impl Control {
    /// The first seed at which the bug shows, and what it breaks.
    fn violation(&self) -> Option<(u64, Violation)> {
        match self.story {
            Some(story) => story(Some(self.bug)).err().map(|violation| (0, violation)),
            None => (0..SEEDS)
                .map(self.seed)
                .find_map(|seed| random::run(seed, Some(self.bug)).err().map(|violation| (seed, violation))),
        }
    }

    /// The bug breaks `rule` first, a story without it breaks none, and once the rule is switched off it does not convict.
    fn is_convicted_by(&self, rule: Rule) {
        let bug = self.bug;
        if let Some(story) = self.story {
            assert_eq!(story(None), Ok(()), "without {bug:?}");
        }
        let (seed, found) = self.violation().unwrap_or_else(|| panic!("{bug:?} was not found"));
        println!("{bug:?}: {rule:?} at seed {seed}: {}", found.detail);
        assert_eq!(found.rule, rule, "{bug:?} at seed {seed}: {found:?}");
        let without = rule.without(|| match self.story {
            Some(story) => story(Some(bug)),
            None => random::run(seed, Some(bug)),
        });
        assert_ne!(without.err().map(|found| found.rule), Some(rule), "{bug:?}: {rule:?} is switched off");
    }
}

fn convicts(rule: Rule) {
    controls(rule).iter().for_each(|control| control.is_convicted_by(rule));
}

#[test]
fn the_list_of_rules_is_complete_and_each_has_a_control() {
    for (at, rule) in Rule::ALL.into_iter().enumerate() {
        assert_eq!(rule as usize, at, "{rule:?}");
        assert!(!controls(rule).is_empty(), "{rule:?}");
    }
    assert_eq!(Rule::ALL.len(), Rule::Spin as usize + 1, "the last one");
}

/// The link says at once that nothing flows; here the connection must end too.
fn passed_over_and_said_to_flow(bug: Option<Bug>) -> Result<(), Violation> {
    Rule::LinkState.without(|| passed_over(bug))
}

/// The random stories with restarts, but for those in which the hub refuses something: what is removed then breaks another rule.
fn restarts(bug: Option<Bug>) -> Result<(), Violation> {
    let broken = (0..50).filter_map(|n| random::run(random::restarting(n), bug).err());
    broken.filter(|found| found.rule != Rule::HandedOver).take(1).try_for_each(Err)
}

/// A row that is removed early shows before its identifier is used again.
fn resets_without_removal(bug: Option<Bug>) -> Result<(), Violation> {
    Rule::RemovedEarly.without(|| exchange_stories::resets(bug))
}

/// An identifier in use shows before the hub takes a new message under it for a repeat.
fn resets_with_identifiers_in_use(bug: Option<Bug>) -> Result<(), Violation> {
    Rule::PacketId.without(|| resets_without_removal(bug))
}

/// A row that leaves too early shows before the hub loses what it held.
fn sessions_lost_before_pubrel(bug: Option<Bug>) -> Result<(), Violation> {
    Rule::RemovedEarly.without(|| exchange_stories::lost_sessions(bug))
}

fn resets_at_pubrec(bug: Option<Bug>) -> Result<(), Violation> {
    Rule::ReceiveMaximum.without(|| exchange_stories::resets(bug))
}

fn quick_sensor(bug: Option<Bug>) -> Result<(), Violation> {
    let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(40, 200)], bug);
    world.run_until_delivered(60_000)
}

fn sensor_that_reconnects(bug: Option<Bug>) -> Result<(), Violation> {
    let config = GatewayConfig { deduplicates: true, ..GatewayConfig::default() };
    let mut world = World::with_bug(7, config, &[SensorConfig::new(40, 1_500)], bug);
    world.at(0, Fault::WanDown);
    (0..30).for_each(|n| world.at(1_500 + n * 1_700, Fault::SensorReset(0)));
    world.at(50_000, Fault::WanUp);
    world.run_until_delivered(180_000)
}

fn lost_session(bug: Option<Bug>) -> Result<(), Violation> {
    let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(20, 1_500)], bug);
    world.at(0, Fault::WanQuality(250, 0, 0));
    world.at(20_000, Fault::HubDown);
    world.at(25_000, Fault::HubUp { keeps_session: false });
    // What is left out on the wire is in the window without having been seen there.
    Rule::OnePlace.without(|| world.run_until_delivered(600_000))
}

fn bridge_restart(bug: Option<Bug>) -> Result<(), Violation> {
    let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(20, 3_000)], bug);
    world.at(0, Fault::WanQuality(250, 0, 0));
    world.at(20_100, Fault::BridgeStop(500));
    world.run_until_delivered(120_000)
}

fn power_cut_after_delivery(bug: Option<Bug>) -> Result<(), Violation> {
    let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(20, 6_000)], bug);
    world.at(0, Fault::WanDown);
    world.at(40_000, Fault::WanUp);
    world.at(80_000, Fault::PowerCut(1_000));
    world.run_until_delivered(300_000)
}

fn flood_on_a_slow_disk(bug: Option<Bug>) -> Result<(), Violation> {
    let config = GatewayConfig { max_unacked_bytes: 4_000, ..GatewayConfig::default() };
    let flood = SensorConfig { size: 2_000, window: 100, ..SensorConfig::new(5, 1_000) };
    let mut world = World::with_bug(7, config, &[flood; 3], bug);
    world.at(0, Fault::WanDown);
    world.at(0, Fault::SlowDisk(2_000));
    world.at(10_000, Fault::WanUp);
    world.run_until_delivered(300_000)
}

#[test]
fn hub_forgets_is_lost() {
    convicts(Rule::Lost);
}

#[test]
fn a_filter_whose_qos_is_not_raised() {
    convicts(Rule::CommandLost);
}

#[test]
fn rows_that_wait_counted_at_the_last_lease() {
    convicts(Rule::Waiting);
}

#[test]
fn row_removed_at_lease() {
    convicts(Rule::RemovedEarly);
}

#[test]
fn receipt_one_commit_early() {
    convicts(Rule::EarlyReceipt);
}

#[test]
fn one_more_than_the_receive_maximum() {
    convicts(Rule::ReceiveMaximum);
}

#[test]
fn identifier_reused_in_flight() {
    convicts(Rule::PacketId);
}

#[test]
fn pubacks_swapped() {
    convicts(Rule::PubackOrder);
}

#[test]
fn publishes_swapped() {
    convicts(Rule::TopicOrder);
}

#[test]
fn dup_cleared() {
    convicts(Rule::Dup);
}

#[test]
fn lost_session_discarded() {
    convicts(Rule::Delivery);
}

#[test]
fn identity_not_kept() {
    convicts(Rule::UnmarkedDuplicate);
}

#[test]
fn acknowledgements_never_saved() {
    convicts(Rule::DuplicateBound);
}

#[test]
fn an_identifier_not_kept_over_the_end_of_a_connection() {
    convicts(Rule::ExactlyOnce);
}

#[test]
fn transmission_taken_for_silence() {
    convicts(Rule::BrokenOff);
}

#[test]
fn time_to_live_begins_anew() {
    convicts(Rule::TimeToLive);
}

#[test]
fn a_message_passed_over_for_good() {
    convicts(Rule::PassedOver);
}

#[test]
fn leases_kept() {
    convicts(Rule::Lease);
}

#[test]
fn link_lies() {
    convicts(Rule::LinkState);
}

#[test]
fn connections_always_read() {
    convicts(Rule::Memory);
}

#[test]
fn refused_rows_deleted() {
    convicts(Rule::Deleted);
}

#[test]
fn refused_rows_reported_as_handed_over() {
    convicts(Rule::HandedOver);
}

#[test]
fn a_refused_topic_blocks_others() {
    convicts(Rule::HeadOfLine);
}

#[test]
fn poison_never_parked() {
    convicts(Rule::HeadOfLine);
}

#[test]
fn refused_filters_asked_for_at_once() {
    convicts(Rule::SubscribeRate);
}

#[test]
fn retain_kept_for_a_hub_that_forbids_it() {
    convicts(Rule::HubLimits);
}

#[test]
fn what_just_fits_given_up_for_an_alias() {
    convicts(Rule::SetAside);
}

#[test]
fn answers_kept_behind_an_older_message() {
    convicts(Rule::OnePlace);
}

#[test]
fn connect_sent_twice() {
    convicts(Rule::Protocol);
}

#[test]
fn woken_at_once() {
    convicts(Rule::Spin);
}

/// A window that does not shrink stands in nobody's way but the live row's.
#[test]
fn delay_hidden() {
    let mut world = slow_link_world(50, Some(Bug::DelayHidden));
    let worst_ms = live_row_behind_backlog(&mut world).unwrap();
    assert!(worst_ms > 1_000, "{worst_ms} ms");
}
