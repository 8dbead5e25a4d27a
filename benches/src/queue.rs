//! `queue.*`: what a durable push costs, beside a plain loop that writes the same bytes to a file that was already
//! written once and syncs it, and beside other stores that a Rust program would embed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use edge_queue::{Config, OnFull, Queue, Row, StoreKind, Wait};

use crate::measure::{Candidate, Figure, interleaved};

const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
const MESSAGE_BYTES: usize = 200;
/// Commits in one timed turn, so that a turn is long against the clock and short against the machine's drift.
const COMMITS: usize = 8;
/// Of the queue, and more than its file has then: both lanes, each twice its limit and four segments of 1 MiB.
const LIMIT_BYTES: u64 = 32 << 20;
const RING_BYTES: u64 = 2 * (LIMIT_BYTES + LIMIT_BYTES / 8) + (9 << 20);
const ROUNDS: usize = 40;
const WARM_UP: usize = 5;
/// Big enough that no run reaches the end, small enough to be written once in a second.
const RAW_BYTES: u64 = 96 << 20;

pub(crate) fn list() -> Vec<String> {
    let push = |peer: &str| BATCHES.map(|batch| format!("queue.push.{peer}.b{batch}"));
    let mut names: Vec<String> = ["ring", "redb", "sqlite_wal_full"].into_iter().flat_map(push).collect();
    names.extend(["b1", "b30"].map(|batch| format!("queue.store_bytes.ring.{batch}")));
    names
}

pub(crate) fn run() -> Result<(), String> {
    for batch in BATCHES {
        push(batch)?;
    }
    for batch in [1, 30] {
        store_bytes(batch)?;
    }
    Ok(())
}

/// Messages as a socket gives them: slices of a receive buffer. Incompressible; making them is not what is measured.
struct Incoming {
    buffer: Bytes,
    at: usize,
}

impl Incoming {
    const MESSAGES: usize = 16_384;

    fn new() -> Incoming {
        let mut bytes = vec![0u8; Self::MESSAGES * MESSAGE_BYTES];
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for bytes in bytes.as_chunks_mut::<8>().0 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *bytes = state.to_le_bytes();
        }
        Incoming { buffer: Bytes::from(bytes), at: 0 }
    }

    fn next(&mut self) -> Bytes {
        self.at = (self.at + 1) % Self::MESSAGES;
        let from = self.at * MESSAGE_BYTES;
        self.buffer.slice(from..from + MESSAGE_BYTES)
    }
}

fn push(batch: usize) -> Result<(), String> {
    let dir = tempfile::Builder::new().prefix("edge-bench").tempdir_in(".").map_err(|e| e.to_string())?;
    let mut raw = Raw::create(&dir.path().join("raw"))?;
    let mut ring = Ours::open(&dir.path().join("ring"), StoreKind::Ring)?;
    let mut redb = Ours::open(&dir.path().join("redb"), StoreKind::Redb)?;
    let mut sqlite = Sqlite::open(&dir.path().join("sqlite"))?;
    let mut candidates = [
        Candidate { name: "raw.prewritten", run: Box::new(|| raw.commits(batch)) },
        Candidate { name: "ring", run: Box::new(|| ring.commits(batch)) },
        Candidate { name: "redb", run: Box::new(|| redb.commits(batch)) },
        Candidate { name: "sqlite_wal_full", run: Box::new(|| sqlite.commits(batch)) },
    ];
    let medians = interleaved(&mut candidates, WARM_UP, ROUNDS)?;
    let Some((base, peers)) = medians.split_first() else { return Ok(()) };
    for (name, time) in ["ring", "redb", "sqlite_wal_full"].iter().zip(peers) {
        Figure {
            figure: format!("queue.push.{name}.b{batch}"),
            value: (COMMITS * batch) as f64 / time.as_secs_f64(),
            unit: "messages/s",
            baseline: "raw.prewritten".to_owned(),
            ratio: Some(base.as_secs_f64() / time.as_secs_f64()),
            runs: ROUNDS,
        }
        .print();
    }
    Ok(())
}

