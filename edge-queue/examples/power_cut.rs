//! A writer whose machine loses its power, and the judge of what is left (promises 1 to 4).
//!
//! `power_cut write DIR [--store ring|redb] [--rows N] [--commits N] [--no-sync]` commits `N` rows of 200 bytes at a time
//! and prints one line per commit once its receipts are there: `FIRST LAST FLOOR`. Rows below `FLOOR` are acknowledged
//! after the line was printed. `power_cut check DIR ACKS [--store ring|redb] [--rows N]` fails unless the directory
//! holds what the lines in the file ACKS promise. `--no-sync` plants a bug: syncs do nothing, and rows must be found lost.
//!
//! Run it where the power can be cut: `docs/testing.md`.
//!
//! Not run by the tests.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a program of its own")]

#[path = "../tests/common/no_sync.rs"]
mod no_sync;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use edge_queue::medium::Dir;
use edge_queue::medium::os::OsDir;
use edge_queue::{Config, Ledger, OnFull, Queue, Receipt, Row, StoreKind, SystemClock, Wait};

const USAGE: &str =
    "power_cut write DIR | check DIR ACKS  [--store ring|redb] [--rows N] [--commits N] [--no-sync]";
const ROW_BYTES: usize = 200;
/// Rows not yet acknowledged.
const BACKLOG: u64 = 1_000;

struct Settings {
    store: StoreKind,
    rows: u64,
    commits: u64,
    no_sync: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings { store: StoreKind::Ring, rows: 30, commits: u64::MAX, no_sync: false };
    let (mut words, mut paths) = (std::env::args().skip(1), Vec::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--store" => {
                settings.store = match words.next().as_deref() {
                    Some("ring") => StoreKind::Ring,
                    Some("redb") => StoreKind::Redb,
                    _ => return Err(USAGE.into()),
                }
            }
            "--rows" => settings.rows = words.next().ok_or(USAGE)?.parse()?,
            "--commits" => settings.commits = words.next().ok_or(USAGE)?.parse()?,
            "--no-sync" => settings.no_sync = true,
            _ => paths.push(word),
        }
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    match paths.as_slice() {
        ["write", dir] => write(Path::new(dir), &settings),
        ["check", dir, acks] => check(Path::new(dir), Path::new(acks), &settings),
        _ => Err(USAGE.into()),
    }
}

fn open(dir: &Path, settings: &Settings) -> Result<Queue, Box<dyn Error>> {
    let config = Config::default()
        .store(settings.store)
        .lanes(1)
        .max_bytes(1024 * 1024)
        .row_bytes_max(16 * 1024)
        .segment_bytes(256 * 1024)
        .on_full(OnFull::Reject);
    let dir = OsDir::new(dir)?;
    let dir: Box<dyn Dir> = if settings.no_sync { no_sync::no_sync(dir) } else { Box::new(dir) };
    Ok(Queue::open_in(dir, config, Arc::new(SystemClock::new()))?)
}

fn write(dir: &Path, settings: &Settings) -> Result<(), Box<dyn Error>> {
    let queue = open(dir, settings)?;
    let mut hub = queue.consumer("hub")?;
    let (mut first, mut floor) = (0, 0);
    for _ in 0..settings.commits {
        let next = first + settings.rows;
        let receipts = queue.push_batch((first..next).map(|n| Row::new(payload(n))))?;
        queue.commit()?;
        for receipt in receipts {
            if receipt.wait()? != Receipt::Stored {
                return Err("a row was not stored".into());
            }
        }
        let below = next.saturating_sub(BACKLOG).max(floor);
        // One call, so that whoever reads this through a pipe sees the line whole.
        std::io::stdout().write_all(format!("{first} {} {below}\n", next - 1).as_bytes())?;
        let due = usize::try_from(below - floor)?;
        hub.lease(due, Wait::None)?.ack();
        (first, floor) = (next, below);
    }
    queue.close()?;
    Ok(())
}

fn check(dir: &Path, acks: &Path, settings: &Settings) -> Result<(), Box<dyn Error>> {
    let printed = String::from_utf8_lossy(&std::fs::read(acks)?).replace('\0', "");
    // Without its line's end a number may be cut.
    let lines = printed.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let last = lines.map(|line| line.split_whitespace().map(str::parse).collect()).next_back();
    let last: Option<Vec<u64>> = last.transpose()?;
    let (stored, floor) = match last.as_deref() {
        Some([_, last, floor]) => (last + 1, *floor),
        Some(_) => return Err("a line of ACKS has not three numbers".into()),
        None => (0, 0),
    };
    let queue = open(dir, settings)?;
    let mut hub = queue.consumer("hub")?;
    let mut found = Vec::new();
    loop {
        let chunk = hub.lease(500, Wait::None)?;
        if chunk.is_empty() {
            break;
        }
        for lease in chunk.iter() {
            let head: [u8; 8] = lease.payload().get(..8).ok_or("a row without a number")?.try_into()?;
            let n = u64::from_le_bytes(head);
            if *lease.payload() != payload(n) {
                return Err(format!("row {n} came back with other bytes").into());
            }
            found.push(n);
        }
        chunk.ack();
    }
    if let Some(pair) = found.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(format!("row {} after row {}", pair[1], pair[0]).into());
    }
    // One commit may have ended without its line, and the line before it may still be on its way to whoever writes it down:
    // so far the rows may go, and so far the acknowledgements.
    let floor = (stored + settings.rows).saturating_sub(BACKLOG).max(floor);
    if let Some(ghost) = found.iter().find(|n| **n >= stored + 2 * settings.rows) {
        return Err(format!("row {ghost} is a ghost: {stored} were receipted").into());
    }
    let lost = (floor..stored).filter(|n| found.binary_search(n).is_err()).count();
    if lost > 0 {
        return Err(format!("{lost} of {} receipted rows are lost", stored - floor).into());
    }
    let ledgers = queue.ledger();
    if let Some(odd) = ledgers.iter().find(|ledger| !ledger.balanced() || ledger.queued > 0) {
        return Err(format!("the ledger does not add up: {odd:?}").into());
    }
    let delivered: u64 = ledgers.iter().map(|ledger: &Ledger| ledger.delivered).sum();
    println!("{} rows found, {stored} receipted, {delivered} delivered in all", found.len());
    Ok(())
}

/// The row that belongs to a number.
fn payload(n: u64) -> Vec<u8> {
    let mut word = n;
    let mut bytes = n.to_le_bytes().to_vec();
    while bytes.len() < ROW_BYTES {
        // Knuth's generator: any bytes will do, if they are the same again.
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(ROW_BYTES);
    bytes
}
