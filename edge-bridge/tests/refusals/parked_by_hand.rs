//! Work by hand on parked rows: a look at them changes nothing of when the hub is asked again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::refusal_support::{Answer, Rig, TAKEN, number};

const SECOND: u64 = 1_000;

/// Copies all that is refused, to the end.
fn export(rig: &mut Rig) -> usize {
    rig.copy_parked("#");
    take_all(rig)
}

fn take_all(rig: &mut Rig) -> usize {
    std::iter::repeat_with(|| rig.take_copies().len()).take_while(|rows| *rows > 0).sum()
}

/// Times at which a hub got messages of a topic that it refuses for 125 s. With or without an export every 20 s.
fn attempts(in_place: bool, exports: bool) -> Vec<(u64, u32)> {
    let seen: Rc<RefCell<Vec<(u64, u32)>>> = Rc::default();
    let log = seen.clone();
    let mut rig = Rig::new(move |now_ms, publish| {
        log.borrow_mut().push((now_ms, number(publish)));
        if now_ms < 125 * SECOND { Answer::Ack(0x99) } else { TAKEN }
    });
    rig.core.spool_mut().in_place = in_place;
    rig.fill(200, 1);
    for at in 1..30 {
        rig.run_until(at * 20 * SECOND + 7);
        if exports && at < 7 {
            assert_eq!(export(&mut rig), 200, "at {} ms", rig.now_ms);
        }
    }
    rig.assert_all(200);
    seen.take()
}

#[test]
fn an_export_leaves_the_next_attempts_where_they_were() {
    for in_place in [true, false] {
        let (with, without) = (attempts(in_place, true), attempts(in_place, false));
        let first = with.iter().zip(&without).find(|(with, without)| with != without);
        assert_eq!((first, with.len()), (None, without.len()), "in place: {in_place}");
    }
}

#[test]
fn what_comes_due_while_copies_wait_to_be_taken_is_tried_right_after() {
    let mut rig = Rig::new(|_, _| Answer::Ack(0x99));
    rig.core.spool_mut().in_place = true;
    rig.fill(100, 1);
    rig.run_until(100 * SECOND);
    let line = rig.core.parked(rig.now()).topics.remove(0);
    let due_ms = rig.now_ms + line.retry_in_ms.unwrap();
    rig.script = Box::new(|_, _| TAKEN);
    rig.run_until(due_ms - SECOND);
    rig.copy_parked("#");
    rig.run_until(due_ms + SECOND);
    assert_eq!(rig.delivered.len(), 0, "parked rows are not sent while they are looked at");
    assert_eq!(take_all(&mut rig), 100);
    rig.run_until_empty(SECOND);
}

#[test]
fn an_export_does_not_undo_a_retry_that_has_not_begun() {
    let is_mended = Rc::new(Cell::new(false));
    let mended = is_mended.clone();
    let mut rig = Rig::new(move |_, publish| match number(publish) {
        0 if !mended.get() => Answer::Close,
        _ => TAKEN,
    });
    rig.fill(10, 1);
    rig.run_until(900 * SECOND);
    assert_eq!((rig.core.spool().len(), rig.delivered.len()), (1, 9));
    rig.hub_is_gone = true;
    rig.cut();
    rig.retry("#");
    assert_eq!(export(&mut rig), 1);
    rig.hub_is_gone = false;
    is_mended.set(true);
    rig.run_until_empty(60 * SECOND);
}
