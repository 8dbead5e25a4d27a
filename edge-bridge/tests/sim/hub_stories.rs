//! Stories of hubs that leave a message without an answer or close at its size, and of messages that expire.

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::ledger::{Msg, Violation};
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

/// Promise 9: what expires in an outage is not sent, and what is left says how long it has to live.
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
