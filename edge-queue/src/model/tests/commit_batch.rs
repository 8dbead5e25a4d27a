use super::*;
use crate::fault::FaultKind;
use crate::receipt::{Receipt, WaitError};
use crate::state::Reason;

#[test]
fn what_did_not_change_is_not_written() {
    let mut m = model(&Config::default().lanes(1));
    m.register("hub").unwrap();
    push(&mut m, 3);
    assert!(write(&mut m).is_some());
    assert!(m.begin().is_none() && m.begin_ends().is_none() && m.begin_last().is_none());
}

#[test]
fn whatever_changed_alone_is_written_by_a_commit_of_ends() {
    let mut m = model(&Config::default().lanes(1));
    let id = m.register("hub").unwrap();
    write(&mut m);
    push(&mut m, 1);
    let rows = lease(&mut m, id, 1);
    deliver(&mut m, id, rows);
    let changes = m.begin_ends().unwrap().changes;
    let delivered =
        |change: &Change| matches!(change, Change::Position { position, .. } if position.delivered == 1);
    assert!(changes.iter().any(delivered), "a row that was handed over");
    let marks: [fn(&mut Model) -> &mut bool; 4] = [
        |m| &mut m.lanes.first_mut().unwrap().dirty,
        |m| &mut m.consumers.first_mut().unwrap().lanes.first_mut().unwrap().dirty,
        |m| &mut m.absent.first_mut().unwrap().dirty,
        |m| &mut m.consumers.first_mut().unwrap().absent.first_mut().unwrap().dirty,
    ];
    for (nth, mark) in marks.into_iter().enumerate() {
        *mark(&mut m) = true;
        assert_eq!(m.begin_ends().map(|batch| batch.changes.len()), Some(1), "{nth}");
    }
}

/// The bookkeeping of a queue that had four lanes, with rows counted in the last.
fn shrunk() -> Model {
    let mut state = State::new(1, 4);
    let known = LaneState { next: 51, floor: 40, rows: 2, weight: 2, bytes: 80, recount_due: true };
    *state.lane.get_mut(3).unwrap() = known;
    let mut hub = ConsumerState { name: "hub".to_owned(), lanes: Default::default() };
    hub.lanes.first_mut().unwrap().floor = 1;
    *hub.lanes.get_mut(3).unwrap() =
        Position { floor: 40, accepted: 30, delivered: 30, ..Position::default() };
    state.consumers.push(hub);
    Model::new(Config::default().lanes(1).rules(), state, PerLane::all(0), true, false)
}

#[test]
fn a_lane_that_is_gone_keeps_its_figures_and_they_are_written_until_they_are_durable() {
    let mut m = shrunk();
    let figures = LaneState { next: 51, floor: 51, ..LaneState::default() };
    assert_eq!(m.snapshot().lane.get(3), Some(&figures));
    let written = |batch: Batch| {
        let of_lane = |change: &&Change| {
            matches!(change, Change::Lane { lane: Lane(3), state } if *state == figures)
                || matches!(change, Change::Position { lane: Lane(3), position, .. } if position.floor == 51)
        };
        (batch.changes.iter().filter(of_lane).count(), batch.changes)
    };
    let (count, changes) = written(m.begin_last().unwrap());
    assert_eq!(count, 2);
    m.not_written(&changes, &at(1));
    assert_eq!(written(m.begin().unwrap()).0, 2, "after a commit that failed");
    let again = Model::new(Config::default().lanes(1).rules(), m.snapshot(), PerLane::all(0), true, false);
    assert!(!again.absent.iter().any(|lane| lane.dirty), "once");
}

#[test]
fn a_store_that_failed_works_again_once_it_took_the_rows_that_wait() {
    const ROOM: PerLane<u64> = PerLane::all(u64::MAX);
    let mut m = model(&Config::default().lanes(1));
    m.register("hub").unwrap();
    write(&mut m);
    let fails = |m: &mut Model| m.degraded_mode.note(FaultKind::Io, "no".to_owned(), &at(1));
    push(&mut m, 1);
    assert!(fails(&mut m) && !fails(&mut m), "news once");
    m.due.require();
    let state = m.begin_changes().unwrap().state;
    m.written(&state, &ROOM, false);
    assert!(m.degraded_mode.is_some(), "bookkeeping alone, and a row waits");
    let Batch { state, .. } = m.begin().unwrap();
    push(&mut m, 1);
    m.written(&state, &ROOM, true);
    assert!(!m.degraded_mode.is_some(), "the row that waited is written; another came meanwhile");
    write(&mut m);
    fails(&mut m);
    m.due.require();
    let state = m.begin_changes().unwrap().state;
    m.written(&state, &ROOM, false);
    assert!(!m.degraded_mode.is_some(), "nothing waits");
}

