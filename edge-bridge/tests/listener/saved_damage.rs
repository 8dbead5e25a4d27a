//! Damage to saved clients, in any byte of them. Promise 2.

use std::collections::BTreeSet;

use bytes::Bytes;
use edge_bridge::listener::{Damage, RestoreError};
use edge_bridge::wire::{Connect, Packet, PacketId, PropertyId, Publish, QoS, Subscription, Value, Version};

use crate::listener_support::*;
use crate::random::{Rng, budget};
use crate::saved::{at_noon, expiring, retained};

/// Clients with all that is saved of them, and retained messages. Payloads have zeros, and long runs without one.
fn several() -> Site {
    let mut site = at_noon();
    let (panel, _) = site.connect(stays("panel", Version::V5));
    let filters = ["a", "b/+"].map(|filter| Subscription::new(text(filter), QoS::AtLeastOnce));
    site.send(panel, &[subscribe_as(filters.to_vec(), Some(7))]);
    let (logger, _) = site.connect(stays("logger", Version::V311));
    site.send(logger, &[subscribe(&["a"])]);
    let will = will("store/gone", &[(PropertyId::WillDelayInterval, Value::U32(100))]);
    let (gone, _) = site.connect(Connect { will, ..stays("gone", Version::V5) });
    site.send(gone, &[subscribe(&["c"])]);
    let publisher = site.client("pub", Version::V311);
    site.cut(panel);
    site.pass(1_000);
    site.cut(logger);
    site.pass(1_000);
    site.cut(gone);
    let zeros = Bytes::from_static(b"\0\0z\0\xff\xff\0");
    let payloads =
        [("a", "one".into()), ("a", zeros.clone()), ("b/x", "y".repeat(600).into()), ("c", "four".into())];
    for (n, (topic, payload)) in payloads.into_iter().enumerate() {
        let packet_id = PacketId::new(u16::try_from(n).unwrap() + 1);
        site.send(publisher, &[Packet::Publish(Publish { payload, packet_id, ..message(topic, "") })]);
    }
    site.send(publisher, &[retained("r/1", "1"), retained("r/2", "22"), retained("r/3", "333")]);
    let Packet::Publish(with_zeros) = retained("r/4", "") else { panic!() };
    site.send(publisher, &[Packet::Publish(Publish { payload: zeros, ..with_zeros })]);
    site.send(publisher, &[disconnect(edge_bridge::wire::ReasonCode::NORMAL_DISCONNECTION)]);
    let end = Connect { clean_start: true, ..connect("pub", Version::V311) };
    let (end, _) = site.connect(end);
    site.cut(end);
    site
}

fn saved() -> Vec<u8> {
    let site = several();
    site.listener.save(site.now).bytes
}

/// Records that came back, a line each, and the damage that was told. `None`: nothing came back.
fn seen(saved: &[u8]) -> Option<(BTreeSet<String>, Option<Damage>)> {
    let restore = || {
        let mut next = at_noon();
        let restored = next.listener.restore(next.now, saved);
        next.outputs();
        let is_unchanged = next.listener.stats() == at_noon().listener.stats();
        assert!(restored.is_ok() || is_unchanged, "it is refused, and changed something");
        Some((next, restored.ok()?.damage))
    };
    let (mut next, damage) = restore()?;
    next.pass(150_000);
    let wills = next.stored.iter().map(|(_, rows)| format!("will gone {}", rows[0].topic));
    let mut seen: BTreeSet<String> = wills.collect();
    let (mut next, _) = restore()?;
    let payload = |p: &Publish| format!("{} {:?}", p.topic, p.payload);
    let names = [("panel", Version::V5), ("logger", Version::V311), ("gone", Version::V5)];
    let mut peers = Vec::new();
    for (name, version) in names {
        let (peer, ack) = next.connect(stays(name, version));
        if ack.session_present {
            seen.extend(next.messages(peer).iter().map(|p| format!("waiting {name} {}", payload(p))));
            peers.push((name, peer));
        }
    }
    let (other, _) = next.connect(connect("other", Version::V5));
    next.send(other, &[publish(1, "a", "new"), publish(2, "b/n", "new"), publish(3, "c", "new")]);
    for (name, peer) in peers {
        let heard: Vec<_> =
            next.messages(peer).iter().map(|p| format!("{} {:?}", p.topic, p.properties)).collect();
        seen.insert(format!("session {name} {heard:?}"));
    }
    next.send(other, &[subscribe(&["#"])]);
    seen.extend(next.messages(other).iter().filter(|p| p.retain).map(|p| format!("retained {}", payload(p))));
    Some((seen, damage))
}

