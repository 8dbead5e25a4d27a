//! The field's stories, one test each. Every rule of the ledger and the taps holds in all of them; what a test asserts comes on top.

use edge_bridge::bridge::LinkState;
use edge_bridge::wire::{ReasonCode, Version};

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::GatewayConfig;
use crate::ledger::{Msg, Violation};
use crate::sensor::SensorConfig;
use crate::world::World;

pub(crate) type Story = Result<(), Violation>;

pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

pub(crate) fn world(sensors: &[SensorConfig]) -> World {
    World::new(7, GatewayConfig::default(), sensors)
}

fn v311(config: SensorConfig) -> SensorConfig {
    SensorConfig { version: Version::V311, ..config }
}

/// Promises 1 and 8: 30 readings per second of pipelining sensors over 500 ms; acknowledged from the hub's PUBACK, hardly ever written.
#[test]
fn rtt_500ms() -> Story {
    let mut world = world(&[SensorConfig::new(100, 600); 3]);
    world.at(0, Fault::WanQuality(250, 0, 0));
    world.run_until_delivered(2 * MINUTE)?;
    let worst_ms = world.sensors.iter().map(|s| s.worst_ms).max().unwrap();
    assert!(worst_ms <= 1_500, "{worst_ms} ms to the PUBACK");
    assert_eq!(world.ctx.ledger.duplicates, 0);
    let commits = world.gateway().queue().commits;
    assert!(commits <= 5, "{commits} commits in a minute online");
    Ok(())
}

/// Promises 1, 4 and 6: three hours without the WAN; everything is acknowledged to the sensors within the commit's second, and drains in minutes.
#[test]
fn outage_hours() -> Story {
    let mut world = world(&[SensorConfig::new(500, 25_000), v311(SensorConfig::new(1000, 12_500))]);
    world.at(10 * SECOND, Fault::WanDown);
    world.at(10 * SECOND + 3 * HOUR, Fault::WanUp);
    world.run_until(3 * HOUR)?;
    assert!(world.rows() > 30_000, "{}", world.rows());
    assert!(matches!(world.link(), LinkState::BackingOff | LinkState::Offline));
    let worst_ms = world.sensors.iter().map(|s| s.worst_ms).max().unwrap();
    assert!(worst_ms <= 1_500, "{worst_ms} ms to the PUBACK");
    world.run_until(3 * HOUR + 2 * MINUTE)?;
    assert!(world.rows() < 100, "{} rows two minutes after", world.rows());
    world.run_until_delivered(HOUR)
}

/// Promises 4 and 5: two minutes of five seconds up, three down.
#[test]
fn flapping() -> Story {
    let mut world = world(&[SensorConfig::new(50, 3_000), SensorConfig::new(200, 700)]);
    world.at(0, Fault::WanQuality(250, 0, 0));
    for n in 0..15 {
        world.at(5 * SECOND + n * 8 * SECOND, Fault::WanDown);
        world.at(8 * SECOND + n * 8 * SECOND, Fault::WanUp);
    }
    world.run_until_delivered(4 * MINUTE)?;
    assert!(world.wan.connections >= 8, "{} connections", world.wan.connections);
    Ok(())
}

/// Promise 5: a half-open connection is found by the unacknowledged PUBLISH, in seconds and not at the next keep alive.
#[test]
fn half_open() -> Story {
    let mut world = world(&[SensorConfig::new(100, 600)]);
    world.at(20 * SECOND, Fault::HalfOpen);
    world.run_until(23_500)?;
    assert_eq!(world.link(), LinkState::Stalled);
    world.run_until(26 * SECOND)?;
    assert_eq!(world.gateway().stalls, 1);
    assert_eq!(world.wan.connections, 2, "connected again");
    world.run_until_delivered(MINUTE)
}

/// Promise 4: the hub restarts and keeps the session; what was in flight comes again under its identifier, with DUP.
#[test]
fn broker_restart() -> Story {
    let mut world = world(&[SensorConfig::new(20, 3_000)]);
    world.at(0, Fault::WanQuality(250, 0, 0));
    world.at(20 * SECOND, Fault::HubDown);
    world.at(25 * SECOND, Fault::HubUp { keeps_session: true });
    world.run_until_delivered(2 * MINUTE)?;
    assert!(world.gateway().core.stats().resent > 0);
    assert!(world.ctx.ledger.duplicates > 0, "PUBACKs were under way");
    Ok(())
}

