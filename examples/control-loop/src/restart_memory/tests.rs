use std::fs;

use super::*;
use crate::runner::{Ports, Runner};
use edge_filter::Quality;
use edge_filter::alarm::{AlarmCommand, AlarmLevel};
use edge_filter::control::ControlEvent;

const LOOPS: &str = r#"
[[input]]
name = "temp"
stale_after_ms = 1000
[[output]]
name = "heater"
value = 1.0
[[interlock]]
name = "stop"
outputs = ["heater"]
trip_when = { input = "temp", above = 90 }
[[alarm]]
match = "temp"
latch = true
high = { limit = 80 }
"#;

fn controller() -> Controller {
    Controller::from_toml(LOOPS).unwrap()
}

/// One whose alarm waits for a hand, with its occurrence.
fn alarmed(clock: Clock) -> (Controller, u64) {
    let (mut controller, mut occurrence) = (controller(), 0);
    controller.set_input(0, 85.0, Quality::GOOD, clock.now_ns());
    controller.scan(clock.now_ns(), &mut |event| {
        if let ControlEvent::Alarm { transition, .. } = event {
            occurrence = transition.transition;
        }
    });
    (controller, occurrence)
}

fn acknowledge(controller: &mut Controller, occurrence: u64, clock: Clock) -> bool {
    let command = AlarmCommand::Acknowledge { transition: occurrence };
    let command = edge_filter::control::ControlCommand::Alarm { alarm: 0, level: AlarmLevel::High, command };
    controller.command(command, clock.now_ns(), &mut |_| ()).is_ok()
}

/// Promise 14: what waits for a hand waits on in the next run; without the file it does not.
#[test]
fn what_is_left_in_the_mailbox_is_there_in_the_next_run() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::start());
    let file = dir.path().join("control-state");
    let (mut first, occurrence) = alarmed(clock);
    let (keeper, mailbox, found) =
        Keeper::start(file.clone(), &mut controller(), clock, |e| panic!("{e}")).unwrap();
    assert!(matches!(found, Found::Nothing));
    assert!(mailbox.offer(&first));
    drop(keeper);
    let mut next = controller();
    let (_keeper, _, found) = Keeper::start(file, &mut next, clock, |e| panic!("{e}")).unwrap();
    assert!(matches!(found, Found::Restored));
    assert!(acknowledge(&mut next, occurrence, clock) && acknowledge(&mut first, occurrence, clock));
    assert!(!acknowledge(&mut controller(), occurrence, clock), "the file's work");
}

/// Promise 14: where the supply of power is failing, the pause between two writes is not kept.
#[test]
fn what_is_asked_for_at_once_waits_for_no_pause() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::start());
    let file = dir.path().join("control-state");
    let (first, _) = alarmed(clock);
    let from = file.clone();
    let (keeper, mailbox, _) = Keeper::start_with(
        move || load(&from),
        (Duration::from_secs(60), u64::MAX),
        file.clone(),
        &mut controller(),
        clock,
        |e| panic!("{e}"),
    )
    .unwrap();
    let write_now = keeper.write_now().unwrap();
    for left in [controller(), first] {
        assert!(mailbox.offer(&left));
        assert!(write_now.write(Duration::from_secs(60)));
        assert!(load(&file).unwrap() == left.snapshot(), "without an end of the pause after the first one");
    }
    assert!(write_now.write(Duration::from_secs(60)), "nothing is new");
}

/// Promise 14: who is looking into the mailbox holds up nobody.
#[test]
fn a_mailbox_that_somebody_holds_is_not_waited_for() {
    let (controller, _) = alarmed(Clock::start());
    let mailbox = Mailbox::of(&controller);
    let held = mailbox.lock();
    assert!(!mailbox.offer(&controller));
    drop(held);
    assert!(mailbox.offer(&controller) && mailbox.take().is_some() && mailbox.take().is_none());
}

/// Promise 2 for this file: any byte may be wrong, any end may be missing.
#[test]
fn damage_at_every_byte_is_found_and_every_interlock_tripped() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::start());
    let file = dir.path().join("control-state");
    save(&file, &alarmed(clock).0.snapshot()).unwrap();
    let good = fs::read(&file).unwrap();
    let damaged = (0..good.len()).flat_map(|at| {
        let flipped = |flip: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            bytes
        };
        [flipped(1), flipped(0x80), flipped(0xff), good[..at].to_vec()]
    });
    for bytes in damaged.chain([[good.as_slice(), b"x"].concat()]) {
        fs::write(&file, bytes).unwrap();
        let mut next = controller();
        assert!(matches!(restore(load(&file), &mut next, clock.now_ns()), Found::Damaged(_)));
        next.set_input(0, 20.0, Quality::GOOD, clock.now_ns());
        next.scan(clock.now_ns(), &mut |_| ());
        assert_eq!(next.outputs()[0].value(), 0.0, "tripped");
    }
    fs::write(&file, &good).unwrap();
    assert!(matches!(restore(load(&file), &mut controller(), clock.now_ns()), Found::Restored));
}

/// Promise 14: a start waits for nothing, and writes where it says.
#[test]
fn a_pipe_or_a_link_in_the_place_of_the_file_is_damage_and_nothing_else() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::start());
    let (file, other) = (dir.path().join(FILE), dir.path().join("somebodys"));
    std::fs::write(&other, "precious").unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(pipe.success());
    std::os::unix::fs::symlink(&other, dir.path().join("control-state.new")).unwrap();
    let (keeper, mailbox, found) =
        Keeper::start(file.clone(), &mut controller(), clock, |e| panic!("{e}")).unwrap();
    assert!(matches!(found, Found::Damaged(_)), "{found:?}");
    assert!(mailbox.offer(&alarmed(clock).0));
    drop(keeper);
    assert_eq!(std::fs::read(&other).unwrap(), b"precious");
    assert!(std::fs::symlink_metadata(&file).unwrap().is_file());
}

