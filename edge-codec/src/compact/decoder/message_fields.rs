//! Fields of a compact message: header, columns, texts, and the session table or the compression that they need.

#![deny(clippy::indexing_slicing)]

use crate::compact::layout::{ID_BYTES, field};
use crate::protobuf::envelope;
use crate::protobuf::fields::{Field, Fields, malformed};
use crate::{DecodeError, Header, Limits};

/// Fields of a message, those that are read later with their byte offset in the input.
#[derive(Debug)]
pub(crate) struct MessageFields<'a> {
    pub(crate) header: Header,
    pub(crate) runs: Option<Vec<u64>>,
    pub(crate) columns: Option<(usize, &'a [u8])>,
    pub(crate) table: Option<u64>,
    pub(crate) texts: (usize, &'a [u8]),
    pub(crate) zstd: Option<(usize, &'a [u8])>,
}

impl<'a> MessageFields<'a> {
    /// Reads a message. Unknown fields are ignored, but refused beside a compressed one.
    pub(crate) fn read(input: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let (header, texts) = (Header::default(), (0, &[][..]));
        let mut message = Self { header, runs: None, columns: None, table: None, texts, zstd: None };
        let (mut headed, mut against, mut beside) = (false, None, None);
        let mut fields = Fields::new(input);
        while let Some(f) = fields.next()? {
            if !matches!(f.number, field::ZSTD | field::PADDING) {
                beside = beside.or(Some(f.offset));
            }
            match f.number {
                field::COLUMNS => message.columns = Some((f.offset, f.content()?)),
                field::TABLE_COLUMNS => {
                    let (id, columns) = table_columns(&f)?;
                    message.table = Some(id);
                    against = (!columns.1.is_empty()).then_some(columns);
                }
                field::TEXTS => message.texts = (f.offset, f.content()?),
                field::ZSTD => message.zstd = Some((f.offset, f.content()?)),
                number => headed |= number < field::COLUMNS || number == field::SEQS,
            }
        }
        if message.table.is_some() {
            if let Some((offset, _)) = message.columns {
                return Err(malformed(offset, "columns with a table and without"));
            }
            message.columns = against;
        }
        if headed {
            message.header = envelope::read_without_version(input)?;
            message.runs = envelope::runs(input, limits)?;
        }
        // It would be lost: all that counts is in the compressed message.
        if let (Some(_), Some(offset)) = (message.zstd, beside) {
            return Err(malformed(offset, "a field beside a compressed message"));
        }
        Ok(message)
    }
}

/// Returns the table's id, and the columns behind it with their byte offset.
fn table_columns<'a>(field: &Field<'a>) -> Result<(u64, (usize, &'a [u8])), DecodeError> {
    let split = field.content.and_then(<[u8]>::split_first_chunk::<ID_BYTES>);
    let (id, columns) =
        split.ok_or_else(|| malformed(field.offset, "no id of a table before the columns"))?;
    Ok((u64::from_be_bytes(*id), (field.offset.saturating_add(ID_BYTES), columns)))
}
