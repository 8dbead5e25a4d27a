//! All batch formats that carry an identity, the compact ones included, behind one face.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test support; each file uses its part"
)]

use super::session::{Reader, Session};
use super::support::{AnyEncoder, KINDS, Kind};
use edge_codec::compact::{Encoder, Level};
use edge_codec::{Batch, BatchEncoder, BatchId, DecodeError, EncodeError, Limits, Reading, SensorTable};

/// References of a compact batch to its sensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Naming {
    /// Numbers.
    Bare,
    /// Names and units in every batch.
    Names,
    /// A table of names and units.
    Table,
    /// A table that has learned from the readings.
    Learned,
}

pub const NAMINGS: [Naming; 4] = [Naming::Bare, Naming::Names, Naming::Table, Naming::Learned];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Plain(Kind),
    Compact(Level, Naming),
}

/// Every form.
pub fn forms() -> Vec<Form> {
    let plain = KINDS.into_iter().map(Form::Plain);
    let compact = [Level::Fast, Level::Small].into_iter();
    plain.chain(compact.flat_map(|level| NAMINGS.map(|naming| Form::Compact(level, naming)))).collect()
}

impl Form {
    pub fn keeps_identity(self) -> bool {
        !matches!(self, Form::Plain(kind) if !kind.keeps_identity())
    }

    pub fn keeps_numbers(self) -> bool {
        !matches!(self, Form::Plain(kind) if !kind.keeps_numbers())
    }

    /// Returns whether a reader learns names and units.
    pub fn keeps_names(self) -> bool {
        !matches!(self, Form::Compact(_, Naming::Bare))
    }

    pub fn carries(self, reading: &Reading<'_>) -> bool {
        !matches!(self, Form::Plain(kind) if !kind.carries(reading))
    }

    /// Returns the quality that a reader gets.
    pub fn quality(self, sent: u32) -> u32 {
        match self {
            Form::Plain(kind) => kind.quality(sent),
            Form::Compact(..) => sent,
        }
    }
}

/// An encoder of a form, and the table that its batches refer to.
pub struct FormEncoder<'t> {
    form: Form,
    session: Option<Session>,
    encoder: Box<dyn BatchEncoder + 't>,
}

impl<'t> FormEncoder<'t> {
    pub fn new(form: Form, table: &'t SensorTable<'t>, sample: &[Reading<'_>]) -> Self {
        let session = match form {
            Form::Compact(_, Naming::Table) => Some(Session::names(1, table)),
            Form::Compact(_, Naming::Learned) => Some(Session::learn(1, table, sample)),
            _ => None,
        };
        let encoder: Box<dyn BatchEncoder + 't> = match (form, &session) {
            (Form::Plain(kind), _) => AnyEncoder::new(kind, table).0,
            (Form::Compact(level, _), Some(session)) => Box::new(session.encoder(level)),
            (Form::Compact(level, Naming::Names), _) => Box::new(Encoder::new(table).level(level)),
            (Form::Compact(level, _), _) => Box::new(Encoder::numbered().level(level)),
        };
        Self { form, session, encoder }
    }

    pub fn identify(mut self, id: BatchId, pd: bool) -> Self {
        self.encoder.set_id(id);
        self.encoder.set_possible_duplicate(pd);
        self
    }

    pub fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        self.encoder.push(reading)
    }

    pub fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        self.encoder.push_at(seq, reading)
    }

    pub fn finish_under(&mut self, max: usize) -> Result<Vec<u8>, EncodeError> {
        self.encoder.finish_under(max).map(|batch| batch.to_vec())
    }

    pub fn is_empty(&self) -> bool {
        self.encoder.is_empty()
    }

    /// Reads a batch as another party does: with nothing but the announced table, which is read anew.
    pub fn read<R>(
        &self,
        batch: &[u8],
        limits: &Limits,
        read: impl FnOnce(Result<Batch<'_>, DecodeError>) -> R,
    ) -> R {
        match self.form {
            Form::Plain(kind) => read(kind.decode(batch, limits)),
            Form::Compact(..) => {
                let reader = self.session.as_ref().map_or_else(Reader::without_table, Session::reader);
                read(reader.decode(batch, limits))
            }
        }
    }
}
