use proptest::prelude::*;

use super::*;

const A: ConnectionId = ConnectionId(1);
const B: ConnectionId = ConnectionId(2);

fn chain() -> PubackChain {
    let mut chain = PubackChain::new(1000);
    chain.open(A, None);
    chain.open(B, None);
    chain
}

fn ack(serial: u64) -> AckHandle {
    AckHandle::for_test(1, serial)
}

fn released(chain: &mut PubackChain) -> Vec<(u64, AckHandle)> {
    std::iter::from_fn(|| chain.poll(0)).map(|r| (r.connection.0, r.ack)).collect()
}

#[test]
fn in_order_per_connection() {
    let mut chain = chain();
    let first = chain.store(0, A, None, Some(ack(1)), 10);
    let second = chain.store(0, A, None, Some(ack(2)), 10);
    let other = chain.store(0, B, None, Some(ack(1)), 10);
    chain.resolve(second, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), []);
    chain.resolve(other, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(1))]);
    chain.resolve(first, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(1, ack(1)), (1, ack(2))]);
    assert_eq!(chain.unacked_bytes(), 0);
}

#[test]
fn an_absorbed_copy_waits_for_the_first_one_on_a_connection_that_is_gone() {
    let mut chain = chain();
    let first = chain.store(0, A, None, Some(ack(1)), 10);
    chain.close(A);
    chain.absorb(0, B, None, Some(ack(1)), 10);
    let later = chain.store(0, B, None, Some(ack(2)), 10);
    chain.resolve(later, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), []);
    chain.resolve(first, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(1)), (2, ack(2))]);
}

/// As its rows may be in any of the groups of now, it waits for all of them, and the groups stay as they are.
#[test]
fn a_message_that_comes_again_after_another_division_waits_for_every_group() {
    let of = |number, division| Some(Group { number, division });
    for (again, waits) in [(of(1, 2), false), (of(1, 1), true), (None, true)] {
        let mut chain = chain();
        chain.open(ConnectionId(3), None);
        let other = chain.store(0, A, of(0, 2), None, 10);
        chain.absorb_again(0, B, again, ack(1));
        assert_eq!(released(&mut chain).is_empty(), waits, "{again:?}");
        chain.absorb(0, ConnectionId(3), of(1, 2), Some(ack(2)), 10);
        assert_eq!(released(&mut chain), [(3, ack(2))], "{again:?}");
        chain.resolve(other, ReasonCode::SUCCESS);
        assert_eq!(released(&mut chain).is_empty(), !waits, "{again:?}");
    }
}

#[test]
fn an_absorbed_message_waits_for_rows_of_qos_0_too() {
    let mut chain = chain();
    let first = chain.store(0, A, None, None, 10);
    chain.absorb(0, B, None, Some(ack(1)), 10);
    assert_eq!(released(&mut chain), []);
    chain.resolve(first, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(1))]);
}

#[test]
fn nothing_pending_means_at_once() {
    let mut chain = chain();
    chain.absorb(0, A, None, Some(ack(1)), 10);
    assert_eq!(released(&mut chain), [(1, ack(1))]);
}

#[test]
fn a_withheld_message_waits_for_its_ticket_and_for_all_before_it() {
    let mut chain = chain();
    let elsewhere = chain.store(0, B, None, Some(ack(1)), 10);
    let held = chain.withhold(0, A, None, Some(ack(1)), 10);
    let after = chain.store(0, A, None, Some(ack(2)), 10);
    chain.absorb(0, B, None, Some(ack(2)), 10);
    chain.resolve(after, ReasonCode::SUCCESS);
    chain.resolve(held, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [], "a copy of it may be on its way on the other connection");
    chain.resolve(elsewhere, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(1)), (1, ack(1)), (1, ack(2)), (2, ack(2))]);
    let held = chain.withhold(0, A, None, Some(ack(3)), 10);
    chain.absorb(0, B, None, Some(ack(3)), 10);
    assert_eq!(released(&mut chain), [], "and what is suppressed waits for what is withheld");
    chain.resolve(held, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(1, ack(3)), (2, ack(3))]);
    assert_eq!((chain.pending(), chain.unacked_bytes()), (0, 0));
}

