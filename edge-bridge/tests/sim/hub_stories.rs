//! Stories of hubs that leave a message without an answer or close at its size, and of messages that expire.

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::ledger::{Msg, Rule, Violation};
use crate::sensor::SensorConfig;
use crate::world::World;

type Story = Result<(), Violation>;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// A hub that never answers one message in three hundred on the connection on which it comes, for half an hour.
pub(crate) fn passed_over(bug: Option<Bug>) -> Story {
    let mut world = World::with_bug(7, GatewayConfig::default(), &[SensorConfig::new(100, 20_000)], bug);
    // There is progress between two of them.
    world.passed_over_max_ms = 40 * SECOND;
    world.at(0, Fault::PassesOver(300));
    world.at(30 * MINUTE, Fault::PassesOver(0));
    world.run_until_delivered(60 * MINUTE)?;
    if bug.is_none() {
        // One connection for each such message, after half a minute; its copies are marked.
        let connections = world.wan.connections;
        assert!((20..=70).contains(&connections), "{connections} connections");
    }
    Ok(())
}

#[test]
fn a_message_without_an_answer_is_asked_about_again() -> Story {
    passed_over(None)
}

/// Messages that expire in an outage are not sent, and those that are left say how long they have to live.
#[test]
fn messages_expire_in_an_outage() -> Story {
    let expiring = SensorConfig { expiry_s: Some(20), ..SensorConfig::new(500, 240) };
    let lasting = SensorConfig { expiry_s: Some(600), ..SensorConfig::new(500, 240) };
    let mut world =
        World::new(7, GatewayConfig::default(), &[expiring, lasting, SensorConfig::new(500, 240)]);
    world.at(10 * SECOND, Fault::WanDown);
    world.at(80 * SECOND, Fault::WanUp);
    world.run_until_delivered(5 * MINUTE)?;
    let lives = &world.ctx.ledger.lives;
    // Of 140 that were made in the outage those of its first 50 s; the back-off costs some more.
    assert!((95..=140).contains(&lives.ended()), "{} expired", lives.ended());
    assert!((1..=240).all(|seq| !lives.has_ended(Msg { sensor: 1, seq })));
    assert!(lives.shortest_s.is_some_and(|seconds| seconds <= 20) && lives.sent >= 340, "{}", lives.sent);
    Ok(())
}

/// A hub that closes at what is too large for it, and says so before: five such messages a second cost the other topics nothing.
#[test]
fn what_is_too_large_for_the_hub_delays_no_other() -> Story {
    let mut sensors = vec![SensorConfig { size: 3_000, ..SensorConfig::new(200, 300) }];
    sensors.extend((0..9).map(|_| SensorConfig::new(500, 240)));
    let mut world = World::new(7, GatewayConfig::default(), &sensors);
    world.at(0, Fault::TooLargeCloses(Some(2_500)));
    world.run_until(2 * MINUTE)?;
    let connects = world.hub.connects;
    world.ctx.ledger.require(connects <= 30, Rule::DialRate, || format!("{connects} in two minutes"));
    let made_by = |seq: u32| u64::from(seq) * 500;
    let good = (1..=9).flat_map(|sensor| (1..=200).map(move |seq| Msg { sensor, seq }));
    let late = good.filter(|msg| {
        let arrived_ms = world.ctx.ledger.arrived_ms.get(msg).copied();
        arrived_ms.is_none_or(|at_ms| at_ms > made_by(msg.seq) + 10 * SECOND)
    });
    let late: Vec<_> = late.take(3).collect();
    world.ctx.ledger.require(late.is_empty(), Rule::HeadOfLine, || format!("{late:?} of other topics"));
    world.ctx.ledger.verdict()?;
    world.at(2 * MINUTE, Fault::Heal);
    world.run_until_delivered(25 * MINUTE)
}
