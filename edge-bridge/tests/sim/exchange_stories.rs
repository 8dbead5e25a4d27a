//! Stories of messages of QoS 2: connections that end between its packets, restarts, and hubs that are slow to complete or take no QoS 2.

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::rng::Rng;
use crate::sensor::SensorConfig;
use crate::stories::{MINUTE, SECOND, Story};
use crate::world::World;

/// A sensor whose readings are of QoS 2, and a hub half a second away that is slow to complete.
fn world(bug: Option<Bug>) -> World {
    let config = GatewayConfig { qos_2_one_in: vec![1], ..GatewayConfig::default() };
    let mut world = World::with_bug(7, config, &[SensorConfig::new(20, 3_000)], bug);
    world.hub.exactly_once.completes_within_ms = 300;
    world.at(0, Fault::WanQuality(250, 0, 0));
    world
}

/// Settings and faults of a made-up story, in one of three. Drawn apart, so that the other stories stay as they are.
pub(crate) fn qos_2_one_in(seed: u64) -> Vec<u32> {
    let mut rng = Rng::new(!seed ^ 4);
    let has_some = rng.one_in(3);
    if has_some { (0..4).map(|_| rng.pick(&[0, 1, 1, 3])).collect() } else { Vec::new() }
}

/// The nth seed of those without messages of QoS 2.
pub(crate) fn without_qos_2(n: u64) -> u64 {
    let mut seeds = (0..).filter(|seed| qos_2_one_in(*seed).is_empty());
    seeds.nth(usize::try_from(n).unwrap()).unwrap()
}

/// More of what ends an exchange.
pub(crate) fn exchanges(seed: u64, world: &mut World, length_ms: u64) {
    let mut rng = Rng::new(!seed ^ 5);
    if world.config.qos_2_one_in.is_empty() {
        return;
    }
    world.hub.exactly_once.completes_within_ms = rng.pick(&[0, 2, 50, 400, 4_000, 20_000]);
    world.hub.exactly_once.ignores_unknown = rng.one_in(3);
    world.hub.exactly_once.hands_on_at_pubrel = Rng::new(!seed ^ 6).one_in(2);
    for _ in 0..rng.between(0, 3) {
        let from_ms = rng.below(length_ms);
        let end_ms = from_ms + rng.pick(&[50, 2_000, 10_000]);
        let [first, last] = match rng.below(8) {
            0 => [Fault::MaximumQos(1), Fault::MaximumQos(2)],
            1 => [Fault::ClosesAtRelease(rng.between(1, 50)), Fault::ClosesAtRelease(0)],
            2 => [Fault::PowerCut(rng.between(10, 1_000)), Fault::PowerCut(10)],
            3 => [Fault::HubDown, Fault::HubUp { keeps_session: true }],
            4 => [Fault::BridgeStop(rng.between(0, 1_000)), Fault::WanReset],
            // PUBRELs are given up after five seconds, and may be lost all the same.
            5 => {
                world.at(from_ms, Fault::WanReset);
                world.at(from_ms + rng.between(500, 6_000), Fault::WanStall(20_000));
                world.at(from_ms + rng.between(6_000, 12_000), Fault::WanReset);
                [Fault::HubDown, Fault::HubUp { keeps_session: rng.one_in(2) }]
            }
            6 => [Fault::ReceiveMaximum(rng.pick(&[1, 3, 300])), Fault::WanReset],
            _ => [Fault::WanReset, Fault::WanReset],
        };
        for (at_ms, fault) in [(from_ms, first), (end_ms, last)] {
            world.at(at_ms, fault);
            if matches!(fault, Fault::MaximumQos(_)) {
                world.at(at_ms, Fault::WanReset);
            }
        }
    }
}

/// Connections end again and again with PUBRELs under way, over all identifiers.
pub(crate) fn resets(bug: Option<Bug>) -> Story {
    let mut world = world(bug);
    (1..12).for_each(|n| world.at(n * 5 * SECOND + 300, Fault::WanReset));
    world.run_until_delivered(5 * MINUTE)?;
    if bug.is_none() {
        assert!(world.hub.exactly_once.repeats > 20, "{}", world.hub.exactly_once.repeats);
        assert_eq!((world.hub.exactly_once.taken, world.ctx.ledger.duplicates), (3_000, 0));
    }
    Ok(())
}

#[test]
fn connections_that_end_within_an_exchange() -> Story {
    resets(None)
}

/// A hub whose application gets a message with its PUBREL alone loses its session again and again, with what it held.
pub(crate) fn lost_sessions(bug: Option<Bug>) -> Story {
    let mut world = world(bug);
    world.hub.exactly_once.hands_on_at_pubrel = true;
    for n in 1..12 {
        world.at(n * 5 * SECOND + 300, Fault::HubDown);
        world.at(n * 5 * SECOND + 800, Fault::HubUp { keeps_session: false });
    }
    world.run_until_delivered(5 * MINUTE)
}

#[test]
fn promise_4_what_a_hub_held_back_until_pubrel_is_sent_again_when_its_session_is_lost() -> Story {
    lost_sessions(None)
}

/// A hub loses one message in ten between its PUBREC and its PUBREL, and says so by its PUBCOMP.
pub(crate) fn forgetful(bug: Option<Bug>) -> Story {
    let mut world = world(bug);
    world.hub.exactly_once.hands_on_at_pubrel = true;
    world.hub.exactly_once.forgets_one_in = 10;
    world.run_until_delivered(5 * MINUTE)?;
    if bug.is_none() {
        assert!(world.hub.exactly_once.taken > 3_200, "{}", world.hub.exactly_once.taken);
        assert_eq!(world.ctx.ledger.duplicates, 0);
    }
    Ok(())
}

#[test]
fn promise_4_what_a_hub_forgot_before_pubrel_is_sent_again() -> Story {
    forgetful(None)
}

/// The gateway restarts with identifiers that the hub holds, and uses all of them.
pub(crate) fn restarts(bug: Option<Bug>) -> Story {
    let mut world = world(bug);
    [10, 20, 30].into_iter().for_each(|at_s| world.at(at_s * SECOND, Fault::PowerCut(SECOND)));
    world.run_until_delivered(5 * MINUTE)
}

#[test]
fn a_restart_with_identifiers_that_the_hub_holds() -> Story {
    restarts(None)
}

/// A hub that completes nothing for minutes has its places taken, and gets no more than that.
pub(crate) fn small_receive_maximum(bug: Option<Bug>) -> Story {
    let mut world = world(bug);
    world.hub.receive_maximum = 20;
    world.run_until_delivered(10 * MINUTE)
}

#[test]
fn places_are_taken_until_pubcomp() -> Story {
    small_receive_maximum(None)
}

/// A hub that ignores PUBRELs that it does not know, four seconds away: they are given up before their arrival is known, and the next connection may
/// not release what was sent under these identifiers meanwhile, and then send it again.
#[test]
fn identifiers_that_the_hub_ignored_carry_each_message_once() -> Story {
    for reset_ms in (44..50).map(|at_s| at_s * SECOND) {
        let config = GatewayConfig { qos_2_one_in: vec![1], ..GatewayConfig::default() };
        let mut world = World::new(7, config, &[SensorConfig::new(SECOND, 60)]);
        world.hub.exactly_once.ignores_unknown = true;
        world.at(0, Fault::WanQuality(2_000, 0, 0));
        world.at(30 * SECOND, Fault::BridgeStop(500));
        world.at(reset_ms + 500, Fault::WanReset);
        world.run_until_delivered(5 * MINUTE)?;
    }
    Ok(())
}
