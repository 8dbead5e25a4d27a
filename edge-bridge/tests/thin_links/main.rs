//! Links on which a message takes longer than any patience with silence: transmission is no silence. A core against a hub on a path with a rate, a
//! send buffer and a grain, in virtual time. Promises 4 and 5.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod world;

use bytes::Bytes;
use edge_bridge::bridge::{Input, LinkState};
use edge_bridge::wire::{Packet, PacketId, Properties, Publish, QoS};

use crate::world::{Path, World, text};

const RATES: [u64; 7] = [1_000, 2_200, 4_000, 10_000, 32_000, 100_000, 1_000_000];
const SIZES: [usize; 8] = [100, 2_000, 8_000, 20_000, 131_000, 250_000, 600_000, 2_000_000];

/// Any message over any link of 1 kB/s or more: once, on one connection, within twice its transmission time.
#[test]
fn a_large_message_goes_once_over_a_thin_link() {
    for rate in RATES {
        for size in SIZES {
            for (told, grain) in [(true, 1_400), (false, 1_400), (true, 65_536)] {
                let mut world = World::new(Path { told, grain, ..Path::new(rate) });
                world.push(size);
                let own_ms = world.path.transmission_ms(size);
                let took_ms = world.run_until_delivered(2 * own_ms + 1_000);
                assert!(took_ms <= 2 * own_ms + 1_000, "{size} B at {rate} B/s: {took_ms} ms");
                assert_eq!(world.arrived.len(), 1);
                world.assert_one_connection();
                // Nothing goes wrong afterwards either, the keep alive included.
                world.run(120_000);
                world.assert_one_connection();
            }
        }
    }
}

/// The idle ping is for links on which nothing is on the way: behind a large message it would be answered too late.
#[test]
fn a_large_message_goes_once_over_a_thin_link_that_listens_too() {
    for rate in RATES {
        for size in SIZES {
            let mut world = World::new(Path::new(rate));
            world.subscribe();
            world.push(size);
            world.run_until_delivered(2 * world.path.transmission_ms(size) + 1_000);
            assert_eq!(world.arrived.len(), 1);
            world.assert_one_connection();
        }
    }
}

/// The hub's side says nothing for the whole transmission, and nobody tells the core that bytes leave.
#[test]
fn patience_needs_no_word_of_the_shell() {
    for rate in [1_000, 2_200, 4_000] {
        for size in [20_000, 131_000, 250_000] {
            let path = Path { told: false, grain: usize::MAX, send_buffer: usize::MAX, ..Path::new(rate) };
            let mut world = World::new(path);
            world.push(size);
            world.run_until_delivered(2 * world.path.transmission_ms(size));
            world.assert_one_connection();
        }
    }
}

/// Small messages that went through at once say nothing of how long a large one may take.
#[test]
fn mixed_sizes_go_over_one_connection() {
    for rate in RATES {
        for grain in [1_400, 65_536] {
            let mut world = World::new(Path { grain, ..Path::new(rate) });
            let mut bytes = 0;
            for n in 0..60u64 {
                let size = [100, 130, 40, 2_000, 100, 131_000, 100, 250_000, 20_000, 100]
                    [usize::try_from(n % 10).unwrap()];
                bytes += size;
                world.push(size);
                world.run(n * 37 % 900);
            }
            world.run_until_delivered(2 * world.path.transmission_ms(bytes));
            assert_eq!(world.arrived.len(), 60);
            world.assert_one_connection();
        }
    }
}

/// A fast link becomes a thin one while a large message is under way.
#[test]
fn a_link_that_becomes_thin_is_not_broken() {
    for rate in [1_000, 2_000, 10_000] {
        let mut world = World::new(Path { send_buffer: 16_000, ..Path::new(1_000_000) });
        (0..20).for_each(|_| world.push(131_000));
        world.run_until_delivered(10_000);
        world.push(131_000);
        world.run(20);
        world.path.rate = rate;
        world.run_until_delivered(2 * world.path.transmission_ms(131_000));
        world.assert_one_connection();
    }
}

/// A person who reads the state would look for a fault that is none.
#[test]
fn promise_5_a_link_is_not_said_to_be_stalled_while_a_large_message_leaves() {
    let mut world = World::new(Path { send_buffer: 16_000, ..Path::new(4_000) });
    world.push(250_000);
    let start_ms = world.now_ms;
    while !world.unsent.is_empty() {
        assert!(world.step(start_ms + 63_000), "{:?}", world.core.stats());
        assert_ne!(world.core.link(), LinkState::Stalled, "after {} ms", world.now_ms - start_ms);
    }
    assert!(world.now_ms - start_ms > 50_000, "{} ms", world.now_ms - start_ms);
    world.run_until_delivered(13_000);
    world.assert_one_connection();
}

