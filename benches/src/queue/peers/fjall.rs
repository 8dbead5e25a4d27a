//! fjall, one atomic batch per commit.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::queue::incoming::{Incoming, MESSAGE_BYTES};
use crate::queue::peer::Peer;
use crate::queue::text;

pub(super) struct Fjall {
    database: Database,
    rows: Keyspace,
    next: u64,
    incoming: Incoming,
}

impl Fjall {
    pub(super) fn open(path: &Path) -> Result<Fjall, String> {
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
