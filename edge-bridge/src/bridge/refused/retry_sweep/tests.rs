use crate::bridge::spool::{Leased, Settled};

use super::*;

const REFUSED: ReasonCode = ReasonCode::QUOTA_EXCEEDED;

/// Parked rows in numbers.
struct Numbers {
    parked: u64,
    passed: u64,
    scanned: Option<bool>,
    is_settled: bool,
}

impl Spool for Numbers {
    fn lease(&mut self, _: u64, _: usize, _: usize) -> Vec<Leased> {
        Vec::new()
    }

    fn ack(&mut self, _: LeaseId) {}

    fn settle(&mut self, _: LeaseId, _: Settled) {}

    fn give_back(&mut self, _: LeaseId) {}

    fn park(&mut self, _: LeaseId, _: ReasonCode) {}

    fn lease_parked(&mut self, _: u64, _: usize, _: usize) -> Vec<Leased> {
        Vec::new()
    }

    fn is_scanned(&self) -> Option<bool> {
        self.scanned
    }

    fn passed(&self) -> u64 {
        self.passed
    }

    fn is_settled(&self) -> bool {
        self.is_settled
    }

    fn waiting(&self) -> u64 {
        0
    }

    fn parked(&self) -> u64 {
        self.parked
    }
}

/// A spool that puts behind the others what is parked again.
fn turning(parked: u64) -> Numbers {
    Numbers { parked, passed: 0, scanned: None, is_settled: true }
}

/// A spool in which rows keep their places.
fn in_place(parked: u64) -> Numbers {
    Numbers { scanned: Some(false), ..turning(parked) }
}

fn begun(mut spool: Numbers) -> (Sweep, Numbers) {
    let mut sweep = Sweep::new(1);
    sweep.begin(&mut spool);
    (sweep, spool)
}

fn topic() -> Utf8 {
    Utf8::from_static("t")
}

fn row(n: u64) -> RowKey {
    RowKey::Lease(LeaseId(n))
}

fn deferred(bytes: u64) -> Deferred {
    Deferred { topic: topic(), rows: Vec::new(), bytes, reason: REFUSED }
}

#[test]
fn a_sweep_that_has_a_date_keeps_it_when_more_is_parked() {
    let mut sweep = Sweep::new(1);
    assert!(!sweep.is_planned());
    sweep.want_later(10);
    assert!(sweep.next_deadline().is_some_and(|at_ms| (510..=1_010).contains(&at_ms)));
    let mut sweep = Sweep::new(1);
    sweep.want(90_000);
    sweep.want_later(10);
    assert_eq!((sweep.next_deadline(), sweep.is_planned()), (Some(90_000), true));
    let (mut sweep, _) = begun(turning(3));
    assert!(sweep.is_planned(), "it goes on");
    sweep.want_later(10);
    sweep.stop(20);
    assert!(!sweep.is_due(19) && sweep.is_due(20), "none was planned while it went on");
}

#[test]
fn a_sweep_waits_five_seconds_at_most_for_rows_that_are_being_parked() {
    let mut spool = turning(3);
    spool.is_settled = false;
    let mut sweep = Sweep::new(1);
    for (now_ms, waits) in [(10, true), (10 + WAIT_MS - 1, true), (10 + WAIT_MS, false)] {
        assert_eq!((sweep.has_to_wait(now_ms, &spool), sweep.defers()), (waits, true));
    }
    assert_eq!(sweep.next_deadline(), Some(10 + WAIT_MS));
    sweep.end_wait();
    spool.is_settled = true;
    assert!(!sweep.has_to_wait(90_000, &spool) && !sweep.defers());
}

#[test]
fn new_rows_are_not_parked_while_a_sweep_goes_on_or_rows_of_it_are_in_the_pack() {
    assert!(begun(turning(3)).0.defers());
    let mut sweep = Sweep::new(1);
    sweep.on_row(LeaseId(7), topic());
    assert!(sweep.has_rows_inside() && sweep.defers());
    assert_eq!(sweep.take_rows_inside(), [(LeaseId(7), topic())]);
    assert!(!sweep.has_rows_inside() && !sweep.defers());
}

#[test]
fn where_nothing_is_parked_no_sweep_begins() {
    for spool in [turning(0), in_place(0)] {
        assert!(!begun(spool).0.is_active());
    }
    for spool in [turning(1), in_place(1)] {
        assert!(begun(spool).0.is_active());
    }
}