/// Restores damaged bytes, of which nothing may come back that is not in `whole`, and what is missing has to be counted. Returns what is missing.
fn missing(damaged: &[u8], whole: &BTreeSet<String>, case: &str) -> Vec<String> {
    let Some((seen, damage)) = seen(damaged) else { return whole.iter().cloned().collect() };
    assert!(seen.is_subset(whole), "{case}: {:?}", seen.difference(whole));
    let missing: Vec<_> = whole.difference(&seen).cloned().collect();
    let Some(damage) = damage else {
        assert!(missing.is_empty(), "{case}: {missing:?} and nothing is said");
        return missing;
    };
    let of = |kind: &str| missing.iter().filter(|line| line.starts_with(kind)).count();
    if !damage.is_minimum {
        let counted = (damage.retained, damage.sessions, damage.wills, damage.waiting);
        assert_eq!(
            counted,
            (of("retained"), of("session"), of("will"), of("waiting")),
            "{case}: {missing:?}"
        );
    }
    missing
}

/// Returns the client in a line, and whether the line is one of a session.
fn client(line: &str) -> (&str, bool) {
    let mut words = line.split(' ');
    let is_session = words.next() == Some("session");
    (words.next().unwrap(), is_session)
}

/// A session's name is its client's.
fn is_one_record(missing: &[String]) -> bool {
    match missing.iter().map(|line| client(line)).find(|(_, is_session)| *is_session) {
        Some((name, _)) => missing.iter().all(|line| client(line).0 == name),
        None => missing.len() <= 1,
    }
}

/// Without a look at the checksum, messages would come back changed.
#[test]
fn a_byte_that_is_damaged_costs_its_record_alone() {
    let saved = saved();
    let (whole, damage) = seen(&saved).unwrap();
    assert_eq!((whole.len(), damage), (4 + 3 + 6 + 1, None));
    let (mut costs, mut named, mut unnamed) = (BTreeSet::new(), 0, 0);
    for at in 0..saved.len() {
        for bits in [1, 0x80, 0xff, saved[at]].into_iter().filter(|bits| *bits != 0) {
            let mut damaged = saved.clone();
            damaged[at] ^= bits;
            let case = format!("byte {at} of {}, bits {bits:x}", saved.len());
            let missing = missing(&damaged, &whole, &case);
            assert!(is_one_record(&missing), "{case}: {missing:?}");
            let damage = seen(&damaged).unwrap().1.unwrap_or_else(|| panic!("{case}: it is not noticed"));
            assert!(damage.unknown == 0 && !damage.is_minimum, "{case}");
            for (name, is_session) in missing.iter().map(|line| client(line)) {
                let is_named = damage.clients.iter().any(|client| *client == *name);
                // The name of a lost session is in its damaged record, if anywhere.
                assert!(is_named || is_session || damage.sessions > 0 || name.starts_with("r/"), "{case}");
                named += usize::from(is_session && is_named);
                unnamed += usize::from(is_session && !is_named);
            }
            costs.insert(missing);
        }
    }
    // None, and each record.
    assert_eq!(costs.len(), 1 + whole.len());
    assert!(named > unnamed, "{named} sessions are named, {unnamed} not");
}

#[test]
fn what_is_cut_off_is_missing_and_what_is_before_it_is_back() {
    let saved = saved();
    let (whole, _) = seen(&saved).unwrap();
    let mut before = BTreeSet::new();
    for end in 0..saved.len() {
        let case = format!("cut at {end}");
        let missing: BTreeSet<_> = missing(&saved[..end], &whole, &case).into_iter().collect();
        let back: BTreeSet<_> = whole.difference(&missing).cloned().collect();
        assert!(before.is_subset(&back) && back.len() <= before.len() + 1, "{case}: {back:?}");
        assert!(seen(&saved[..end]).is_none_or(|(_, damage)| damage.is_some()), "{case}");
        before = back;
    }
    assert_eq!(before, whole, "but for the summary");
    for start in 1..saved.len() {
        missing(&saved[start..], &whole, &format!("begins at {start}"));
    }
}

