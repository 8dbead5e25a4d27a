//! Hubs that come back with another CONNACK, session kept: no retained messages, no QoS 1, a Maximum Packet Size that a message just fits; and hubs
//! that leave messages without an answer.

use crate::fault::Fault;
use crate::rng::Rng;
use crate::world::World;

/// In one of two, some changes. Drawn apart, so that the other faults of this seed stay as they are.
pub(crate) fn changing(seed: u64, world: &mut World, length_ms: u64) {
    let mut rng = Rng::new(!seed ^ 2);
    if !rng.one_in(2) {
        return;
    }
    for _ in 0..rng.between(1, 4) {
        let sensor = u16::try_from(rng.below(world.sensors.len() as u64)).unwrap();
        let (from_ms, for_ms) = (rng.below(length_ms), rng.pick(&[50, 2_000, 10_000]));
        let end_ms = from_ms + for_ms;
        let [change, back] = match rng.below(4) {
            0 => [Fault::Retains(false), Fault::Retains(true)],
            1 => [Fault::MaximumQos(0), Fault::MaximumQos(2)],
            2 => [Fault::TakesAsMuchAs(sensor), Fault::MaxPacket(1 << 20)],
            _ => {
                // No other connection is needed for this one.
                world.at(from_ms, Fault::PassesOver(rng.between(2, 50)));
                world.at(end_ms, Fault::PassesOver(0));
                continue;
            }
        };
        for (at_ms, fault) in [(from_ms, change), (end_ms, back)] {
            world.at(at_ms, fault);
            world.at(at_ms, Fault::WanReset);
        }
    }
}
