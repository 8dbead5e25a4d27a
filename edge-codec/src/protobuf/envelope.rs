//! Envelope of the rows and the columns layout: version, identity, base time and sequence runs, under the same field numbers.

#![deny(clippy::indexing_slicing)]

use super::VERSION;
use super::fields::{Fields, malformed, put_packed, shifted, varint_len};
use super::schema::{Head, SEQS};
use crate::seq_runs::Runs;
use crate::{BatchId, DecodeError, Header, Limits};
use prost::Message;

fn to_head(header: &Header, base_time: i64) -> Head {
    Head {
        version: VERSION.into(),
        gateway: header.id.map(|id| id.gateway),
        lane: header.id.map(|id| id.lane.into()),
        epoch: header.id.map(|id| id.epoch.into()),
        first_seq: header.id.map(|id| id.first_seq),
        pd: header.pd,
        base_time,
    }
}

/// Encodes the fields before sensors and readings.
pub(super) fn head(header: &Header, base_time: i64) -> Vec<u8> {
    to_head(header, base_time).encode_to_vec()
}

/// Encodes the fields before sensors and readings, for a layout that has no version and no base time there.
#[cfg(feature = "compact")]
pub(crate) fn head_without_version(header: &Header) -> Vec<u8> {
    Head { version: 0, ..to_head(header, 0) }.encode_to_vec()
}

/// Reads the header of a message without a version.
#[cfg(feature = "compact")]
pub(crate) fn read_without_version(input: &[u8]) -> Result<Header, DecodeError> {
    let head = Head::decode(input).map_err(|e| refused(0, &e))?;
    if head.version != 0 {
        return Err(DecodeError::Version { offset: 0, found: head.version, supported: 0 });
    }
    Ok(Header { id: identity(&head)?, pd: head.pd })
}

/// Returns the length of [`head`] and [`put_runs`] together, in bytes.
pub(super) fn len(header: &Header, base_time: i64, runs: &Runs) -> usize {
    let runs = runs.size().map_or(0, |(_, bytes)| 1 + varint_len(bytes as u64) + bytes);
    to_head(header, base_time).encoded_len() + runs
}

/// Appends the sequence runs as a packed array; nothing if the batch has no hole.
pub(crate) fn put_runs(out: &mut Vec<u8>, runs: &Runs) {
    if runs.size().is_some() {
        put_packed(out, SEQS, runs.numbers());
    }
}

/// Reads header and base time of a batch. Refuses another version than ours.
pub(super) fn read(input: &[u8]) -> Result<(Header, i64), DecodeError> {
    let head = Head::decode(input).map_err(|e| refused(0, &e))?;
    if head.version != u64::from(VERSION) {
        return Err(DecodeError::Version { offset: 0, found: head.version, supported: VERSION.into() });
    }
    Ok((Header { id: identity(&head)?, pd: head.pd }, head.base_time))
}

fn identity(head: &Head) -> Result<Option<BatchId>, DecodeError> {
    match (head.gateway, head.lane, head.epoch, head.first_seq) {
        (None, None, None, None) => Ok(None),
        (Some(gateway), Some(lane), Some(epoch), Some(first_seq)) => {
            let lane = lane.try_into().map_err(|_| malformed(0, "lane is above 255"))?;
            let epoch = epoch.try_into().map_err(|_| malformed(0, "epoch is above 32 bits"))?;
            Ok(Some(BatchId { gateway, lane, epoch, first_seq }))
        }
        _ => Err(malformed(0, "identity is incomplete")),
    }
}

/// Reads the run lengths, packed or not, as every reader must (Protobuf encoding, "Packed Repeated Fields"). `None`: the batch has none.
pub(crate) fn runs(input: &[u8], limits: &Limits) -> Result<Option<Vec<u64>>, DecodeError> {
    let mut runs = Vec::new();
    let mut fields = Fields::new(input);
    while let Some(field) = fields.next()? {
        if field.number != SEQS {
            continue;
        }
        let mut numbers = field.content.map(Fields::new);
        match (&mut numbers, field.varint) {
            (Some(packed), _) => {
                while !packed.at_end() {
                    runs.push(packed.varint().map_err(|e| shifted(e, field.offset))?);
                    crate::seq_runs::check_runs(field.offset, runs.len(), limits)?;
                }
            }
            (None, Some(number)) => runs.push(number),
            (None, None) => return Err(malformed(field.offset, "seqs are not varints")),
        }
        crate::seq_runs::check_runs(field.offset, runs.len(), limits)?;
    }
    Ok((!runs.is_empty()).then_some(runs))
}

fn refused(offset: usize, error: &prost::DecodeError) -> DecodeError {
    DecodeError::Malformed { offset, what: error.to_string().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs and holes that no test could fill with readings.
    #[test]
    fn runs_of_every_length_are_written_with_their_length() {
        for bits in 0..64 {
            for number in [(1_u64 << bits).saturating_sub(1).max(1), 1 << bits, u64::MAX >> bits] {
                for numbers in [[number, 1, 1], [1, number, 1], [1, 1, number], [number; 3]] {
                    let runs = Runs::of(&numbers, varint_len);
                    let mut out = Vec::new();
                    put_runs(&mut out, &runs);
                    assert_eq!(
                        out.len() + head(&Header::default(), 0).len(),
                        len(&Header::default(), 0, &runs)
                    );
                    assert_eq!(self::runs(&out, &Limits::default()), Ok(Some(numbers.to_vec())));
                    // What a caller thinks that a number takes is not what is written.
                    let mut again = Vec::new();
                    put_runs(&mut again, &Runs::of(&numbers, |_| 1));
                    assert_eq!(again, out);
                }
            }
        }
    }
}