/// A block that a disk wrote twice, or in another's place, and one that is missing.
#[test]
fn a_block_that_is_there_twice_brings_nothing_twice() {
    let saved = saved();
    let (whole, _) = seen(&saved).unwrap();
    for block in [16, 64, 512] {
        for from in (0..saved.len() - block).step_by(37) {
            for at in (0..saved.len() - block).step_by(41).filter(|at| *at != from) {
                let case = format!("{block} bytes of {from} at {at}");
                let copy = &saved[from..from + block];
                let inserted = [&saved[..at], copy, &saved[at..]].concat();
                assert!(is_one_record(&missing(&inserted, &whole, &case)), "{case}, inserted");
                let mut replaced = saved.clone();
                replaced[at..at + block].copy_from_slice(copy);
                missing(&replaced, &whole, &format!("{case}, replaced"));
            }
            missing(&[&saved[..from], &saved[from + block..]].concat(), &whole, "cut out");
        }
    }
    let twice = seen(&saved.repeat(2)).unwrap();
    assert_eq!((&twice.0, twice.1), (&whole, Some(Damage::default())));
}

/// A file system may leave blocks of the file that was replaced. What was changed or acknowledged since may not come back.
#[test]
fn a_block_of_an_earlier_save_brings_nothing_back() {
    let mut site = several();
    let earlier = site.listener.save(site.now).bytes;
    let publisher = site.client("pub", Version::V311);
    site.send(publisher, &[retained("r/1", "9"), retained("r/3", "999")]);
    site.send(publisher, &[disconnect(edge_bridge::wire::ReasonCode::NORMAL_DISCONNECTION)]);
    let (again, _) = site.connect(stays("gone", Version::V5));
    site.send(again, &[puback(1)]);
    site.cut(again);
    let end = Connect { clean_start: true, ..connect("pub", Version::V311) };
    let (end, _) = site.connect(end);
    site.cut(end);
    site.now.wall_ms += 3_000;
    let saved = site.listener.save(site.now).bytes;
    let (whole, damage) = seen(&saved).unwrap();
    assert!(damage.is_none() && !whole.contains("retained r/1 b\"1\""));
    for block in [64, 256] {
        for at in (0..saved.len().min(earlier.len()) - block).step_by(7) {
            let mut mixed = saved.clone();
            mixed[at..at + block].copy_from_slice(&earlier[at..at + block]);
            missing(&mixed, &whole, &format!("{block} bytes at {at}"));
        }
    }
}

#[test]
fn much_damage_at_random_places_is_counted_too() {
    let saved = saved();
    let (whole, _) = seen(&saved).unwrap();
    let mut random = Rng::new(1);
    for _ in 0..budget(20_000) {
        let mut damaged = saved.clone();
        for _ in 0..=random.below(8) {
            let at = random.index(damaged.len());
            damaged[at] = u8::try_from(random.below(256)).unwrap();
        }
        missing(&damaged, &whole, "random");
    }
}

/// Without a summary nobody knows how old it is: what has an expiry does not come late, and all else is back.
#[test]
fn without_both_summaries_all_comes_back_that_cannot_be_too_late() {
    let mut site = several();
    let publisher = site.client("pub", Version::V5);
    let with_end = Publish { retain: true, qos: QoS::AtMostOnce, ..expiring("r/5", "with an end", 1_000) };
    site.send(publisher, &[Packet::Publish(with_end)]);
    site.cut(publisher);
    let mut saved = site.listener.save(site.now).bytes;
    let (whole, _) = seen(&saved).unwrap();
    assert!(whole.iter().any(|line| line.contains("with an end")));
    let last = saved.len() - 5;
    (saved[5], saved[last]) = (saved[5] ^ 1, saved[last] ^ 1);
    let (seen_now, damage) = seen(&saved).unwrap();
    let missing: Vec<_> = whole.difference(&seen_now).collect();
    let damage = damage.unwrap();
    assert_eq!((missing.len(), damage.unknown, damage.is_minimum), (1, 0, true), "{missing:?}");
    assert!(missing[0].contains("with an end"));
    // And one record more.
    let at = saved.windows(3).position(|bytes| bytes == b"r/2").unwrap();
    saved[at] ^= 1;
    assert_eq!(seen(&saved).unwrap().1.unwrap().unknown, 1);
}

#[test]
fn what_was_never_saved_is_refused_and_changes_nothing() {
    let mut random = Rng::new(1);
    let noise: Vec<u8> = (0..100_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let foreign: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\0\0",
        b"edge clients 2\n",
        b"[gateway]\nid = \"g\"\n",
        &[0; 10_000],
        &[255; 10_000],
        &noise,
    ];
    for bytes in foreign {
        let mut next = at_noon();
        let refused = next.listener.restore(next.now, bytes);
        assert_eq!(refused, Err(RestoreError::NoRecord { bytes: bytes.len() }));
        assert_eq!(next.listener.stats(), at_noon().listener.stats());
    }
}

