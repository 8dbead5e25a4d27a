//! `edge-gateway restore`: makes the queue of a stopped gateway from a copy that `edge-gateway backup` wrote, as `edge-queue import` does.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: a file, a directory, the screen"
)]

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_queue::medium::os::OsDir;
use edge_queue::store::StoredRow;
use edge_queue::transfer::{ImportError, Imported, StreamEnd, config_for, import_changed};
use edge_queue::{Gap, StoreKind};

use super::control_client::{state_dir, tell};
use super::export_file::{note, read_through};
use crate::config::queue_key::{QueueKey, encrypted};
use crate::config::{Config, operator_file};
use crate::run::queue::{lane_names, store};

#[derive(Args)]
pub(crate) struct Arguments {
    /// File that `edge-gateway backup` or `edge-queue export` made
    #[arg(value_name = "COPY")]
    copy: PathBuf,
    /// gateway.toml of the gateway, for its `[gateway] state`
    #[arg(required_unless_present = "state")]
    file: Option<PathBuf>,
    /// The state directory of the stopped gateway, without a queue; made when it is not there. Wins over the file's
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Take what is intact of a damaged copy
    #[arg(long)]
    damaged: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = state_dir(arguments.file.as_deref(), arguments.state.as_deref())
        .map_err(|text| (text, 2))
        .and_then(|state| {
            let file = arguments.file.as_deref();
            let done = restore(&arguments.copy, file, &state, arguments.damaged).map_err(|text| (text, 1))?;
            Ok(said(&done, &state))
        });
    tell(done)
}

/// Makes the queue, and keeps the names of its lanes, so that a start with others is refused.
///
/// # Errors
/// Nothing was restored, in words: the copy cannot be read or is damaged, it has other lanes than `gateway_file`, a gateway runs there, a queue is
/// there, the disk did not take it.
fn restore(
    copy: &Path,
    gateway_file: Option<&Path>,
    state: &Path,
    takes_damaged: bool,
) -> Result<Imported, String> {
    let unread = |error: &dyn std::fmt::Display| format!("{}: {error}", copy.display());
    // A copy may have any size, and is read several times: no pipe, and no device, which may never end.
    let file =
        operator_file::open(copy).map_err(|error| format!("{}. Nothing was restored", unread(&error)))?;
    let mut input = BufReader::new(file);
    let (rows, end) = read_through(&mut input).map_err(|error| unread(&error))?;
    if rows == 0 && !end.is_whole() {
        return Err(format!(
            "{}: {}, and no row is intact. Nothing was restored",
            copy.display(),
            missing(&end)
        ));
    }
    if !end.is_whole() && !takes_damaged {
        return Err(format!(
            "{}: {}. Nothing was restored: --damaged takes what is intact",
            copy.display(),
            missing(&end)
        ));
    }
    input.rewind().map_err(|error| unread(&error))?;
    let names = lane_names::of_note(&note(&mut input).map_err(|error| unread(&error))?);
    if rows > 0 {
        check_lanes(names.as_deref(), end.lanes, gateway_file)
            .map_err(|error| format!("{}. Nothing was restored", unread(&error)))?;
    }
    let done = import(&mut input, gateway_file, state, &unread)?;
    let kept = names.map_or(Ok(()), |names| lane_names::keep(state, &names));
    kept.map_err(|error| {
        format!("{}: {error}. The queue is restored, but not the names of its lanes: start it with those of before", state.display())
    })?;
    Ok(done)
}

