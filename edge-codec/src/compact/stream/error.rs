//! Errors of the bit stream. Their offset is the byte that the reader has reached.

use super::bits::BitReader;
use crate::DecodeError;
use crate::protobuf::fields::malformed;

#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamError {
    What(&'static str),
    /// The limited thing, the limit, and the number found.
    Limit(&'static str, usize, u64),
    /// The stream ends too early.
    End,
}

impl StreamError {
    /// Returns the error for a stream that starts at `offset` of the input.
    pub(crate) fn at(self, offset: usize, bits: &BitReader<'_>) -> DecodeError {
        let place = offset.saturating_add(bits.byte());
        match self {
            StreamError::Limit(what, limit, found) => {
                DecodeError::Limit { what, offset: place, limit, found }
            }
            // Zeros behind the end make no sense; that they are behind the end is the reason.
            StreamError::What(what) if !bits.overrun() => malformed(place, what),
            StreamError::What(_) | StreamError::End => DecodeError::Truncated { offset: place, needed: 1 },
        }
    }
}

/// Returns a number that the stream stores less 1, if it is within the limit.
pub(crate) fn limited(what: &'static str, less_one: u64, limit: usize) -> Result<usize, StreamError> {
    let found = less_one.saturating_add(1);
    let number = usize::try_from(found).ok().filter(|n| *n <= limit);
    number.ok_or(StreamError::Limit(what, limit, found))
}

/// Checks that `more` beside `so_far` stay within the limit.
pub(crate) fn limited_sum(
    what: &'static str,
    so_far: usize,
    more: usize,
    limit: usize,
) -> Result<(), StreamError> {
    let found = so_far.saturating_add(more);
    if found <= limit { Ok(()) } else { Err(StreamError::Limit(what, limit, found as u64)) }
}