#[test]
fn over_the_total_only_those_who_wait_for_nothing_are_read() {
    let mut chain = chain();
    let big = chain.store(0, A, None, Some(ack(1)), 1000);
    assert!(!chain.may_read(A) && chain.may_read(B));
    assert!([A, B].iter().all(|on| chain.wants_commit_for(0, *on)));
    chain.resolve(big, ReasonCode::SUCCESS);
    assert!(chain.may_read(A) && !chain.wants_commit_for(0, A));
}

/// Its message costs memory too, and its PUBACK is as far away.
#[test]
fn who_waits_for_an_empty_message_is_not_read_over_the_total() {
    let mut chain = chain();
    let empty = chain.store(0, B, None, Some(ack(1)), 0);
    chain.store(0, A, None, Some(ack(1)), 1000);
    assert!(!chain.may_read(A) && !chain.may_read(B));
    chain.resolve(empty, ReasonCode::SUCCESS);
    assert!(!chain.may_read(A) && chain.may_read(B));
}

#[test]
fn a_connection_that_goes_takes_its_pubacks_and_bytes_along_and_nobody_elses() {
    let mut chain = chain();
    let first = chain.store(0, A, None, Some(ack(1)), 100);
    let second = chain.store(0, B, None, Some(ack(1)), 20);
    let last = chain.store(0, A, None, Some(ack(2)), 300);
    chain.absorb(0, B, None, Some(ack(2)), 4);
    assert_eq!((chain.unacked_bytes(), chain.pending()), (424, 3));
    chain.resolve(first, ReasonCode::SUCCESS);
    chain.resolve(second, ReasonCode::SUCCESS);
    assert_eq!((chain.unacked_bytes(), chain.pending()), (304, 1));
    chain.close(A);
    assert_eq!(released(&mut chain), [(2, ack(1))], "that of A has nowhere to go");
    assert_eq!((chain.unacked_bytes(), chain.pending()), (4, 1));
    chain.resolve(last, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(2))]);
    assert_eq!((chain.unacked_bytes(), chain.pending()), (0, 0));
}

#[test]
fn receipts_count_until_they_are_resolved_whatever_their_order() {
    let mut chain = chain();
    let tickets: Vec<_> = (0..3).map(|n| chain.store(0, A, None, Some(ack(n)), 1)).collect();
    chain.resolve(tickets[1], ReasonCode::SUCCESS);
    assert_eq!(chain.pending(), 2);
    chain.resolve(tickets[1], ReasonCode::SUCCESS);
    assert_eq!(chain.pending(), 2, "once only");
    chain.resolve(tickets[0], ReasonCode::SUCCESS);
    assert_eq!(chain.pending(), 1);
}

#[test]
fn above_the_total_nobody_who_waits_is_read() {
    let mut chain = chain();
    let first = chain.store(0, A, None, Some(ack(1)), 1500);
    assert!(!chain.may_read(A) && chain.may_read(B));
    chain.resolve(first, ReasonCode::SUCCESS);
    chain.store(0, A, None, Some(ack(2)), 999);
    assert!(chain.may_read(A), "one byte below");
    assert!(!chain.wants_commit_for(0, A));
}

fn group(number: u32) -> Option<Group> {
    Some(Group { number, division: 0 })
}