/// Makes the queue with the limits of the gateway.toml that was named, which it has at its start and the disk has room for; with wider ones if they do
/// not hold what the copy brings.
fn import(
    input: &mut BufReader<File>,
    gateway_file: Option<&Path>,
    state: &Path,
    unread: &dyn Fn(&dyn std::fmt::Display) -> String,
) -> Result<Imported, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("{}: {error}. Nothing was restored", state.display());
    let with = |config: &edge_queue::Config, input: &mut BufReader<File>| {
        input.rewind().map_err(|error| unread(&error))?;
        let dir = OsDir::new(state).map_err(|error| failed(&error))?;
        Ok::<_, String>(import_changed(Box::new(dir), config, input, mark))
    };
    let key = key(gateway_file)?;
    if let Some(Ok((config, _))) = gateway_file.map(Config::load) {
        match with(&store::config(&config), input)? {
            Err(
                ImportError::TooMuch { .. } | ImportError::TooLarge { .. } | ImportError::NoSuchLane { .. },
            ) => {}
            done => return done.map_err(|error| failed(&error)),
        }
    }
    input.rewind().map_err(|error| unread(&error))?;
    let config = config_for(&mut *input, StoreKind::Ring).map_err(|error| unread(&error))?;
    with(&encrypted(config, key.as_ref()), input)?.map_err(|error| failed(&error))
}

/// Returns the key that the gateway.toml which was named gives its queue, whatever else is wrong with it: what a start needs, such as a password's
/// file, may not be there for this command.
///
/// # Errors
/// It has one that cannot be used, or may have one: without it the rows would be written as they are.
fn key(file: Option<&Path>) -> Result<Option<QueueKey>, String> {
    let key = file.map(Config::queue_key_in).transpose();
    key.map(Option::flatten).map_err(|findings| format!("{findings}\nNothing was restored"))
}

/// Checks that the lanes of a copy, by their `names` or at least by their number, are those of the gateway.toml that was named. What waits in a lane
/// goes by its place in the list. A file that cannot be read is the matter of the start, which looks at the names that are kept.
///
/// # Errors
/// They are others; the text names both lists.
fn check_lanes(names: Option<&[String]>, count: Option<u8>, file: Option<&Path>) -> Result<(), String> {
    let Some(Ok((config, _))) = file.map(Config::load) else { return Ok(()) };
    let wanted = &config.queue.lanes;
    let (has_others, its) = match (names, count) {
        (Some(names), _) => (names != wanted, format!("the lanes {names:?}")),
        (None, Some(count)) => (usize::from(count) != wanted.len(), format!("{count} lanes, without names")),
        (None, None) => return Ok(()),
    };
    match has_others {
        true => Err(format!(
            "the copy has {its}, {} has {wanted:?}: restore and start with those of the copy, let the queue drain, then change them",
            config.sources.line_of("queue.lanes")
        )),
        false => Ok(()),
    }
}

/// Marks a row as a possible duplicate: the gateway from which it was copied may deliver it, too, under another identity (promise 4).
fn mark(stored: &mut StoredRow) {
    if let Some(mut row) = Row::from_meta(&stored.meta, Bytes::new()) {
        row.possible_duplicate = true;
        stored.meta = row.to_meta();
    }
}

fn missing(end: &StreamEnd) -> String {
    let (rows, bytes) = (end.rows_missing, end.bytes_damaged);
    let cut = if end.ended { "" } else { ", and it has no end, so that more may be missing" };
    format!("the copy is damaged: {rows} rows are missing, {bytes} bytes could not be used{cut}")
}

fn said(done: &Imported, state: &Path) -> String {
    let (rows, from, own) = (done.rows(), done.stream.gateway, done.gateway);
    let rows =
        format!("{rows} rows of queue {from:016x} are now of queue {own:016x} in {}\n", state.display());
    let unreported = done.gaps.iter().map(|(consumer, gap)| not_told(consumer, gap));
    let damage = Some(format!("{}\n", missing(&done.stream))).filter(|_| !done.stream.is_whole());
    std::iter::once(rows).chain(unreported).chain(damage).collect()
}

/// Returns the line about a loss that the copy knows and no hub: the new queue has no record of it, so nobody else tells.
fn not_told(consumer: &str, gap: &Gap) -> String {
    let Gap { lane, first_seq, last_seq, count, reason, .. } = gap;
    format!(
        "lost before the copy, and not told at {}: {count} readings of lane {}, numbers {first_seq} to {last_seq}: {}\n",
        Escaped(consumer),
        lane.0,
        reason.name()
    )
}