/// Promise 4: the hub restarts without the session: published anew with the old identity, subscribed again.
#[test]
fn session_lost() -> Story {
    let mut world = world(&[SensorConfig::new(20, 3_000)]);
    world.at(0, Fault::WanQuality(250, 0, 0));
    world.at(20 * SECOND, Fault::HubDown);
    world.at(25 * SECOND, Fault::HubUp { keeps_session: false });
    world.at(40 * SECOND, Fault::Command);
    world.run_until_delivered(2 * MINUTE)?;
    let stats = world.gateway().core.stats();
    assert_eq!((stats.sessions_lost, stats.resent), (1, 0));
    assert_eq!((world.hub.subscribes, world.gateway().commands), (2, 1));
    Ok(())
}

/// Promise 5: a hub that accepts and then throws us out is not dialled in a tight loop.
#[test]
fn accept_then_kick() -> Story {
    let mut world = world(&[SensorConfig::new(1000, 900)]);
    world.at(0, Fault::HubKicks(Some(5)));
    world.at(0, Fault::Withhold(true));
    world.run_until(10 * MINUTE)?;
    let connects = world.hub.connects;
    assert!((30..=100).contains(&connects), "{connects} connections in ten minutes");
    world.at(10 * MINUTE, Fault::Heal);
    world.run_until_delivered(10 * MINUTE)
}

/// Promise 5: refused for ten minutes, then taken in again within the longest delay.
#[test]
fn refused() -> Story {
    for reason in [ReasonCode::QUOTA_EXCEEDED, ReasonCode::SERVER_UNAVAILABLE, ReasonCode::NOT_AUTHORIZED] {
        let mut world = world(&[SensorConfig::new(1000, 700)]);
        world.at(0, Fault::HubRefuses(Some(reason)));
        world.run_until(10 * MINUTE)?;
        let dials = world.gateway().core.stats().dials;
        assert!((30..=100).contains(&dials), "{dials} dials for {reason}");
        assert!(world.gateway().core.stats().last_error.is_some());
        world.at(10 * MINUTE, Fault::Heal);
        world.run_until(10 * MINUTE + 16 * SECOND)?;
        assert_eq!(world.hub.connects, 1);
        world.run_until_delivered(5 * MINUTE)?;
    }
    Ok(())
}

/// Promise 4: much is in flight, and the hub comes back with a smaller Receive Maximum.
#[test]
fn small_receive_maximum_on_resume() -> Story {
    for maximum in [1, 2, 20] {
        let mut world = world(&[SensorConfig::new(5, 2_000)]);
        world.at(0, Fault::WanQuality(250, 0, 0));
        world.at(5_500, Fault::HubDown);
        world.at(5_500, Fault::ReceiveMaximum(maximum));
        world.at(6_500, Fault::HubUp { keeps_session: true });
        world.run_until(5_499)?;
        assert!(world.wan.in_flight() > 50, "{} in flight", world.wan.in_flight());
        world.at(20 * SECOND, Fault::WanQuality(10, 0, 0));
        world.run_until_delivered(5 * MINUTE)?;
    }
    Ok(())
}

/// Promises 1, 3 and 4: the gateway loses its power in an outage, and again while it drains.
#[test]
fn power_cut_of_gateway() -> Story {
    let mut world = world(&[SensorConfig::new(30, 10_000), v311(SensorConfig::new(100, 3_000))]);
    world.at(0, Fault::WanQuality(250, 32_000, 0));
    world.at(30 * SECOND, Fault::WanDown);
    world.at(2 * MINUTE + 333, Fault::PowerCut(5 * SECOND));
    world.at(3 * MINUTE, Fault::WanUp);
    world.at(3 * MINUTE + 20_700, Fault::PowerCut(2 * SECOND));
    world.run_until_delivered(20 * MINUTE)?;
    assert!(world.ctx.ledger.duplicates <= world.ctx.ledger.duplicates_allowed);
    Ok(())
}