/// A full lane, whose rows wait for room, costs the PUBACKs of other lanes nothing.
#[test]
fn an_absorbed_message_waits_for_receipts_of_its_group_and_of_none_alone() {
    let mut chain = chain();
    let stuck = chain.store(0, A, group(1), Some(ack(1)), 10);
    chain.absorb(0, B, group(2), Some(ack(1)), 10);
    assert_eq!(released(&mut chain), [(2, ack(1))]);
    let own = chain.store(0, A, group(2), Some(ack(2)), 10);
    let held = chain.withhold(0, B, group(2), Some(ack(2)), 10);
    chain.absorb(0, B, group(2), Some(ack(3)), 10);
    chain.resolve(held, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [], "one of its group is unsafe");
    chain.resolve(own, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(2)), (2, ack(3))]);
    let of_none = chain.store(0, A, None, Some(ack(3)), 10);
    chain.absorb(0, B, group(2), Some(ack(4)), 10);
    assert_eq!(released(&mut chain), [], "it may depend on one without a group");
    chain.resolve(of_none, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(2, ack(4))]);
    chain.absorb(0, B, None, Some(ack(5)), 10);
    assert_eq!(released(&mut chain), [], "it may depend on any");
    chain.resolve(stuck, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(1, ack(1)), (1, ack(2)), (1, ack(3)), (2, ack(5))]);
}

/// After a reload a sensor may be in another lane than the row that makes its message superfluous.
#[test]
fn in_a_new_division_every_group_waits_for_receipts_of_the_old_one() {
    let mut chain = chain();
    let old = chain.store(0, A, group(1), Some(ack(1)), 10);
    let next = Some(Group { number: 2, division: 1 });
    chain.absorb(0, B, next, Some(ack(1)), 10);
    assert_eq!(released(&mut chain), []);
    let new = chain.store(0, A, Some(Group { number: 1, division: 1 }), None, 10);
    chain.resolve(old, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(1, ack(1)), (2, ack(1))]);
    chain.absorb(0, B, next, Some(ack(2)), 10);
    assert_eq!(released(&mut chain), [(2, ack(2))], "and for none of other groups of the new one");
    chain.resolve(new, ReasonCode::SUCCESS);
    assert_eq!(chain.pending(), 0);
}

/// A message that had nothing to wait for when it came waits for nothing later, not even behind another one of its connection.
#[test]
fn a_new_division_makes_nobody_wait_who_did_not() {
    let mut chain = chain();
    let foreign = chain.store(0, B, group(1), Some(ack(1)), 10);
    let own = chain.store(0, A, group(2), Some(ack(1)), 10);
    chain.absorb(0, A, group(3), Some(ack(2)), 10);
    let held = chain.withhold(0, A, group(3), Some(ack(3)), 10);
    let next = chain.store(0, B, Some(Group { number: 2, division: 1 }), None, 10);
    chain.resolve(own, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(1, ack(1)), (1, ack(2))]);
    chain.resolve(held, ReasonCode::SUCCESS);
    assert_eq!(released(&mut chain), [(1, ack(3))]);
    [foreign, next].into_iter().for_each(|ticket| chain.resolve(ticket, ReasonCode::SUCCESS));
    assert_eq!((released(&mut chain), chain.pending()), (vec![(2, ack(1))], 0));
}

/// A row that waits for room for days, while other lanes go on.
#[test]
fn a_resolved_receipt_takes_no_memory_behind_one_that_waits() {
    let mut chain = chain();
    let stuck = chain.store(0, A, group(1), Some(ack(1)), 10);
    for n in 2..1_000 {
        for group in [group(1), group(2), None] {
            let ticket = chain.store(0, B, group, Some(ack(n)), 1);
            chain.resolve(ticket, ReasonCode::SUCCESS);
        }
    }
    assert_eq!(chain.receipts.kept(), 1);
    chain.resolve(stuck, ReasonCode::SUCCESS);
    assert_eq!((chain.receipts.kept(), chain.pending()), (0, 0));
}