/// Bytes handed to the medium per commit once the ring has been round.
fn store_bytes(batch: usize) -> Result<(), String> {
    const COUNTED: u64 = 500;
    let dir = tempfile::Builder::new().prefix("edge-bench").tempdir_in(".").map_err(|e| e.to_string())?;
    let mut ours = Ours::open(dir.path(), StoreKind::Ring)?;
    ours.go_round()?;
    let before = ours.queue.stats().store.bytes_written;
    for _ in 0..COUNTED {
        ours.commit(batch)?;
    }
    let written = ours.queue.stats().store.bytes_written - before;
    let payload = (batch * MESSAGE_BYTES) as f64;
    let value = written as f64 / COUNTED as f64;
    Figure {
        figure: format!("queue.store_bytes.ring.b{batch}"),
        value,
        unit: "B/commit",
        baseline: "payload".to_owned(),
        ratio: Some(value / payload),
        runs: 1,
    }
    .print();
    Ok(())
}

/// The baseline: append to a file whose blocks were all written before, fdatasync.
struct Raw {
    file: File,
    offset: u64,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Raw {
    fn create(path: &Path) -> Result<Raw, String> {
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path);
        let file = file.map_err(|e| e.to_string())?;
        let zeros = vec![0u8; 1 << 20];
        for at in (0..RAW_BYTES).step_by(1 << 20) {
            file.write_all_at(&zeros, at).map_err(|e| e.to_string())?;
        }
        file.sync_all().map_err(|e| e.to_string())?;
        Ok(Raw { file, offset: 0, incoming: Incoming::new(), buffer: Vec::new() })
    }

    fn commits(&mut self, batch: usize) -> Result<(), String> {
        for _ in 0..COMMITS {
            self.buffer.clear();
            for _ in 0..batch {
                self.buffer.extend_from_slice(&self.incoming.next());
            }
            if self.offset + self.buffer.len() as u64 > RAW_BYTES {
                self.offset = 0;
            }
            self.file.write_all_at(&self.buffer, self.offset).map_err(|e| e.to_string())?;
            self.file.sync_data().map_err(|e| e.to_string())?;
            self.offset += self.buffer.len() as u64;
        }
        Ok(())
    }
}

struct Ours {
    queue: Queue,
    incoming: Incoming,
}

impl Ours {
    fn open(dir: &Path, kind: StoreKind) -> Result<Ours, String> {
        let config = Config::default().max_bytes(LIMIT_BYTES).on_full(OnFull::DropOldest).store(kind);
        let queue = Queue::open(dir, config).map_err(|e| e.to_string())?;
        Ok(Ours { queue, incoming: Incoming::new() })
    }

    /// Writes until every segment of the ring was written once, then empties the queue: what a queue that has been
    /// in use looks like between two outages.
    fn go_round(&mut self) -> Result<(), String> {
        while self.queue.stats().store.bytes_written < RING_BYTES {
            self.commit(1_000)?;
        }
        let mut consumer = self.queue.consumer("bench").map_err(|e| e.to_string())?;
        loop {
            let chunk =
                consumer.lease(10_000, Wait::For(std::time::Duration::ZERO)).map_err(|e| e.to_string())?;
            if chunk.is_empty() {
                break;
            }
            chunk.ack();
        }
        self.queue.forget("bench").map(drop).map_err(|e| e.to_string())
    }

    fn commit(&mut self, batch: usize) -> Result<(), String> {
        for _ in 0..batch {
            let _receipt = self.queue.push(Row::new(self.incoming.next())).map_err(|e| e.to_string())?;
        }
        self.queue.commit().map_err(|e| e.to_string())
    }

    fn commits(&mut self, batch: usize) -> Result<(), String> {
        (0..COMMITS).try_for_each(|_| self.commit(batch))
    }
}

struct Sqlite {
    connection: rusqlite::Connection,
    incoming: Incoming,
}

impl Sqlite {
    fn open(path: &Path) -> Result<Sqlite, String> {
        let connection = rusqlite::Connection::open(path).map_err(|e| e.to_string())?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE queue (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);",
            )
            .map_err(|e| e.to_string())?;
        Ok(Sqlite { connection, incoming: Incoming::new() })
    }

    fn commits(&mut self, batch: usize) -> Result<(), String> {
        for _ in 0..COMMITS {
            self.commit(batch).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: usize) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO queue (payload) VALUES (?1)")?;
            for _ in 0..batch {
                insert.execute([&self.incoming.next()[..]])?;
            }
        }
        transaction.commit()
    }
}