/// Promise 7: on 32 kB/s an alarm does not wait behind the backlog: it has left within a second over 500 ms of round trip, and it is at the
/// hub within a second over 100 ms.
#[test]
fn slow_link_live_row_behind_backlog() -> Story {
    for (latency_ms, limit_ms) in [(250, 1_250), (50, 1_000)] {
        let worst_ms = live_row_behind_backlog(&mut slow_link_world(latency_ms, None))?;
        assert!(worst_ms < limit_ms, "{worst_ms} ms at {latency_ms} ms one way");
    }
    Ok(())
}

pub(crate) fn slow_link_world(latency_ms: u64, bug: Option<Bug>) -> World {
    let backlog = SensorConfig { size: 200, ..SensorConfig::new(10, 60_000) };
    let alarm = SensorConfig { alarm: true, start_ms: 2 * MINUTE + 30_000, ..SensorConfig::new(1_300, 40) };
    let mut world = World::with_bug(7, GatewayConfig::default(), &[backlog, alarm], bug);
    world.at(0, Fault::WanQuality(latency_ms, 32_000, 0));
    world.at(SECOND, Fault::WanDown);
    world.at(2 * MINUTE, Fault::WanUp);
    world
}

/// The slowest alarm, from the sensor to the hub, after the window had half a minute to find its size.
pub(crate) fn live_row_behind_backlog(world: &mut World) -> Result<u64, Violation> {
    world.run_until(3 * MINUTE + 25_000)?;
    assert!(world.rows() > 1_000, "a backlog: {}", world.rows());
    let late = |seq| {
        let made_ms = 2 * MINUTE + 30_000 + u64::from(seq - 1) * 1_300;
        world.ctx.ledger.arrived_ms.get(&Msg { sensor: 1, seq }).map_or(u64::MAX, |at_ms| at_ms - made_ms)
    };
    Ok((1..=40).map(late).max().unwrap())
}

/// Promise 1: a sensor sends again on a new connection before its first copy is safe; the copy is absorbed, its PUBACK waits.
#[test]
fn sensor_reconnects_before_puback() -> Story {
    let config = GatewayConfig { deduplicates: true, ..GatewayConfig::default() };
    let mut world = World::new(7, config, &[SensorConfig::new(40, 1_500), SensorConfig::new(100, 600)]);
    world.at(0, Fault::WanDown);
    for n in 0..30 {
        world.at(1_500 + n * 1_700, Fault::SensorReset(0));
    }
    world.at(50 * SECOND, Fault::WanUp);
    world.run_until_delivered(3 * MINUTE)?;
    assert_eq!(world.ctx.ledger.duplicates, 0, "all copies were absorbed");
    Ok(())
}

/// Promise 1: sensors that wait for each PUBACK get it by a commit of their own, not after a second each.
#[test]
fn two_sensors_waiting() -> Story {
    let waiting = SensorConfig { window: 1, ..SensorConfig::new(60, 1_000) };
    let mut world = world(&[waiting, v311(waiting)]);
    world.at(0, Fault::WanDown);
    world.run_until(75 * SECOND)?;
    let acked: Vec<_> = world.sensors.iter().map(|s| s.acked).collect();
    assert!(acked.iter().all(|n| *n > 950), "{acked:?} of 1 000 in 75 s");
    world.at(75 * SECOND, Fault::WanUp);
    world.run_until_delivered(2 * MINUTE)
}

/// Promise 5: the hub answers pings and no PUBLISH: not `flowing`, and broken after half a minute.
#[test]
fn pubacks_withheld() -> Story {
    let mut world = world(&[SensorConfig::new(200, 600)]);
    world.at(20 * SECOND, Fault::Withhold(true));
    world.run_until(20 * SECOND)?;
    world.states.clear();
    world.run_until(49 * SECOND)?;
    assert_eq!(world.gateway().stalls, 0);
    let flowing_ms = world.states.get("flowing").copied().unwrap_or(0);
    assert!(flowing_ms <= 4_000, "flowing for {flowing_ms} of 29 000 ms without a PUBACK");
    world.run_until(52 * SECOND)?;
    assert_eq!(world.gateway().stalls, 1);
    world.at(MINUTE, Fault::Heal);
    world.run_until_delivered(5 * MINUTE)
}

