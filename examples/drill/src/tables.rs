//! The session tables that the hub was given, and batches read with them.

use std::collections::HashMap;

use edge_bridge::wire::{Publish, Utf8, matches};
use edge_codec::compact::{self, Table};
use edge_codec::{Batch, DecodeError, Limits};

#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// All that ever came: batches that waited may refer to an old one.
    by_id: HashMap<u64, Table>,
    retained: HashMap<Utf8, Publish>,
}

impl Tables {
    pub(crate) fn keep(&mut self, publish: &Publish) {
        if publish.payload.is_empty() {
            self.retained.remove(&publish.topic);
            return;
        }
        match Table::decode(&publish.payload, &Limits::default()) {
            Ok(table) => {
                self.by_id.insert(table.id(), table);
                self.retained.insert(publish.topic.clone(), publish.clone());
            }
            Err(error) => tracing::error!(event = "drill.hub", %error, "a session table cannot be read"),
        }
    }

    /// Returns what a new subscriber gets.
    pub(crate) fn retained(&self, filter: &Utf8) -> Vec<Publish> {
        self.retained.values().filter(|table| matches(filter, &table.topic)).cloned().collect()
    }

    pub(crate) fn decode<'a>(&'a self, batch: &'a [u8]) -> Result<Batch<'a>, DecodeError> {
        let limits = Limits::default();
        let table = compact::table_wanted(batch, &limits)?.and_then(|id| self.by_id.get(&id));
        match table {
            Some(table) => table.decode_batch(batch, &limits),
            None => compact::decode(batch, &limits),
        }
    }
}
