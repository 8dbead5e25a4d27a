//! File of the redb store: opening, rebuilding, quarantine.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use redb::{Database, ReadableDatabase};

use super::backend::Backend;
use super::panic_fence::{Trouble, fence};
use super::table::{HEAD, ROWS};
use super::value::{Head, decode_head, decode_row, encode_head};
use super::{salvage, unsynced};
use crate::medium::Dir;
use crate::per_lane::PerLane;
use crate::row::Seq;
use crate::state::State;
use crate::store::Options;
use crate::store::plausibility::NUMBER_MAX;

pub(super) const FILE: &str = "queue.redb";
/// Name of a file that is being built; it is complete once it holds the bookkeeping.
const FILE_NEW: &str = "queue.redb.new";
/// Most quarantined files; then the last name is used again, so that failing flash does not fill the disk.
const BAD_MAX: u32 = 8;
/// Bytes of redb's page cache; its default is 1 GiB, which a backlog fills.
const CACHE_BYTES: usize = 1024 * 1024;
/// Number of tries of a file with a bad sector while the store is opened, when nobody can wait.
pub(super) const OPEN_TRIES: u32 = 3;

/// A file that opened.
pub(super) struct Opened {
    pub(super) backend: Backend,
    pub(super) db: Database,
    pub(super) head: Head,
    pub(super) highest_seq: PerLane<Seq>,
    /// Description of the damage that was quarantined on the way; `None` if there was none.
    pub(super) damage: Option<String>,
}

/// Closes redb. Closing writes, so it can fail and panic like any other call, but no durable row depends on it.
pub(super) fn close(db: Option<Database>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
}

/// Closes a database in which damage was found, and writes nothing: the commit with which redb closes trusts its list of free pages,
/// and may end the process or cut pages off that are in use. redb makes none while its thread unwinds.
pub(super) fn abandon(db: Option<Database>) {
    let _ = catch_unwind(AssertUnwindSafe(move || {
        let _closed_on_the_way = db;
        if cfg!(panic = "unwind") {
            resume_unwind(Box::new("closed without a commit"));
        }
    }));
}

fn open_db(backend: &Backend) -> Result<Database, Trouble> {
    backend.restore()?;
    let backend = backend.clone();
    fence(|| {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend);
        opened.map_err(|e| redb::Error::from(e).into())
    })
}

/// Opens the file, or creates it if there is none. A damaged file is quarantined, and its readable rows are copied into a new one; so is one with a
/// sector that stays bad, since redb may need it at every open.
pub(super) fn open(dir: &dyn Dir, options: &Options) -> Result<Opened, Trouble> {
    let opened = open_or_make(dir, options)?;
    // Also for a file that was there: the process before may have failed to make its name durable.
    dir.sync()?;
    Ok(opened)
}

fn open_or_make(dir: &dyn Dir, options: &Options) -> Result<Opened, Trouble> {
    let backend = match dir.open(FILE) {
        Ok(medium) => Backend::new(medium)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return open_new(dir, options),
        Err(e) => return Err(Trouble::Io(e)),
    };
    if unsynced::is_marked(dir) {
        backend.rewrite()?;
        unsynced::clear(dir);
    }
    let mut tries = 1;
    loop {
        backend.forget_unread();
        match load(backend.clone()) {
            Err(Trouble::Damaged(why)) => return rebuild(dir, options, &backend, None, &why),
            Err(Trouble::Io(e)) if backend.has_bad_sector() => match tries < OPEN_TRIES {
                true => tries += 1,
                false => return rebuild(dir, options, &backend, None, &unreadable(&e)),
            },
            other => return other,
        }
    }
}

/// Returns the description of a file with a bad sector.
pub(super) fn unreadable(error: &io::Error) -> String {
    format!("a part of it cannot be read: {error}")
}

/// Salvages the rows of `old` into a fresh file and quarantines the old one. `known` is the state in RAM, if there is one. The caller syncs the
/// directory before it relies on the new file.
pub(super) fn rebuild(
    dir: &dyn Dir,
    options: &Options,
    old: &Backend,
    known: Option<&Head>,
    why: &str,
) -> Result<Opened, Trouble> {
    let built = build(dir, options, Some((old, known)));
    if built.is_err() {
        // On a full disk it would keep the space that is missing.
        let _ = dir.remove(FILE_NEW);
    }
    let mut opened = built?;
    let bad = set_aside_name(dir);
    match dir.rename(FILE, &bad) {
        // Moved by an earlier attempt that failed at the second step.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        moved => moved?,
    }
    dir.rename(FILE_NEW, FILE)?;
    opened.damage = Some(format!("{FILE} set aside as {bad}: {why}; readable rows were carried over"));
    Ok(opened)
}