#[test]
fn a_sweep_without_rows_is_over_after_five_seconds_without_progress() {
    let (mut sweep, mut spool) = begun(in_place(3));
    assert!(!sweep.on_leased(1_000, 0, &spool));
    assert_eq!(sweep.next_deadline(), Some(1_000 + DRY_MS));
    spool.passed = 50;
    assert!(!sweep.on_leased(1_000 + DRY_MS, 0, &spool), "the spool has read on");
    assert!(!sweep.on_leased(2 * DRY_MS, 0, &spool));
    assert!(!sweep.could_not_read());
    assert!(sweep.on_leased(1_000 + 2 * DRY_MS, 0, &spool));
    assert!(sweep.could_not_read());
    sweep.want_again(20_000);
    assert_eq!(sweep.next_deadline(), Some(20_000 + DRY_MS), "soon, and not at once");
}

#[test]
fn a_sweep_with_a_row_now_and_then_goes_on() {
    let (mut sweep, spool) = begun(turning(3));
    assert!(!sweep.on_leased(0, 1, &spool) && !sweep.on_leased(2 * DRY_MS, 1, &spool));
    assert!(sweep.on_leased(4 * DRY_MS, 1, &spool));
    assert!(!sweep.could_not_read(), "it has passed all");
}

#[test]
fn only_a_spool_that_knows_its_end_can_have_rows_that_cannot_be_read() {
    let (mut sweep, spool) = begun(turning(3));
    sweep.on_leased(0, 0, &spool);
    assert!(sweep.on_leased(DRY_MS, 0, &spool), "they expired");
    assert!(!sweep.could_not_read());
    let (mut sweep, mut spool) = begun(in_place(3));
    spool.scanned = Some(true);
    assert!(sweep.on_leased(0, 3, &spool));
    assert!(!sweep.could_not_read(), "it has passed all");
}

#[test]
fn what_is_given_back_is_passed_again_by_a_sweep_that_has_put_rows_behind_the_others() {
    let (mut sweep, spool) = begun(turning(3));
    sweep.on_leased(0, 2, &spool);
    sweep.on_row(LeaseId(1), topic());
    sweep.on_parked(row(2));
    sweep.on_given_back(10, 2);
    assert_eq!((sweep.room(), sweep.has_rows_inside()), (3, false));
    sweep.stop(20);
    assert!(!sweep.is_active() && sweep.is_due(20), "nothing goes on");
    // Rows that keep their places are met again by a new one.
    let (mut sweep, spool) = begun(in_place(3));
    sweep.on_leased(0, 2, &spool);
    sweep.on_parked(row(2));
    sweep.on_given_back(10, 2);
    assert!(!sweep.is_active() && sweep.is_due(10));
}

#[test]
fn deferred_rows_are_bounded_by_number_and_by_bytes() {
    let mut sweep = Sweep::new(1);
    (1..DEFERRED_MAX.0).for_each(|_| sweep.defer(deferred(0)));
    assert!(!sweep.is_full());
    sweep.defer(deferred(0));
    assert!(sweep.is_full());
    let mut sweep = Sweep::new(1);
    for _ in 0..2 {
        sweep.defer(deferred(DEFERRED_MAX.1 - 1));
        assert!(!sweep.is_full());
        sweep.defer(deferred(1));
        assert!(sweep.is_full());
        assert!(sweep.take_deferred(|_| false).is_empty() && sweep.is_full());
        assert_eq!(sweep.take_deferred(|_| true).len(), 2);
        assert!(!sweep.is_full());
    }
}

#[test]
fn eight_refusals_without_a_success_between_and_a_sweep_gives_up() {
    let (mut sweep, mut spool) = begun(turning(3));
    for n in 0..REFUSALS_MAX {
        assert_eq!(sweep.gives_up(), None, "after {n}");
        sweep.on_refusal(REFUSED);
    }
    assert_eq!(sweep.gives_up(), Some(REFUSED));
    sweep.on_success();
    assert_eq!(sweep.gives_up(), None);
    (0..REFUSALS_MAX).for_each(|_| sweep.on_refusal(REFUSED));
    assert_eq!(sweep.gives_up(), Some(REFUSED));
    sweep.begin(&mut spool);
    assert_eq!(sweep.gives_up(), None, "the next one tries again");
}
