//! Layout that writer and reader share beside the columns: fields, codes' orders, and how small a batch may be.

use crate::protobuf::fields::put_string;

/// A batch has at most so many readings, and bytes of names, per byte, compressed or not: what a reader allocates is
/// bounded by its input.
pub(super) const PER_BYTE: usize = 32;

/// Order of the code for the number of columns.
pub(super) const COLUMNS_LOW: u32 = 0;
/// Order of the codes for the number of texts and for their lengths.
pub(super) const TEXTS_LOW: u32 = 3;

/// Bytes of a session table's id in front of the columns that refer to it.
pub(super) const ID_BYTES: usize = 8;

/// Fields of the message `Batch`; those up to 7, and 10, are the header's, as in `rows.proto`.
pub(super) mod field {
    pub(in crate::compact) use crate::protobuf::schema::SEQS;

    pub(in crate::compact) const COLUMNS: u32 = 8;
    /// Id of the session table, then columns that refer to it.
    pub(in crate::compact) const TABLE_COLUMNS: u32 = 9;
    pub(in crate::compact) const TEXTS: u32 = 11;
    pub(in crate::compact) const PADDING: u32 = 12;
    #[cfg_attr(not(feature = "zstd"), allow(dead_code, reason = "only written with zstd"))]
    pub(in crate::compact) const ZSTD: u32 = 13;
}

/// Returns whether a batch has so many readings that the bytes for more states do not count; by what is known of it where they
/// stand, the number of columns and the instants of the first clock.
pub(super) fn turns_pay(columns: usize, instants: usize) -> bool {
    columns.saturating_mul(instants) >= 64
}

/// Fills a message that has fewer than `least` bytes up with padding.
pub(super) fn pad(out: &mut Vec<u8>, least: usize) {
    if out.len() < least {
        let missing = (least - out.len()).saturating_sub(2);
        put_string(out, field::PADDING, &vec![0; missing]);
    }
}
