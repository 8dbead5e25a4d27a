//! Stories of hubs that refuse: topics, messages, filters and sizes.

use edge_bridge::wire::ReasonCode;

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::ledger::{Msg, Rule};
use crate::sensor::SensorConfig;
use crate::stories::{MINUTE, SECOND, Story, world};
use crate::world::World;

/// One in four is refused, whatever the reason: it comes again, and nothing is lost.
#[test]
fn error_reasons() -> Story {
    for reason in [ReasonCode::QUOTA_EXCEEDED, ReasonCode::NOT_AUTHORIZED, ReasonCode::new(0xff)] {
        let mut world = world(&[SensorConfig::new(50, 500)]);
        world.at(0, Fault::HubErrors(4, reason));
        world.run_until_delivered(20 * MINUTE)?;
        let refused: u64 = world.gateway().core.stats().refusals.iter().map(|(_, count)| count).sum();
        assert!(refused > 50, "{refused}");
        assert_eq!(world.ctx.ledger.at_hub(), 500);
    }
    Ok(())
}

/// A topic that is refused for two minutes delays no other, over a power cut too.
pub(crate) fn refused_topic(bug: Option<Bug>) -> Story {
    let sensors = [SensorConfig::new(100, 1_200), SensorConfig::new(100, 1_200)];
    let mut world = World::with_bug(7, GatewayConfig::default(), &sensors, bug);
    world.at(5 * SECOND, Fault::TopicRefused(Some((0, ReasonCode::QUOTA_EXCEEDED))));
    world.at(MINUTE, Fault::PowerCut(1_000));
    world.at(100 * SECOND, Fault::TopicRefused(None));
    world.run_until(50 * SECOND)?;
    let late = (1..=400).find(|seq| !world.ctx.ledger.is_at_hub(Msg { sensor: 1, seq: *seq }));
    world
        .ctx
        .ledger
        .require(late.is_none(), Rule::HeadOfLine, || format!("reading {late:?} of the other topic"));
    world.ctx.ledger.verdict()?;
    world.run_until_delivered(20 * MINUTE)
}

#[test]
fn a_refused_topic_delays_no_other() -> Story {
    refused_topic(None)
}

/// A hub that closes at every fiftieth reading of one sensor.
pub(crate) fn poison(bug: Option<Bug>) -> Story {
    let sensors = [SensorConfig::new(100, 200), SensorConfig::new(100, 500)];
    let mut world = World::with_bug(7, GatewayConfig::default(), &sensors, bug);
    world.at(0, Fault::ClosesOn(Some((0, 50))));
    world.run_until(140 * SECOND)?;
    let connects = world.hub.connects;
    world.ctx.ledger.require(connects <= 60, Rule::DialRate, || format!("{connects} in 140 s"));
    let good = (1..=500).map(|seq| Msg { sensor: 1, seq });
    let behind = good.chain((1..=199).filter(|seq| seq % 50 != 0).map(|seq| Msg { sensor: 0, seq }));
    let late = behind.into_iter().find(|msg| !world.ctx.ledger.is_at_hub(*msg));
    world
        .ctx
        .ledger
        .require(late.is_none(), Rule::HeadOfLine, || format!("{late:?} behind a poison message"));
    world.ctx.ledger.verdict()?;
    world.at(140 * SECOND, Fault::Heal);
    world.run_until_delivered(25 * MINUTE)
}

#[test]
fn a_poison_message_delays_no_other() -> Story {
    poison(None)
}

/// Subscriptions that the hub refuses for a minute.
pub(crate) fn refused_filter(bug: Option<Bug>) -> Story {
    let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(100, 900)], bug);
    world.at(0, Fault::FiltersRefused(true));
    world.at(MINUTE, Fault::FiltersRefused(false));
    world.run_until_delivered(5 * MINUTE)
}

#[test]
fn a_refused_filter_is_no_storm() -> Story {
    refused_filter(None)
}

/// Promise 12: what is too large for the hub waits and holds nobody up, also when the hub says so only on resume.
#[test]
fn small_maximum_packet_size() -> Story {
    let large = SensorConfig { size: 3_000, ..SensorConfig::new(500, 60) };
    let mut world = world(&[SensorConfig::new(100, 300), large]);
    world.at(0, Fault::WanQuality(250, 0, 0));
    world.at(10_100, Fault::HubDown);
    world.at(10_100, Fault::MaxPacket(1_000));
    world.at(15 * SECOND, Fault::HubUp { keeps_session: true });
    world.run_until(2 * MINUTE)?;
    let parked = world.gateway().core.stats().parked;
    assert!((35..=45).contains(&parked), "{parked}");
    assert!((1..=300).all(|seq| world.ctx.ledger.is_at_hub(Msg { sensor: 0, seq })));
    world.at(2 * MINUTE, Fault::Heal);
    world.run_until_delivered(20 * MINUTE)
}