/// Promise 5, the harder half: a hub that sends commands and no PUBACK is not silent, and not making progress either.
#[test]
fn pubacks_withheld_while_commands_come() -> Story {
    let mut world = world(&[SensorConfig::new(200, 600)]);
    world.at(20 * SECOND, Fault::Withhold(true));
    (0..40).for_each(|n| world.at(20 * SECOND + n * SECOND, Fault::Command));
    world.run_until(45 * SECOND)?;
    assert_eq!(world.link(), LinkState::Stalled);
    world.at(MINUTE, Fault::Heal);
    world.run_until_delivered(5 * MINUTE)
}

/// Readings of 60 kB over 4 kB/s, small ones behind them.
pub(crate) fn thin_link(bug: Option<Bug>) -> Story {
    let large = SensorConfig { size: 60_000, ..SensorConfig::new(20_000, 6) };
    let mut world = World::with_bug(7, GatewayConfig::default(), &[large, SensorConfig::new(2_000, 60)], bug);
    world.at(0, Fault::WanQuality(250, 4_000, 0));
    world.run_until_delivered(10 * MINUTE)?;
    if bug.is_none() {
        assert_eq!((world.wan.connections, world.ctx.ledger.duplicates), (1, 0));
    }
    Ok(())
}

/// Promises 4 and 5: transmission is no silence.
#[test]
fn large_messages_on_a_thin_link_go_once() -> Story {
    thin_link(None)
}

/// Server Keep Alive holds for an idle link too: five seconds instead of sixty, for ten minutes.
#[test]
fn server_keep_alive() -> Story {
    let mut world = world(&[SensorConfig::new(1000, 10)]);
    world.at(0, Fault::KeepAlive(Some(5)));
    world.run_until(10 * MINUTE)?;
    assert_eq!(world.wan.connections, 1);
    assert_eq!(world.link(), LinkState::Idle);
    world.run_until_delivered(SECOND)
}

/// Promise 12: repeated, invented and late PUBACKs, and bytes that are no packet.
#[test]
fn hostile_hub() -> Story {
    let mut world = world(&[SensorConfig::new(20, 4_000), SensorConfig::new(70, 1_000)]);
    world.at(0, Fault::WanQuality(100, 0, 20));
    world.at(0, Fault::HostileAcks(3));
    for n in 1..8 {
        world.at(n * 9 * SECOND, if n % 2 == 0 { Fault::Garbage } else { Fault::WanReset });
    }
    world.run_until_delivered(5 * MINUTE)
}

/// Promise 12: every byte by itself, on both networks.
#[test]
fn one_byte_at_a_time() -> Story {
    let mut world = world(&[SensorConfig::new(20, 500), v311(SensorConfig::new(30, 300))]);
    world.ctx.slice = 1;
    world.at(5 * SECOND, Fault::WanReset);
    world.run_until_delivered(MINUTE)
}

/// Promise 1: a full queue withholds PUBACKs; no sensor is told "later" by an answer that counts as taken.
#[test]
fn full_queue_withholds() -> Story {
    let mut world = world(&[SensorConfig::new(50, 2_000), v311(SensorConfig::new(50, 2_000))]);
    world.at(0, Fault::WanDown);
    world.at(0, Fault::QueueRows(100));
    world.run_until(30 * SECOND)?;
    let acked: u32 = world.sensors.iter().map(|s| s.acked).sum();
    assert!((80..=100).contains(&acked), "{acked}");
    assert!(world.queue_max() <= 100, "{}", world.queue_max());
    world.at(30 * SECOND, Fault::WanUp);
    world.run_until_delivered(5 * MINUTE)
}

/// Promise 4: the bridge stops in order with messages in flight and starts again: leases go back, nothing is lost.
#[test]
fn bridge_restarts() -> Story {
    let mut world = world(&[SensorConfig::new(20, 3_000)]);
    world.at(0, Fault::WanQuality(250, 0, 0));
    for n in 1..6 {
        world.at(n * 10 * SECOND + 100, Fault::BridgeStop(n * 500));
    }
    world.run_until_delivered(2 * MINUTE)
}
