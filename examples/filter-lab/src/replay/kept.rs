//! Filters that let a row pass or not.

use super::case::Config;
use super::rows::{Row, states};
use crate::error::Error;
use edge_filter::check::{JumpReject, JumpRejectState};
use edge_filter::reduce::{
    Deadband, DeadbandState, OnChange, OnChangeState, SwingingDoor, SwingingDoorState, Trigger, Verdict,
};

pub(super) fn kept(kind: &str, config: &Config<'_>, rows: &[Row]) -> Result<Vec<usize>, Error> {
    match kind {
        "deadband" => {
            let stage = deadband(config)?;
            Ok(each(rows, |state: &mut DeadbandState, row| {
                stage.check(state, row.value, row.quality, row.time).is_some()
            }))
        }
        "on_change" => {
            let stage = OnChange::new();
            Ok(each(rows, |state: &mut OnChangeState, row| {
                stage.check(state, row.value, row.quality, row.time).is_some()
            }))
        }
        "jump_reject" => {
            let stage = jump_reject(config)?;
            Ok(each(rows, |state: &mut JumpRejectState, row| stage.check(state, row.value)))
        }
        _ => swinging_door(config, rows),
    }
}

fn each<S: Default>(rows: &[Row], mut passes: impl FnMut(&mut S, &Row) -> bool) -> Vec<usize> {
    let mut sensors = states::<S>(rows);
    let passing = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| sensors.get_mut(row.sensor).is_some_and(|state| passes(state, row)));
    passing.map(|(index, _)| index).collect()
}

fn deadband(config: &Config<'_>) -> Result<Deadband, Error> {
    let refused = |error| config.refused(&error);
    let trigger =
        config.choice("trigger", &[("status_value", Trigger::StatusValue), ("status", Trigger::Status)])?;
    let percent = config.choice("mode", &[("absolute", false), ("percent_of_range", true)])?;
    let range = config.maybe_span("range")?;
    let stage = match (trigger, percent, range) {
        (Trigger::Status, ..) => Ok(Deadband::on_status()),
        (_, true, Some((low, high))) => Deadband::percent_of_range(config.number("value")?, low, high),
        (_, true, None) => return Err(config.wrong("range", "two numbers, what the percentage is of")),
        (_, false, _) => Deadband::absolute(config.number("value")?),
    };
    let mut stage = stage.map_err(refused)?;
    if let Some(ms) = config.maybe_ms("min_interval_ms")? {
        stage = stage.min_interval_ms(ms).map_err(refused)?;
    }
    match config.maybe_ms("max_interval_ms")? {
        Some(ms) if ms > 0 => stage.max_interval_ms(ms).map_err(refused),
        _ => Ok(stage),
    }
}

fn jump_reject(config: &Config<'_>) -> Result<JumpReject, Error> {
    config.choice("reference", &[("last_accepted", ())])?;
    let stage = JumpReject::new(config.number("max_step")?).map_err(|error| config.refused(&error))?;
    let patience = config.maybe_count("accept_after")?;
    // Node-RED waits for ever.
    Ok(stage.accept_after(patience.map(|n| u32::try_from(n).unwrap_or(u32::MAX))))
}

/// A door per sensor, the row it holds, and the time of the last row.
#[derive(Default)]
struct Door {
    state: SwingingDoorState,
    held: Option<usize>,
    last: Option<i64>,
}

fn swinging_door(config: &Config<'_>, rows: &[Row]) -> Result<Vec<usize>, Error> {
    let stage = SwingingDoor::new(config.number("deviation")?).map_err(|error| config.refused(&error))?;
    let flush = config.maybe_flag("flush_at_end")?.unwrap_or(true);
    let (mut doors, mut kept) = (states::<Door>(rows), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        let Some(door) = doors.get_mut(row.sensor) else { continue };
        let held = door.held;
        // No time guard tells a clock that was set back from a row out of order: either starts a new line.
        if door.last.replace(row.time).is_some_and(|last| row.time < last) {
            stage.flush(&mut door.state, &mut |_| kept.extend(held));
        }
        let verdict =
            stage.check(&mut door.state, row.value, row.quality, row.time, &mut |_| kept.extend(held));
        match verdict {
            Verdict::Held => door.held = Some(index),
            Verdict::Emit(_) => {
                door.held = None;
                kept.push(index);
            }
            Verdict::Drop(_) => {}
        }
    }
    if flush {
        for door in &mut doors {
            let held = door.held;
            stage.flush(&mut door.state, &mut |_| kept.extend(held));
        }
    }
    Ok(kept)
}