/// Promise 14: a disk that hangs at the start holds up no loop, and what it gives later changes none that runs.
#[test]
fn a_file_that_comes_late_is_not_taken_over() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::start());
    let file = dir.path().join(FILE);
    let (mut first, occurrence) = alarmed(clock);
    let (thaw, frozen) = sync_channel::<()>(1);
    let (is, read) = sync_channel(1);
    let snapshot = first.snapshot();
    let hangs = move || {
        // A start that waits for the disk is told so, and does not wait for ever.
        let thawed = frozen.recv_timeout(Duration::from_secs(60)).is_ok();
        is.send(thawed).unwrap();
        Ok(snapshot)
    };
    let mut next = controller();
    let times = (Duration::from_millis(10), REST_NS);
    let started = Keeper::start_with(hangs, times, file.clone(), &mut next, clock, |e| panic!("{e}"));
    let (keeper, mailbox, found) = started.unwrap();
    assert!(matches!(found, Found::Late), "{found:?}");
    thaw.send(()).unwrap();
    assert!(read.recv().unwrap(), "the start waited for the disk");
    assert!(!acknowledge(&mut next, occurrence, clock), "taken over by a loop that runs");
    // What happens from now on is kept all the same.
    assert!(mailbox.offer(&first));
    drop(keeper);
    let mut third = controller();
    assert!(matches!(restore(load(&file), &mut third, clock.now_ns()), Found::Restored));
    assert!(acknowledge(&mut third, occurrence, clock) && acknowledge(&mut first, occurrence, clock));
}

/// Promise 14: a disk that failed once costs no state, although nothing changes afterwards.
#[test]
fn promise_14_a_write_that_failed_is_tried_again() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::start());
    let state = dir.path().join("state");
    fs::write(&state, "a file in the place of the directory").unwrap();
    let file = state.join(FILE);
    let (failed, failure) = std::sync::mpsc::channel();
    let on_error = move |error| failed.send(error).unwrap_or_default();
    let (_keeper, mailbox, _) = Keeper::start(file.clone(), &mut controller(), clock, on_error).unwrap();
    let (mut first, occurrence) = alarmed(clock);
    assert!(mailbox.offer(&first));
    failure.recv_timeout(Duration::from_secs(60)).expect("no failure was told");
    fs::remove_file(&state).unwrap();
    let is_there = |_| {
        std::thread::sleep(Duration::from_millis(10));
        file.exists()
    };
    assert!((0..3_000).any(is_there), "not tried again");
    let mut next = controller();
    assert!(matches!(restore(load(&file), &mut next, clock.now_ns()), Found::Restored));
    assert!(acknowledge(&mut next, occurrence, clock) && acknowledge(&mut first, occurrence, clock));
}

/// Waits for the next transition of an alarm. Returns its number.
fn next_alarm(ports: &mut Ports) -> u64 {
    loop {
        match ports.events.take() {
            Some(ControlEvent::Alarm { transition, .. }) => return transition.transition,
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Promise 14: a change that found the mailbox held at the last scan is waited for at the stop.
#[test]
fn a_change_that_found_the_mailbox_held_is_left_there_by_a_stop() {
    // On a busy machine no stale input changes the alarm again.
    let controller = || Controller::from_toml(&LOOPS.replace("1000", "3600000")).unwrap();
    let (clock, controller, mut next) = (Clock::start(), controller(), controller());
    let mailbox = Mailbox::of(&controller);
    let (runner, mut ports) =
        Runner::start(controller, clock, |_: &[f64]| (), |_: &[f64]| (), 1, Some(mailbox.clone())).unwrap();
    let held = mailbox.lock();
    ports.inputs[0].set(85.0, Quality::GOOD, clock.now_ns());
    let occurrence = next_alarm(&mut ports);
    let stopping = std::thread::spawn(move || drop(runner));
    // The loop scans no more, and waits for the mailbox.
    std::thread::sleep(Duration::from_millis(300));
    drop(held);
    stopping.join().unwrap();
    // The loop's own thread may be about to leave it.
    let left = (0..10_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        mailbox.take()
    });
    next.restore(&left.expect("the alarm was not left"), clock.now_ns()).unwrap();
    assert!(acknowledge(&mut next, occurrence, clock));
}

/// Promise 14: a change that found the mailbox held is offered again at the next scan, although nothing else changes.
#[test]
fn a_change_that_found_the_mailbox_held_is_left_there_later() {
    let (clock, mut controller) = (Clock::start(), controller());
    let mailbox = Mailbox::of(&controller);
    controller.scan(clock.now_ns(), &mut |_| ());
    let (runner, mut ports) =
        Runner::start(controller, clock, |_: &[f64]| (), |_: &[f64]| (), 1, Some(mailbox.clone())).unwrap();
    let stats = runner.stats();
    // The first of two counted scans may have begun before, the second one has left everything.
    let two_scans = || {
        let before = stats.scans();
        while stats.scans() < before + 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    two_scans();
    mailbox.take();
    let held = mailbox.lock();
    ports.inputs[0].set(85.0, Quality::GOOD, clock.now_ns());
    let occurrence = next_alarm(&mut ports);
    two_scans();
    drop(held);
    two_scans();
    let mut next = self::controller();
    next.restore(&mailbox.take().expect("the alarm was not left"), clock.now_ns()).unwrap();
    assert!(acknowledge(&mut next, occurrence, clock));
}