/// The transmission of a message from the hub is no silence either.
#[test]
fn a_large_message_from_the_hub_comes_once() {
    for rate in [1_000, 4_000] {
        let mut world = World::new(Path::new(rate));
        world.core.subscribe(world.now(), text("cmd/#"), QoS::AtLeastOnce);
        world.outputs();
        world.run(1_000);
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text("cmd/a"),
            packet_id: PacketId::new(1),
            properties: Properties::default(),
            payload: Bytes::from(vec![b'x'; 200_000]),
        };
        world.say(&Packet::Publish(publish));
        for _ in 0..20 {
            world.push(100);
            world.run(1_000);
        }
        world.run(world.path.transmission_ms(210_000));
        assert_eq!((world.received, world.core.spool().len()), (1, 0), "{rate}");
        world.assert_one_connection();
    }
}

/// Promise 5: silence while nothing is being transmitted, also after minutes of transmission.
#[test]
fn a_half_open_link_is_found_in_seconds_when_nothing_is_being_transmitted() {
    for (rate, before) in [(1_000_000, 100), (32_000, 131_000), (4_000, 250_000), (1_000, 20_000)] {
        let mut world = World::new(Path::new(rate));
        world.push(before);
        world.run_until_delivered(2 * world.path.transmission_ms(before) + 1_000);
        world.half_open = true;
        let start_ms = world.now_ms;
        // Messages go on, as sensors do.
        while world.resets == 0 && world.now_ms < start_ms + 60_000 {
            world.push(100);
            world.run(500);
        }
        let found_ms = world.now_ms - start_ms;
        assert!(found_ms <= 5_000, "{found_ms} ms at {rate} B/s");
        assert!(world.core.stats().srtt_ms > 0, "kept for the next connection");
        world.run_until_delivered(60_000);
        let stats = world.core.stats();
        assert_eq!((stats.stalls, stats.puback.count()), (1, stats.acknowledged));
        let least_ms = world.path.transmission_ms(before);
        assert!(stats.puback.sum_ms() >= least_ms, "{:?}: the first took {least_ms} ms", stats.puback);
    }
}

/// In the middle of a transmission: at once where as much is known to take less, within what may be on the way at 1 kB/s else.
#[test]
fn a_half_open_link_is_found_in_bounded_time_during_a_transmission() {
    let found_ms = |known: bool, size: usize| {
        let mut world = World::new(Path::new(100_000));
        if known {
            world.push(size);
            world.run_until_delivered(60_000);
        }
        world.push(size);
        world.run(200);
        world.half_open = true;
        let start_ms = world.now_ms;
        while world.resets == 0 {
            assert!(world.step(start_ms + 3_600_000));
        }
        world.now_ms - start_ms
    };
    assert!(found_ms(true, 131_000) < 26_000, "{} ms", found_ms(true, 131_000));
    assert!(found_ms(false, 131_000) < 110_000 + 5_000, "{} ms", found_ms(false, 131_000));
    assert!(found_ms(false, 50_000_000) < 330_000 + 5_000, "{} ms", found_ms(false, 50_000_000));
}

/// Bytes that are written meanwhile into a buffer with room show no slower path: nothing was seen to leave.
#[test]
fn promise_5_messages_that_go_on_put_off_no_end_of_a_half_open_link() {
    let mut world = World::new(Path::new(100_000));
    world.push(60_000);
    world.run_until_delivered(60_000);
    world.push(60_000);
    world.run(200);
    world.half_open = true;
    let start_ms = world.now_ms;
    while world.resets == 0 && world.now_ms < start_ms + 600_000 {
        world.push(20);
        world.run(500);
    }
    let found_ms = world.now_ms - start_ms;
    assert!(found_ms < 26_000, "{found_ms} ms");
}

/// A link that was given up does not send on what it still holds: the copy would take the path from the next connection.
#[test]
fn a_link_that_is_given_up_is_reset_and_others_are_not() {
    let mut world = World::new(Path::new(1_000_000));
    world.half_open = true;
    world.push(100);
    world.run(20_000);
    assert_eq!((world.resets, world.dials), (1, 2));
    world.core.handle_input(world.now(), Input::HungUp(None));
    world.outputs();
    world.run(5_000);
    world.core.stop(world.now());
    world.outputs();
    assert_eq!(world.resets, 1, "neither the hub's end nor our own");
}
