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
use edge_codec::{Batch, BatchId, DecodeError, EncodeError, Limits, Reading, SensorTable};

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

enum Made<'t> {
    Plain(AnyEncoder<'t>),
    Compact(Box<Encoder>),
    Named(Box<Encoder<SensorTable<'t>>>),
}

/// An encoder of a form, and the table that its batches refer to.
pub struct FormEncoder<'t> {
    form: Form,
    session: Option<Session>,
    made: Made<'t>,
}

impl<'t> FormEncoder<'t> {
    pub fn new(form: Form, table: &'t SensorTable<'t>, sample: &[Reading<'_>]) -> Self {
        let session = match form {
            Form::Compact(_, Naming::Table) => Some(Session::names(1, table)),
            Form::Compact(_, Naming::Learned) => Some(Session::learn(1, table, sample)),
            _ => None,
        };
        let made = match (form, &session) {
            (Form::Plain(kind), _) => Made::Plain(AnyEncoder::new(kind, table)),
            (Form::Compact(level, _), Some(session)) => Made::Compact(Box::new(session.encoder(level))),
            (Form::Compact(level, Naming::Names), _) => {
                Made::Named(Box::new(Encoder::new(level).sensors(table.clone())))
            }
            (Form::Compact(level, _), _) => Made::Compact(Box::new(Encoder::new(level))),
        };
        Self { form, session, made }
    }

    pub fn identify(self, id: BatchId, pd: bool) -> Self {
        let made = match self.made {
            Made::Plain(e) => Made::Plain(e.identify(id, pd)),
            Made::Compact(e) => Made::Compact(Box::new(e.id(id).possible_duplicate(pd))),
            Made::Named(e) => Made::Named(Box::new(e.id(id).possible_duplicate(pd))),
        };
        Self { made, ..self }
    }

    pub fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        match &mut self.made {
            Made::Plain(e) => e.push(reading),
            Made::Compact(e) => e.push(reading),
            Made::Named(e) => e.push(reading),
        }
    }

    pub fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        match &mut self.made {
            Made::Plain(e) => e.push_at(seq, reading),
            Made::Compact(e) => e.push_at(seq, reading),
            Made::Named(e) => e.push_at(seq, reading),
        }
    }

    pub fn finish_under(&mut self, max: usize) -> Result<Vec<u8>, EncodeError> {
        let batch = match &mut self.made {
            Made::Plain(e) => e.finish_under(max),
            Made::Compact(e) => e.finish_under(max),
            Made::Named(e) => e.finish_under(max),
        };
        batch.map(|batch| batch.to_vec())
    }

    pub fn is_empty(&self) -> bool {
        match &self.made {
            Made::Plain(e) => e.is_empty(),
            Made::Compact(e) => e.is_empty(),
            Made::Named(e) => e.is_empty(),
        }
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
