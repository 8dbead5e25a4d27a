//! Promise 6: one message that is never answered, and a million others that are, cost no memory in a link or in the listener.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

mod listener_support;
#[path = "support/random.rs"]
mod random;
mod refusal_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use edge_bridge::listener::Config;
use edge_bridge::wire::{Publish, Version};
use listener_support::{Site, exactly, message, puback, subscribe};
use refusal_support::{Answer, Rig, TAKEN};

struct Counting;

thread_local! {
    /// Bytes that this thread holds.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Of tables that doubled, and of what was on its way when it was measured.
const SLACK: i64 = 64 * 1024;

/// `EDGE_TEST_BUDGET` percent of a million, 10 unless set.
fn messages() -> u32 {
    u32::try_from(random::budget(1_000_000)).unwrap()
}

/// Bytes held after a hundredth of the rounds and at the most later.
fn most_held(rounds: u32, mut round: impl FnMut(u32)) -> (i64, i64) {
    let (mut early, mut most) = (0, 0);
    for n in 0..rounds {
        round(n);
        let held = HELD.get();
        if n <= rounds / 100 {
            early = held.max(early);
        }
        most = held.max(most);
    }
    (early, most)
}

/// On one connection: within the half minute after which such a message is looked into.
#[test]
fn a_link_behind_a_message_that_the_hub_never_answers() {
    const ROUND: u32 = 1_000;
    let mut rig =
        Rig::new(|_, publish| if publish.topic.as_str() == "quiet" { Answer::Silent } else { TAKEN });
    rig.latency_ms = 2;
    rig.push("quiet", 0);
    rig.run_until(100);
    let rounds = messages() / ROUND;
    let (early, most) = most_held(rounds, |_| {
        (1..=ROUND).for_each(|n| rig.push("live", n));
        rig.run_until(rig.now_ms + 25);
        // What the rig keeps, and a shell takes.
        rig.delivered.clear();
        drop(rig.core.spool_mut().drain_gone());
    });
    assert!(most < early + SLACK, "{early} bytes early, then {most}");
    assert_eq!((rig.dials, rig.core.spool().len()), (1, 1), "all but one are delivered over one connection");
    assert!(rig.published >= u64::from(rounds * ROUND), "{}", rig.published);
    println!("executed messages behind one at the hub: {} cases, {early} and {most} bytes", rounds * ROUND);
}

#[test]
fn the_listener_behind_a_message_that_a_client_never_answers() {
    for version in [Version::V5, Version::V311] {
        let mut site = Site::new(Config::default());
        let reader = site.client("reader", version);
        site.send(reader, &[subscribe(&["x"])]);
        site.received(reader);
        let (mut is_first, mut got) = (true, 0);
        let (early, most) = most_held(messages(), |_| {
            site.publish(&message("x", "20.5"));
            // What the rig keeps.
            site.settled.clear();
            site.events.clear();
            for Publish { packet_id, .. } in site.messages(reader) {
                got += 1;
                if !std::mem::take(&mut is_first) {
                    site.send(reader, &[puback(packet_id.unwrap().get())]);
                }
            }
        });
        assert!(most < early + SLACK, "{early} bytes early, then {most}");
        assert_eq!((got, site.is_closed(reader)), (messages(), false));
        println!("executed messages behind one at a client: {got} cases, {early} and {most} bytes");
    }
}

/// Each ten fill the budget, so that the sessions before them give way: of these nothing may stay beside what is counted.
#[test]
fn sessions_that_gave_way_take_no_more_than_is_counted() {
    const MAX: usize = 2 * 1024 * 1024;
    let mut config = Config::default();
    config.max_memory = MAX;
    config.max_sessions = 10_000;
    let mut site = Site::new(config);
    let (start, mut most) = (HELD.get(), 0);
    for ten in 0..40 {
        let topic = format!("to/{ten}");
        for n in 0..10 {
            let reader = site.client(&format!("absent {ten} {n}"), Version::V5);
            site.send(reader, &[subscribe(&[&topic])]);
            site.cut(reader);
        }
        for _ in 0..1_000 {
            site.publish(&message(&topic, ""));
            site.settled.clear();
            site.events.clear();
        }
        most = most.max(HELD.get() - start);
    }
    assert_eq!(site.listener.stats().sessions_given_up, 0, "sessions that hold little stay");
    assert!(site.listener.stats().held_bytes <= MAX);
    assert!(most < 3 * MAX as i64 / 2, "{most} bytes are held, of {MAX} that are counted at most");
}

/// Identifiers without a PUBREL, in each session about as many as a client may have open: they fill the budget, and older sessions give way.
#[test]
fn sessions_with_open_exchanges_take_no_more_than_is_counted() {
    const MAX: usize = 4 * 1024 * 1024;
    for ids in [120, 999] {
        let mut config = Config::default();
        config.max_memory = MAX;
        config.max_sessions = 10_000;
        let mut site = Site::new(config);
        let (start, mut most) = (HELD.get(), 0);
        for n in 0..200_000 / u32::from(ids) {
            let sender = site.client(&format!("half {n}"), Version::V5);
            let exchanges: Vec<_> = (1..=ids).map(|id| exactly(id, "p", "", false)).collect();
            site.send(sender, &exchanges);
            site.cut(sender);
            // What the rig keeps.
            site.received(sender);
            site.events.clear();
            site.listener.ingest_mut().seen.clear();
            most = most.max(HELD.get() - start);
        }
        assert!(site.listener.stats().held_bytes <= MAX);
        assert!(site.listener.stats().held_bytes > MAX / 2, "{}", site.listener.stats().held_bytes);
        // Beside them what the rig keeps of each connection.
        assert!(
            most < 7 * MAX as i64 / 4,
            "{most} bytes are held with {ids} each, of {MAX} that are counted at most"
        );
        println!("executed sessions with {ids} open exchanges: {most} bytes");
    }
}

/// User names as long as a CONNECT can carry them, from somebody without a login.
#[cfg(feature = "access")]
#[test]
fn wrong_logins_take_no_memory_for_their_names() {
    use edge_bridge::access::{LoginMemory, Logins, PasswordFile};
    use edge_bridge::listener::Access;
    use edge_bridge::wire::{Connect, Packet};
    use listener_support::{Peer, connect, text};

    let mut site = Site::new(Config::default());
    let file = PasswordFile::parse(&PasswordFile::line("ann", b"secret", [3; 12]).unwrap()).unwrap();
    site.listener.set_access(site.now, Access::of(Logins::new(file, LoginMemory::new([1; 32]))));
    let start = HELD.get();
    for n in 0..300 {
        let address = format!("192.0.2.{}:9", n % 3).parse().unwrap();
        let connection = site.listener.accept_from(site.now, Some(address)).unwrap();
        let peer = Peer { connection, version: Version::V5 };
        let username = Some(text(&format!("{n:0>65000}")));
        let password = Some(b"guess"[..].into());
        site.send(
            peer,
            &[Packet::Connect(Box::new(Connect { username, password, ..connect("", Version::V5) }))],
        );
        // What the rig keeps.
        site.received(peer);
        site.events.clear();
        assert!(site.is_closed(peer));
    }
    let held = HELD.get() - start;
    assert!(held < SLACK, "{held} bytes are held of 300 wrong logins");
}
