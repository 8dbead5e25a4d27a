use bytes::Bytes;

use crate::bridge::packing::pack::RawPack;
use crate::bridge::spool::{LeaseId, MemorySpool, Spool};
use crate::bridge::uplink::Uplink;
use crate::row::Row;
use crate::wire::{ReasonCode, Utf8};

use super::blame::{DOUBTED_CLOSES, ONE_MORE_MS, PARKED_IN_ROW_MAX};
use super::register::KNOWN_MAX;
use super::unanswered_trials::RETRY_MS;
use super::*;

#[test]
fn a_row_is_held_until_it_is_due() {
    let mut poison = Poison::default();
    let row = RowKey::Lease(LeaseId(7));
    assert!(!poison.register.is_held(0, row));
    poison.on_parked(100, &[row]);
    assert!(poison.register.is_held(100, row) && poison.register.is_held(100 + RETRY_MS.0 - 1, row));
    assert!(!poison.register.is_held(100 + RETRY_MS.0, row));
}

#[test]
fn a_suspect_goes_alone_before_it_is_called_poison() {
    let mut poison = Poison::default();
    assert_eq!(
        [1, 2].map(|closes| poison.blame.on_close(0, 20, closes, Suspicion::Certain)),
        [Blame::None; 2]
    );
    assert_eq!(poison.blame.limit(), None);
    assert_eq!(poison.blame.on_close(0, 20, 3, Suspicion::Certain), Blame::None);
    assert_eq!(poison.blame.limit(), Some(1));
    assert_eq!(poison.blame.on_close(0, 1, 4, Suspicion::Certain), Blame::Alone);
    let limits: Vec<_> = (0..7)
        .map(|_| {
            poison.on_answer(0);
            poison.blame.limit().unwrap()
        })
        .collect();
    assert_eq!(limits, [2, 2, 4, 4, 4, 4, 8]);
    assert_eq!(
        (poison.blame.on_close(0, 8, 1, Suspicion::Certain), poison.blame.limit()),
        (Blame::None, Some(1)),
        "one of eight: alone again"
    );
}

#[test]
fn a_reason_that_speaks_of_no_message_takes_more_ends() {
    let mut poison = Poison::default();
    for closes in 1..DOUBTED_CLOSES {
        assert_eq!(poison.blame.on_close(0, 1, closes, Suspicion::None), Blame::None, "{closes}");
    }
    assert_eq!(poison.blame.limit(), Some(1));
    assert_eq!(poison.blame.on_close(0, 1, DOUBTED_CLOSES, Suspicion::None), Blame::Alone);
}

#[test]
fn one_message_alone_by_chance_is_no_suspect() {
    let mut poison = Poison::default();
    assert_eq!(poison.blame.on_close(0, 1, 1, Suspicion::Certain), Blame::None);
    assert!(poison.blame.is_hurried());
    for _ in 0..20 {
        poison.blame.on_close(0, 1, 1, Suspicion::Certain);
    }
    assert!(!poison.blame.is_hurried(), "the hub closes whatever it gets");
    poison.on_answer(0);
    assert!(!poison.blame.is_hurried());
}

#[test]
fn a_hub_that_closes_on_everything_is_not_taken_for_poison_without_end() {
    let mut poison = Poison::default();
    for closes in 0..3 {
        poison.blame.on_close(0, 2, closes + 1, Suspicion::Certain);
    }
    let row = |n| RowKey::Lease(LeaseId(n));
    for n in 0..u64::from(PARKED_IN_ROW_MAX) {
        assert_eq!(poison.blame.on_close(0, 1, 4, Suspicion::Certain), Blame::Alone);
        poison.on_parked(0, &[row(n)]);
        poison.blame.on_message_parked();
    }
    assert_eq!(poison.blame.on_close(0, 1, 4, Suspicion::Certain), Blame::Doubted, "others go first");
    assert_eq!(poison.blame.on_close(0, 1, 1, Suspicion::Known), Blame::Alone, "it was found before");
    let blamed = [ONE_MORE_MS - 1, ONE_MORE_MS, 2 * ONE_MORE_MS - 1, 2 * ONE_MORE_MS].map(|now_ms| {
        let blame = poison.blame.on_close(now_ms, 1, 4, Suspicion::Certain);
        if blame == Blame::Alone {
            poison.blame.on_message_parked();
        }
        blame
    });
    assert_eq!(blamed, [Blame::Doubted, Blame::Alone, Blame::Doubted, Blame::Alone], "one more a minute");
    assert!(poison.holds(1, row(0)), "not yet");
    assert!(poison.on_answer(1_000), "it was the hub");
    assert!(!poison.holds(1_000, row(0)), "tried again at once");
    poison.on_parked(1_001, &[row(0)]);
    (0..4).for_each(|_| poison.blame.on_message_parked());
    assert!(poison.on_answer(1_002));
    assert!(poison.holds(1_003, row(0)), "it was at fault twice");
}