/// Opens a queue that has no file: a new queue, or one that had a power cut between the two renames of `rebuild`.
fn open_new(dir: &dyn Dir, options: &Options) -> Result<Opened, Trouble> {
    let found = match dir.open(FILE_NEW) {
        Ok(medium) => Backend::new(medium).map_err(Trouble::Io).and_then(load),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Trouble::Damaged(String::new())),
        Err(e) => Err(Trouble::Io(e)),
    };
    let opened = match found {
        Err(Trouble::Damaged(_)) => build(dir, options, None)?,
        other => other?,
    };
    dir.rename(FILE_NEW, FILE)?;
    Ok(opened)
}

fn load(backend: Backend) -> Result<Opened, Trouble> {
    let (db, (head, highest_seq)) = open_and(&backend, |db| {
        let mut head = read_head(db)?;
        let highest_seq = highest(db, &mut head)?;
        Ok((head, highest_seq))
    })?;
    Ok(Opened { backend, db, head, highest_seq, damage: None })
}

/// Opens the database and calls `look` with it; closes it again if that fails.
pub(super) fn open_and<T>(
    backend: &Backend,
    look: impl FnOnce(&Database) -> Result<T, Trouble>,
) -> Result<(Database, T), Trouble> {
    let db = open_db(backend)?;
    match fence(|| look(&db)) {
        Ok(found) => Ok((db, found)),
        Err(Trouble::Damaged(why)) => {
            abandon(Some(db));
            Err(Trouble::Damaged(why))
        }
        Err(e) => {
            close(Some(db));
            Err(e)
        }
    }
}

fn build(
    dir: &dyn Dir,
    options: &Options,
    old: Option<(&Backend, Option<&Head>)>,
) -> Result<Opened, Trouble> {
    let backend = Backend::new(dir.create(FILE_NEW)?)?;
    let db = open_db(&backend)?;
    fence(|| {
        let mut head = match old {
            Some((old, known)) => salvage::carry_over(old, known, &db, options)?,
            None => Head::new(State::new(options.gateway, options.lanes)),
        };
        // The head comes last: a file with one is complete.
        write_head(&db, &head)?;
        dir.sync()?;
        let highest_seq = highest(&db, &mut head)?;
        Ok((head, highest_seq))
    })
    .map(|(head, highest_seq)| Opened { backend, db, head, highest_seq, damage: None })
}

pub(super) fn write_head(db: &Database, head: &Head) -> Result<(), Trouble> {
    let txn = db.begin_write().map_err(redb::Error::from)?;
    txn.open_table(ROWS).map_err(redb::Error::from)?;
    let mut table = txn.open_table(HEAD).map_err(redb::Error::from)?;
    table.insert(0, encode_head(head).as_slice()).map_err(redb::Error::from)?;
    drop(table);
    txn.commit().map_err(|e| redb::Error::from(e).into())
}

pub(super) fn read_head(db: &Database) -> Result<Head, Trouble> {
    let txn = db.begin_read().map_err(redb::Error::from)?;
    let table = txn.open_table(HEAD).map_err(redb::Error::from)?;
    let value = table.get(0).map_err(redb::Error::from)?;
    let value = value.ok_or_else(|| Trouble::Damaged("there is no bookkeeping".into()))?;
    Ok(decode_head(value.value())?)
}

/// Returns the highest number of a row with a valid checksum in each lane; a damaged key may have any number. Records that row in `head`, because
/// an older, salvaged bookkeeping does not have it.
fn highest(db: &Database, head: &mut Head) -> Result<PerLane<Seq>, Trouble> {
    let txn = db.begin_read().map_err(redb::Error::from)?;
    let table = txn.open_table(ROWS).map_err(redb::Error::from)?;
    let mut highest = PerLane::all(0);
    for ((lane, slot), written) in (0u8..).zip(&mut highest).zip(&mut head.written) {
        let mut above = (lane, Seq::MAX);
        for entry in table.range((lane, 0)..=(lane, NUMBER_MAX)).map_err(redb::Error::from)?.rev() {
            let (key, value) = entry.map_err(redb::Error::from)?;
            if key.value() >= above {
                // Damaged pages can lead round in a circle.
                break;
            }
            above = key.value();
            let Ok(found) = decode_row(value.value()) else { continue };
            if found.row.lane.0 == lane {
                *slot = found.row.seq;
                if found.row.seq > written.0 {
                    *written = (found.row.seq, found.totals);
                }
                break;
            }
        }
    }
    Ok(highest)
}

fn set_aside_name(dir: &dyn Dir) -> String {
    let name = |n: u32| format!("bad/{FILE}.{n}");
    // One that cannot be opened is there.
    let is_free = |n: &u32| dir.open(&name(*n)).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let free = (1..BAD_MAX).find(is_free);
    name(free.unwrap_or(BAD_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, Fault, FaultError, SimDir};

    #[test]
    fn promise_2_no_file_that_was_set_aside_is_replaced_not_even_one_that_cannot_be_opened() {
        let dir = SimDir::new();
        drop(dir.create("bad/queue.redb.1").unwrap());
        dir.fail(Fault { call: Call::Open, after: 0, error: FaultError::Io, sticky: false });
        assert_eq!(set_aside_name(&dir), "bad/queue.redb.2");
    }
}
