//! The baseline and the stores beside ours, each used the way its documentation says a queue should: one transaction per
//! batch, synced when it returns.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use edge_queue::StoreKind;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::incoming::{Incoming, MESSAGE_BYTES};
use super::ours::Ours;
use super::text;

/// Something that keeps messages.
pub(super) trait Peer {
    /// Makes `batch` new messages durable with one sync.
    fn commit(&mut self, batch: usize) -> Result<(), String>;

    /// Takes messages out in their order, `chunk` at a time, until none is left; their removal is durable at least every
    /// `lag` messages and at the end. Gives how many they were.
    fn drain(&mut self, chunk: usize, lag: usize) -> Result<usize, String>;
}

/// What the figures call the peers, ours first.
pub(super) const NAMES: [&str; 4] = ["ring", "redb", "sqlite_wal_full", "fjall"];

/// All of [`NAMES`], each in a directory of its own. `go_round`: the ring has written its whole file once.
pub(super) fn all(dir: &Path, go_round: bool) -> Result<Vec<Box<dyn Peer>>, String> {
    NAMES.iter().map(|name| one(name, &dir.join(name), go_round)).collect()
}

/// One of them.
pub(super) fn one(name: &str, path: &Path, go_round: bool) -> Result<Box<dyn Peer>, String> {
    Ok(match name {
        "redb" => Box::new(Ours::open(path, StoreKind::Redb)?),
        "sqlite_wal_full" => Box::new(Sqlite::open(path)?),
        "fjall" => Box::new(Fjall::open(path)?),
        _ => {
            let mut ring = Ours::open(path, StoreKind::Ring)?;
            if go_round {
                ring.go_round()?;
            }
            Box::new(ring)
        }
    })
}

/// Big enough that no run reaches the end, small enough to be written once in a second.
const RAW_BYTES: u64 = 96 << 20;

/// The baseline: append to a file whose blocks were all written before, fdatasync. Reading it is plain too.
pub(super) struct Raw {
    file: File,
    cursor: File,
    written: u64,
    read: u64,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Raw {
    pub(super) fn create(dir: &Path) -> Result<Raw, String> {
        let open = |name: &str| {
            OpenOptions::new().create(true).truncate(true).read(true).write(true).open(dir.join(name))
        };
        let (file, cursor) = (open("raw").map_err(text)?, open("raw.cursor").map_err(text)?);
        let zeros = vec![0u8; 1 << 20];
        for at in (0..RAW_BYTES).step_by(1 << 20) {
            file.write_all_at(&zeros, at).map_err(text)?;
        }
        cursor.write_all_at(&[0; 4096], 0).and_then(|()| cursor.sync_all()).map_err(text)?;
        file.sync_all().map_err(text)?;
        Ok(Raw { file, cursor, written: 0, read: 0, incoming: Incoming::new(), buffer: Vec::new() })
    }
}

impl Peer for Raw {
    fn commit(&mut self, batch: usize) -> Result<(), String> {
        self.buffer.clear();
        for _ in 0..batch {
            self.buffer.extend_from_slice(&self.incoming.next());
        }
        if self.written + self.buffer.len() as u64 > RAW_BYTES {
            (self.written, self.read) = (0, 0);
        }
        self.file.write_all_at(&self.buffer, self.written).map_err(text)?;
        self.file.sync_data().map_err(text)?;
        self.written += self.buffer.len() as u64;
        Ok(())
    }

    fn drain(&mut self, chunk: usize, lag: usize) -> Result<usize, String> {
        let (mut count, mut marked) = (0, 0);
        while self.read < self.written {
            let bytes = ((chunk * MESSAGE_BYTES) as u64).min(self.written - self.read);
            self.buffer.resize(bytes as usize, 0);
            self.file.read_exact_at(&mut self.buffer, self.read).map_err(text)?;
            self.read += bytes;
            count += bytes as usize / MESSAGE_BYTES;
            if count >= marked + lag || self.read == self.written {
                marked = count;
                self.cursor.write_all_at(&self.read.to_le_bytes(), 0).map_err(text)?;
                self.cursor.sync_data().map_err(text)?;
            }
        }
        Ok(count)
    }
}

struct Sqlite {
    connection: rusqlite::Connection,
    incoming: Incoming,
}

impl Sqlite {
    fn open(path: &Path) -> Result<Sqlite, String> {
        let connection = rusqlite::Connection::open(path).map_err(text)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 CREATE TABLE queue (seq INTEGER PRIMARY KEY, payload BLOB NOT NULL);",
            )
            .map_err(text)?;
        Ok(Sqlite { connection, incoming: Incoming::new() })
    }

    fn insert(&mut self, batch: usize) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO queue (payload) VALUES (?1)")?;
            for _ in 0..batch {
                insert.execute([&self.incoming.next()[..]])?;
            }
        }
        transaction.commit()
    }

    fn chunk(&self, after: i64, chunk: usize) -> rusqlite::Result<(usize, i64)> {
        let mut select = self
            .connection
            .prepare_cached("SELECT seq, payload FROM queue WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = select.query([after, chunk as i64])?;
        let (mut count, mut last) = (0, after);
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let payload: Vec<u8> = row.get(1)?;
            count += usize::from(payload.len() == MESSAGE_BYTES);
        }
        Ok((count, last))
    }
}

impl Peer for Sqlite {
    fn commit(&mut self, batch: usize) -> Result<(), String> {
        self.insert(batch).map_err(text)
    }

    fn drain(&mut self, chunk: usize, lag: usize) -> Result<usize, String> {
        let (mut count, mut removed, mut last) = (0, 0, 0);
        loop {
            let (found, upto) = self.chunk(last, chunk).map_err(text)?;
            (count, last) = (count + found, upto);
            if count >= removed + lag || found == 0 {
                removed = count;
                self.connection.execute("DELETE FROM queue WHERE seq <= ?1", [last]).map_err(text)?;
            }
            if found == 0 {
                return Ok(count);
            }
        }
    }
}

struct Fjall {
    database: Database,
    rows: Keyspace,
    next: u64,
    incoming: Incoming,
}

impl Fjall {
    fn open(path: &Path) -> Result<Fjall, String> {
        let database = Database::builder(path).open().map_err(text)?;
        let rows = database.keyspace("queue", KeyspaceCreateOptions::default).map_err(text)?;
        Ok(Fjall { database, rows, next: 0, incoming: Incoming::new() })
    }

    fn remove(&self, keys: &mut Vec<fjall::UserKey>) -> Result<(), String> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        keys.drain(..).for_each(|key| batch.remove(&self.rows, key));
        batch.commit().map_err(text)
    }
}

impl Peer for Fjall {
    fn commit(&mut self, batch: usize) -> Result<(), String> {
        let mut writes = self.database.batch().durability(Some(PersistMode::SyncData));
        for _ in 0..batch {
            self.next += 1;
            writes.insert(&self.rows, self.next.to_be_bytes(), &self.incoming.next()[..]);
        }
        writes.commit().map_err(text)
    }

    fn drain(&mut self, _chunk: usize, lag: usize) -> Result<usize, String> {
        let (mut count, mut done) = (0, Vec::new());
        for row in self.rows.iter() {
            let (key, payload) = row.into_inner().map_err(text)?;
            count += usize::from(payload.len() == MESSAGE_BYTES);
            done.push(key);
            if done.len() >= lag {
                self.remove(&mut done)?;
            }
        }
        self.remove(&mut done)?;
        Ok(count)
    }
}