/// No other row and no acknowledgement asks for a commit: the loss alone does, and its receipt waits for that.
#[test]
fn the_loss_of_the_only_row_before_its_commit_is_written_and_then_told() {
    let mut m = model(&Config::default().lanes(1));
    let id = m.register("hub").unwrap();
    write(&mut m);
    let ticket = m.push(row().ttl(std::time::Duration::from_millis(1)), &at(0)).ok().unwrap();
    assert!(lease(&mut m, id, 1).is_empty(), "it has expired");
    std::mem::take(&mut m.out).deliver();
    assert_eq!(ticket.slot.get(ticket.at), None, "nothing of it is durable");
    assert!(m.due_at_ms().is_some() && write(&mut m).is_some());
    std::mem::take(&mut m.out).deliver();
    assert_eq!(ticket.slot.get(ticket.at), Some(Ok(Receipt::Settled(Reason::Expired))));
    assert_eq!(m.due_at_ms(), None);
}

#[test]
fn a_queue_that_closes_refuses_every_receipt_it_still_owes() {
    let mut m = model(&Config::default().lanes(1).max_messages(2));
    m.register("hub").unwrap();
    write(&mut m);
    let tickets: Vec<Ticket> = (0..3).map(|_| m.push(row(), &at(1)).ok().unwrap()).collect();
    assert_eq!(m.settling.len(), 1, "the first row made room for the third");
    m.close();
    std::mem::take(&mut m.out).deliver();
    for ticket in tickets {
        assert_eq!(ticket.slot.get(ticket.at), Some(Err(WaitError::Closed)), "{}", ticket.at);
    }
}

/// Totals of the lane, and the hub's accepted weight and queued bytes, as a commit without rows says them.
fn figures(m: &mut Model) -> (u64, u64, u64, u64, u64) {
    m.due.require();
    let state = m.begin_changes().unwrap().state;
    let (lane, hub) = (state.lane.first().unwrap(), state.consumers.first().unwrap().lanes.first().unwrap());
    (lane.next, lane.rows, lane.weight, hub.accepted, hub.queued_bytes)
}

#[test]
fn a_commit_without_rows_speaks_of_no_row_that_waits_whatever_became_of_the_commit_before() {
    let mut m = model(&Config::default().lanes(1));
    let id = m.register("hub").unwrap();
    write(&mut m);
    push(&mut m, 2);
    write(&mut m);
    let bytes = m.lanes.first().unwrap().usage.bytes / 2;
    push(&mut m, 3);
    assert_eq!(figures(&mut m), (3, 2, 2, 2, 2 * bytes), "three wait");
    let rows = lease(&mut m, id, 3);
    deliver(&mut m, id, rows);
    assert_eq!(figures(&mut m), (4, 0, 0, 3, 0), "the third was acknowledged before it was written");
    let changes = m.begin().unwrap().changes;
    assert_eq!(figures(&mut m), (6, 2, 2, 5, 2 * bytes), "two are being written");
    push(&mut m, 1);
    m.not_written(&changes, &at(1));
    assert_eq!(figures(&mut m), (4, 0, 0, 3, 0), "and wait again, with another");
    m.register("late").unwrap();
    push(&mut m, 1);
    assert_eq!(m.snapshot().consumers.iter().map(|c| c.lanes[0].accepted).collect::<Vec<_>>(), [3, 0]);
}

/// Of every consumer, and not of the first alone: what it acknowledged, and what it has of the rows that wait again.
#[test]
fn a_failed_commit_leaves_the_places_of_all_consumers_to_the_next() {
    let mut m = model(&Config::default().lanes(1));
    let ids = ["hub", "archive"].map(|name| m.register(name).unwrap());
    write(&mut m);
    push(&mut m, 2);
    write(&mut m);
    for id in ids {
        let rows = lease(&mut m, id, 1);
        deliver(&mut m, id, rows);
    }
    push(&mut m, 3);
    let is_place = |change: &&Change| matches!(change, Change::Position { lane: Lane(0), .. });
    let of = |changes: &[Change]| changes.iter().filter(is_place).count();
    let changes = m.begin().unwrap().changes;
    assert_eq!(of(&changes), 2);
    m.not_written(&changes, &at(1));
    let accepted: Vec<u64> = m.snapshot().consumers.iter().map(|c| c.lanes[0].accepted).collect();
    assert_eq!(accepted, [2, 2], "three rows wait again");
    assert_eq!(of(&write(&mut m).unwrap()), 2);
}