#[test]
fn poison_is_tried_again_alone_and_ever_later() {
    let mut poison = Poison::default();
    let row = RowKey::Lease(LeaseId(1));
    for delay_ms in [5_000, 40_000, 320_000, 600_000, 600_000] {
        poison.on_parked(0, &[row]);
        poison.blame.on_message_parked();
        assert!(!poison.on_answer(1));
        assert!(poison.holds(delay_ms - 1, row));
        assert_eq!((poison.holds(delay_ms, row), poison.blame.limit()), (false, Some(1)));
    }
    assert_eq!(poison.register.known(), 1);
    poison.register.forget(row);
    assert_eq!((poison.register.known(), poison.register.due_ms()), (0, None));
}

#[test]
fn a_row_that_is_due_and_that_a_whole_pass_did_not_meet_is_forgotten() {
    let mut poison = Poison::default();
    let row = |n| RowKey::Lease(LeaseId(n));
    (0..4).for_each(|n| poison.on_parked(0, &[row(n)]));
    poison.register.on_pass_begins(true);
    poison.register.on_met(row(1));
    assert!(!poison.holds(5_000, row(0)), "on its way: not due for a while");
    poison.on_parked(5_001, &[row(2)]);
    poison.register.on_pass_over(10_000_000);
    let known: Vec<_> = (0..4).filter(|n| poison.register.is_known(row(*n))).collect();
    assert_eq!(known, [1, 2], "all are due by then, and 0 was not met");
    poison.register.on_pass_begins(false);
    poison.register.on_pass_over(10_000_000);
    assert_eq!(poison.register.known(), 2, "they may have been on their way to the parked ones");
    poison.register.on_pass_begins(true);
    poison.register.on_pass_over(5_001);
    assert_eq!(poison.register.known(), 1, "what is not due may be on its way to the hub");
}

#[test]
fn the_oldest_makes_room_for_a_new_one() {
    let mut poison = Poison::default();
    let row = |n: usize| RowKey::Lease(LeaseId(n as u64));
    (0..KNOWN_MAX).for_each(|n| poison.on_parked(0, &[row(n)]));
    poison.on_parked(1, &[row(0)]);
    poison.on_parked(1, &[row(KNOWN_MAX)]);
    assert_eq!(poison.register.known(), KNOWN_MAX as u64);
    assert!(
        poison.register.is_known(row(0))
            && poison.register.is_known(row(KNOWN_MAX))
            && !poison.register.is_known(row(1))
    );
}

/// Poison rows that expired or made room are forgotten once a pass over all that is parked has not met it.
#[test]
fn a_pass_over_all_parked_rows_forgets_poison_that_is_gone() {
    let mut uplink = Uplink::new(RawPack::new(false), 100_000, 1);
    let mut spool = MemorySpool::new(10, 10_000);
    for n in [0, 1] {
        let topic = Utf8::from_static("t");
        spool.push(0, Row::new(topic, Bytes::from_static(b"x"))).unwrap();
        let lease = spool.lease(0, 1, 1_000).remove(0);
        assert_eq!(lease.id, LeaseId(n + 1));
        spool.park(lease.id, ReasonCode::UNSPECIFIED_ERROR);
        uplink.poison.on_parked(0, &[RowKey::Lease(lease.id)]);
    }
    let gone = RowKey::Lease(LeaseId(99));
    uplink.poison.on_parked(0, &[gone]);
    uplink.begin_pass_over_parked(0, &mut spool);
    let mut parks = 10;
    uplink.lease_parked(10_000, &mut spool, 1_000, &mut parks, |_, spool, row| {
        spool.park(row.id, ReasonCode::UNSPECIFIED_ERROR);
    });
    assert!(!uplink.sweep.is_active());
    assert!(!uplink.poison.register.is_known(gone));
    assert_eq!(uplink.poison.register.known(), 2);

    let mut empty = MemorySpool::new(10, 10_000);
    uplink.sweep.want(20_000);
    uplink.begin_sweep(20_000, &mut empty);
    assert_eq!(uplink.poison.register.known(), 0, "nothing is parked");
}

#[test]
fn a_row_is_due_at_its_time_and_not_after_it() {
    let mut poison = Poison::default();
    poison.on_parked(1_000, &[RowKey::Lease(LeaseId(1))]);
    poison.on_parked(0, &[RowKey::Lease(LeaseId(2))]);
    assert_eq!(poison.register.due_ms(), Some(5_000), "the first of both");
    poison.register.on_pass_begins(true);
    poison.register.on_pass_over(5_000);
    assert_eq!(poison.register.due_ms(), Some(6_000), "the other was due, and no pass met it");
}
