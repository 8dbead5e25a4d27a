//! Constants of the layout that encoder and decoder share: field numbers, orders of Exp-Golomb codes, and the least size of a batch.

use crate::protobuf::fields::put_string;

/// Most readings, and most bytes of names, per byte of a batch, compressed or not. It bounds a reader's memory by its input.
pub(super) const PER_BYTE: usize = 32;

/// Exp-Golomb order of the number of columns.
pub(super) const COLUMNS_LOW: u32 = 0;
/// Exp-Golomb order of the number of texts and of their lengths.
pub(super) const TEXTS_LOW: u32 = 3;

/// Bytes of a session table's id in front of the columns that refer to it.
pub(super) const ID_BYTES: usize = 8;

/// Field numbers of the message `Batch`. Those up to 7, and 10, are the header's, as in `rows.proto`.
pub(super) mod field {
    pub(in crate::compact) use crate::protobuf::schema::SEQS;

    pub(in crate::compact) const COLUMNS: u32 = 8;
    /// Id of the session table, followed by columns that refer to it.
    pub(in crate::compact) const TABLE_COLUMNS: u32 = 9;
    pub(in crate::compact) const TEXTS: u32 = 11;
    pub(in crate::compact) const PADDING: u32 = 12;
    #[cfg_attr(not(feature = "zstd"), allow(dead_code, reason = "only written with zstd"))]
    pub(in crate::compact) const ZSTD: u32 = 13;
}

/// Returns whether a batch has so many readings that four coder states, which take some bytes, are worthwhile. Decided by the numbers that a
/// reader knows at that point: of columns and of the first clock's instants.
pub(super) fn turns_pay(columns: usize, instants: usize) -> bool {
    columns.saturating_mul(instants) >= 64
}

/// Pads a message that has fewer than `least` bytes.
pub(super) fn pad(out: &mut Vec<u8>, least: usize) {
    if out.len() < least {
        let missing = (least - out.len()).saturating_sub(2);
        put_string(out, field::PADDING, &vec![0; missing]);
    }
}