/// As the version before saved [`several`]: this file never changes.
const VERSION_1: &[u8] = include_bytes!("../golden/saved-clients-v1.bin");

#[test]
fn clients_of_version_1_come_back_and_damage_to_them_changes_nothing() {
    let (whole, _) = seen(&saved()).unwrap();
    assert_eq!(seen(VERSION_1), Some((whole, None)));
    for end in 0..VERSION_1.len() {
        // Behind a whole packet nothing is noticed: what stored them had the checksum.
        seen(&VERSION_1[..end]);
    }
    for at in 0..VERSION_1.len() {
        let mut damaged = VERSION_1.to_vec();
        damaged[at] ^= 1;
        seen(&damaged);
    }
}

/// As version 2 saved [`several`]: this file never changes.
const VERSION_2: &[u8] = include_bytes!("../golden/saved-clients-v2.bin");

#[test]
fn clients_of_version_2_come_back() {
    let (whole, _) = seen(&saved()).unwrap();
    assert_eq!(seen(VERSION_2), Some((whole, None)));
}

/// As version 3 saved [`several_and_a_group`]: this file never changes.
const VERSION_3: &[u8] = include_bytes!("../golden/saved-clients-v3.bin");

/// The clients of [`several`], one of them in a group for which a message waits.
fn several_and_a_group() -> Site {
    let mut site = several();
    let (panel, _) = site.connect(stays("panel", Version::V5));
    site.send(panel, &[subscribe(&["$share/g/shared/+"])]);
    site.cut(panel);
    let (publisher, _) = site.connect(connect("pub", Version::V5));
    site.send(publisher, &[publish(1, "shared/1", "whose turn?")]);
    site.cut(publisher);
    site
}

/// Clients of version 4, which did not have the publishers of retained messages.
const VERSION_4: &[u8] = include_bytes!("../golden/saved-clients-v4.bin");

/// As version 5 saved [`several_and_one_that_is_there`] at first, without a mark of what was in flight: this file never changes.
const VERSION_5: &[u8] = include_bytes!("../golden/saved-clients-v5.bin");
/// The same with DUP as the mark, as it is saved now: this file never changes.
const VERSION_5_SENT: &[u8] = include_bytes!("../golden/saved-clients-v5-sent.bin");

/// The clients of [`several_and_a_group`], and one with a will that is connected.
fn several_and_one_that_is_there() -> Vec<u8> {
    let mut site = several_and_a_group();
    let will = will("store/there", &[(PropertyId::WillDelayInterval, Value::U32(5))]);
    site.connect(Connect { will, keep_alive_s: 60, ..stays("there", Version::V5) });
    site.listener.save(site.now).bytes
}

#[test]
fn clients_of_version_5_come_back() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/saved-clients-v5-sent.bin");
    if std::env::var_os("EDGE_REGENERATE_GOLDEN").is_some() {
        std::fs::write(path, several_and_one_that_is_there()).unwrap();
    }
    assert!(
        several_and_one_that_is_there() == VERSION_5_SENT,
        "the format has changed, and needs another version"
    );
    for saved in [VERSION_5, VERSION_5_SENT] {
        let (whole, damage) = seen(saved).unwrap();
        assert!(damage.is_none() && whole == seen(VERSION_4).unwrap().0, "{whole:?}");
    }
}

#[test]
fn clients_of_version_4_come_back() {
    let (mut whole, damage) = seen(VERSION_4).unwrap();
    assert!(damage.is_none() && whole.remove("will gone store/there"), "{whole:?}");
    assert_eq!(whole, seen(VERSION_3).unwrap().0);
}

#[test]
fn clients_of_version_3_come_back_and_damage_to_a_group_costs_one_record() {
    let (whole, damage) = seen(VERSION_3).unwrap();
    let waits = "waiting panel shared/1 b\"whose turn?\"".to_owned();
    assert!(damage.is_none() && whole.contains(&waits), "{whole:?}");
    for at in 0..VERSION_3.len() {
        let mut damaged = VERSION_3.to_vec();
        damaged[at] ^= 0x10;
        missing(&damaged, &whole, &format!("byte {at}"));
    }
    let at = VERSION_3.windows(5).position(|bytes| bytes == b"whose").unwrap();
    let mut damaged = VERSION_3.to_vec();
    damaged[at] ^= 0x10;
    assert_eq!(missing(&damaged, &whole, "its message"), [waits]);
}
