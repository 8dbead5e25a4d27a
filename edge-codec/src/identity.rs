//! Identity of a batch, by which a hub recognises duplicates: a store that keeps it as a key is idempotent.

use std::fmt;
use std::str::FromStr;

/// Identity of the rows in a batch: they are `first_seq`, `first_seq + 1`, … of one lane of one gateway.
///
/// As text (the `id` of a JSON or CBOR batch) it is `gateway-lane-epoch-seq` in hexadecimal, the gateway with 16 digits and the rest without
/// leading zeros: `00c0ffee00000001-1-2a-3e8`. Exhaustive, so that a literal can list all fields.
///
/// ```
/// use edge_codec::BatchId;
///
/// let id = BatchId { gateway: 0xc0_ffee, lane: 1, epoch: 42, first_seq: 1_000 };
/// assert_eq!(id.to_string(), "0000000000c0ffee-1-2a-3e8");
/// assert_eq!("0000000000c0ffee-1-2a-3e8".parse(), Ok(id));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// Random number of the gateway.
    pub gateway: u64,
    /// Lane (priority class) in which the rows were queued.
    pub lane: u8,
    /// Epoch: number of the queue's start, which rises with every start.
    pub epoch: u32,
    /// Sequence number of the first row.
    pub first_seq: u64,
}

/// Header of a batch. Exhaustive, so that a literal can list all fields.
///
/// ```
/// use edge_codec::{BatchId, Header};
///
/// let id = BatchId { gateway: 1, lane: 0, epoch: 1, first_seq: 0 };
/// let header = Header { id: Some(id), pd: true };
/// assert_ne!(header, Header::default()); // nobody said who made it
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Identity of the batch; `None` if the sender gave none.
    pub id: Option<BatchId>,
    /// Mark "possible duplicate": the rows may have been sent before under another identity.
    pub pd: bool,
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{:x}-{:x}", self.gateway, self.lane, self.epoch, self.first_seq)
    }
}

impl BatchId {
    /// Returns the length of the text form without writing it, because encoders ask once per reading.
    #[cfg_attr(
        not(any(feature = "json", feature = "cbor")),
        allow(dead_code, reason = "Protobuf has the parts as numbers")
    )]
    pub(crate) fn text_len(&self) -> usize {
        let digits = |v: u64| (64 - v.leading_zeros()).div_ceil(4).max(1) as usize;
        16 + 3 + digits(self.lane.into()) + digits(self.epoch.into()) + digits(self.first_seq)
    }
}

/// Error for a text that is not `gateway-lane-epoch-seq` in hexadecimal, or has a part out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch id is not gateway-lane-epoch-seq in hexadecimal")]
pub struct ParseBatchIdError(());

impl FromStr for BatchId {
    type Err = ParseBatchIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-').map(hex);
        let mut next = || parts.next().flatten().ok_or(ParseBatchIdError(()));
        let narrow = |_| ParseBatchIdError(());
        let id = Self {
            gateway: next()?,
            lane: next()?.try_into().map_err(narrow)?,
            epoch: next()?.try_into().map_err(narrow)?,
            first_seq: next()?,
        };
        if parts.next().is_some() { Err(ParseBatchIdError(())) } else { Ok(id) }
    }
}

/// Returns the value of 1 to 16 hexadecimal digits; `None` for anything else. `from_str_radix` alone would accept a sign.
fn hex(digits: &str) -> Option<u64> {
    let plain = (1..=16).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back() {
        for id in [
            BatchId { gateway: 0, lane: 0, epoch: 0, first_seq: 0 },
            BatchId { gateway: u64::MAX, lane: 255, epoch: u32::MAX, first_seq: u64::MAX },
            BatchId { gateway: 0xc0_ffee_0000_0001, lane: 1, epoch: 42, first_seq: 1000 },
        ] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().len(), id.text_len());
        }
        let id = BatchId { gateway: 0xc0_ffee_0000_0001, lane: 1, epoch: 42, first_seq: 1000 };
        assert_eq!(id.to_string(), "00c0ffee00000001-1-2a-3e8");
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "1-2-3", "1-2-3-4-5", "1-2-3-", "+1-2-3-4", "1-100-3-4", "1-2-100000000-4", "g-1-1-1"]
        {
            assert!(bad.parse::<BatchId>().is_err(), "{bad}");
        }
    }
}
