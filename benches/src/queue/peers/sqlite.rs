//! SQLite with a write-ahead log, synced at each commit.

use std::path::Path;

use crate::queue::incoming::{Incoming, MESSAGE_BYTES};
use crate::queue::peer::Peer;
use crate::queue::text;

pub(super) struct Sqlite {
    connection: rusqlite::Connection,
    incoming: Incoming,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Sqlite, String> {
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
