//! The message's fields.

#![deny(clippy::indexing_slicing)]

use crate::compact::layout::field;
use crate::protobuf::envelope;
use crate::protobuf::fields::Fields;
use crate::{DecodeError, Header, Limits};

/// A message's fields, with the offset of each in the input.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    pub(crate) runs: Option<Vec<u64>>,
    pub(crate) columns: Option<(usize, &'a [u8])>,
    pub(crate) table: Option<u64>,
    pub(crate) texts: (usize, &'a [u8]),
    pub(crate) zstd: Option<(usize, &'a [u8])>,
}

impl<'a> Frame<'a> {
    /// Reads a message; unknown fields are ignored.
    pub(crate) fn read(input: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let (header, texts) = (Header::default(), (0, &[][..]));
        let mut frame = Self { header, runs: None, columns: None, table: None, texts, zstd: None };
        let mut headed = false;
        let mut fields = Fields::new(input);
        while let Some(f) = fields.next()? {
            match (f.number, f.varint, f.content) {
                (field::COLUMNS, _, Some(content)) => frame.columns = Some((f.offset, content)),
                (field::TABLE, ..) => frame.table = Some(f.bits64("table is not a fixed64")?),
                (field::TEXTS, _, Some(content)) => frame.texts = (f.offset, content),
                (field::ZSTD, _, Some(content)) => frame.zstd = Some((f.offset, content)),
                (number, ..) => headed |= number < field::COLUMNS || number == field::SEQS,
            }
        }
        if headed {
            frame.header = envelope::read_without_version(input)?;
            frame.runs = envelope::runs(input, limits)?;
        }
        Ok(frame)
    }
}
