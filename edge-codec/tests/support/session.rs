//! Session tables as the two ends have them: what encodes never decodes.
//!
//! The maker's table stays with the encoder. A batch is read by a [`Reader`], whose table was read from the announced
//! bytes. `tests/fresh_readers.rs` sees to it that no test goes another way.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test support; each file uses its part")]

use edge_codec::compact::{self, Encoder, Level, Table};
use edge_codec::{Batch, DecodeError, EncodeError, Limits, Reading, SensorTable};
use std::sync::Arc;

/// The maker's end: a table to encode against, and its announcement.
#[derive(Clone, Debug)]
pub struct Session(Arc<Table>);

impl Session {
    pub fn learn(version: u32, sensors: &SensorTable<'_>, sample: &[Reading<'_>]) -> Self {
        Self(Arc::new(Table::learn(version, sensors, sample)))
    }

    /// Of names and units alone.
    pub fn names(version: u32, sensors: &SensorTable<'_>) -> Self {
        Self(Arc::new(Table::new(version, sensors)))
    }

    pub fn encoder(&self, level: Level) -> Encoder {
        Encoder::with_table(self.0.clone()).level(level)
    }

    /// Lets a living encoder refer to this table from now on.
    pub fn set(&self, encoder: &mut Encoder) {
        self.try_set(encoder).unwrap();
    }

    /// [`set`](Self::set) for readings that wait, of which the table may lack sensors.
    pub fn try_set(&self, encoder: &mut Encoder) -> Result<(), EncodeError> {
        encoder.set_table(self.0.clone())
    }

    pub fn announced(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The name by which batches ask for the table.
    pub fn id(&self) -> TableId {
        self.0.id()
    }

    /// Another party's table, read from the announcement at each call.
    pub fn reader(&self) -> Reader {
        Reader::of(self.announced(), &wide()).unwrap()
    }
}

/// A batch's reference to a table.
pub type TableId = u64;

/// The reader's end: knows an announced table, or none.
#[derive(Debug)]
pub struct Reader(Option<Table>);

impl Reader {
    pub fn of(announced: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        Table::decode(announced, limits).map(|table| Self(Some(table)))
    }

    pub fn without_table() -> Self {
        Self(None)
    }

    /// Returns the table's own header: id, version, sensors.
    pub fn table(&self) -> &Table {
        self.0.as_ref().unwrap()
    }

    /// A maker whose table was read from the same bytes.
    pub fn maker(&self) -> Session {
        Session(Arc::new(Table::decode(self.table().bytes(), &wide()).unwrap()))
    }

    pub fn decode<'a>(&'a self, batch: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        match &self.0 {
            Some(table) => table.decode_batch(batch, limits),
            None => compact::decode(batch, limits),
        }
    }
}

/// Counts do not help: the bound must come from the input's length.
pub fn wide() -> Limits {
    let all = usize::MAX;
    Limits::default().bytes(all).readings(all).sensors(all).text_bytes(all).distributions(all)
}