/// Absorbed traffic alone may go on for ever.
#[test]
fn what_waits_for_no_receipt_is_not_remembered() {
    let mut chain = chain();
    for n in 0..100 {
        chain.absorb(0, A, None, Some(ack(n)), 1);
    }
    assert_eq!(chain.receipts.waiting(), 0);
    let pending = chain.store(0, B, None, Some(ack(1)), 1);
    chain.absorb(0, A, None, None, 1);
    chain.absorb(0, ConnectionId(3), None, Some(ack(1)), 1);
    assert_eq!(chain.receipts.waiting(), 0, "there is no PUBACK to send");
    chain.resolve(pending, ReasonCode::SUCCESS);
}

/// A client that comes and goes while the disk hangs.
#[test]
fn what_waited_for_receipts_of_others_is_forgotten_with_its_connection() {
    let mut chain = chain();
    let pending = chain.store(0, B, None, Some(ack(1)), 1);
    for n in 3..100 {
        chain.open(ConnectionId(n), None);
        chain.absorb(0, ConnectionId(n), None, Some(ack(1)), 1);
        chain.absorb(0, A, None, Some(ack(n)), 1);
        chain.close(ConnectionId(n));
    }
    assert_eq!(chain.receipts.waiting(), 97, "those of A alone");
    chain.resolve(pending, ReasonCode::SUCCESS);
}

/// Returns whether a message of one group may be superfluous for another message, by the rules of the module.
fn may_depend(on: Option<Group>, other: Option<Group>) -> bool {
    let both = on.zip(other);
    both.is_none_or(|(on, other)| on.number == other.number || on.division != other.division)
}

proptest! {
    /// Against a model that knows every receipt: nothing early, nothing out of order, nothing kept for ever.
    #[test]
    fn never_early_never_out_of_order(steps in proptest::collection::vec((0u8..5, 0u64..3, 0u32..9, any::<prop::sample::Index>()), 1..120)) {
        let mut chain = PubackChain::new(usize::MAX);
        (0..3).for_each(|n| chain.open(ConnectionId(n), None));
        let mut serial = 0u64;
        let mut open: Vec<(Ticket, Option<Group>)> = Vec::new();
        let of = |number: u32, steps: u64| (number < 8).then(|| Group { number: number % 3, division: u32::try_from(steps / 20).unwrap() });
        // Per message: connection, serial, the tickets it must wait for.
        let mut waits: Vec<(u64, u64, Vec<Ticket>)> = Vec::new();
        for (what, on, number, pick) in steps {
            serial += 1;
            let group = of(number, serial);
            let behind: Vec<_> = open.iter().filter(|(_, other)| may_depend(group, *other)).map(|o| o.0).collect();
            match what {
                0 | 1 => {
                    let ticket = chain.store(0, ConnectionId(on), group, Some(ack(serial)), 1);
                    open.push((ticket, group));
                    waits.push((on, serial, vec![ticket]));
                }
                2 => {
                    chain.absorb(0, ConnectionId(on), group, Some(ack(serial)), 1);
                    waits.push((on, serial, behind));
                }
                3 => {
                    let ticket = chain.withhold(0, ConnectionId(on), group, Some(ack(serial)), 1);
                    open.push((ticket, group));
                    waits.push((on, serial, [behind, vec![ticket]].concat()));
                }
                _ if !open.is_empty() => {
                    let (ticket, _) = open.swap_remove(pick.index(open.len()));
                    chain.resolve(ticket, ReasonCode::SUCCESS);
                }
                _ => {}
            }
            for (on, handle) in released(&mut chain) {
                let at = waits.iter().position(|w| w.0 == on).unwrap();
                let (_, serial, tickets) = waits.remove(at);
                prop_assert_eq!(handle, ack(serial), "the oldest of its connection");
                prop_assert!(tickets.iter().all(|t| open.iter().all(|o| o.0 != *t)), "early");
            }
        }
        for (ticket, _) in open.drain(..) {
            chain.resolve(ticket, ReasonCode::SUCCESS);
        }
        prop_assert_eq!(released(&mut chain).len(), waits.len());
        prop_assert_eq!(chain.pending(), 0);
    }
}
