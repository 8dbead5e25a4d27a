//! A writer that is killed in the middle of its work, and the proof that nothing it had a receipt for is lost: the program starts itself a
//! second time, lets that process push rows, kills it without warning and opens what it left.
//!
//! `cargo run -p edge-queue --example survive_kill`
//!
//! ```text
//! killed after 200 receipts: 0 lost
//! ```
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use edge_queue::{Config, Queue, Receipt, Row, Wait};

/// Receipts after which the writer is killed.
const ENOUGH: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(spool) = std::env::args_os().nth(1) {
        return write(Path::new(&spool));
    }
    let spool = tempfile::tempdir()?;
    let mut writer =
        Command::new(std::env::current_exe()?).arg(spool.path()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(writer.stdout.take().ok_or("a pipe")?).lines();
    let receipted = lines.take(ENOUGH).collect::<Result<Vec<String>, _>>()?;
    // SIGKILL: the writer runs not one instruction more.
    writer.kill()?;
    writer.wait()?;

    let queue = open(spool.path())?;
    let mut hub = queue.consumer("hub")?;
    let mut found = Vec::new();
    loop {
        let rows = hub.lease(500, Wait::None)?;
        if rows.is_empty() {
            break;
        }
        found.extend(rows.iter().map(|row| String::from_utf8_lossy(row.payload()).into_owned()));
        rows.ack();
    }
    let lost = receipted.iter().filter(|row| !found.contains(row)).count();
    assert_eq!(receipted.len(), ENOUGH);
    assert_eq!(lost, 0, "a receipt was given too early");
    assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "in their order, each once");
    println!("killed after {ENOUGH} receipts: {lost} lost");
    queue.close()?;
    Ok(())
}

/// Pushes rows for ever, and prints each whose receipt says that it is stored.
fn write(spool: &Path) -> Result<(), Box<dyn Error>> {
    let queue = open(spool)?;
    drop(queue.consumer("hub")?);
    for n in 0u64.. {
        let payload = format!("{n:010}");
        if queue.push(Row::new(payload.clone()))?.wait()? == Receipt::Stored {
            writeln!(std::io::stdout(), "{payload}")?;
        }
    }
    Ok(())
}

fn open(spool: &Path) -> Result<Queue, edge_queue::OpenError> {
    Queue::open(spool, Config::default().lanes(1).max_bytes(4 * 1024 * 1024))
}
