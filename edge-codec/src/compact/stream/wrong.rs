//! Errors of a stream of bits; the place is where its reader stands.

use super::bits::BitReader;
use crate::DecodeError;
use crate::protobuf::fields::malformed;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wrong {
    What(&'static str),
    /// The limited thing, the limit, and the number found.
    Limit(&'static str, usize, u64),
    /// The stream ends too early.
    End,
}

impl Wrong {
    /// The error, for a stream that starts at `offset` of the input.
    pub(crate) fn at(self, offset: usize, bits: &BitReader<'_>) -> DecodeError {
        let place = offset.saturating_add(bits.byte());
        match self {
            Wrong::Limit(what, limit, found) => DecodeError::Limit { what, offset: place, limit, found },
            // Zeros behind the end make no sense; that they are behind the end is the reason.
            Wrong::What(what) if !bits.overrun() => malformed(place, what),
            Wrong::What(_) | Wrong::End => DecodeError::Truncated { offset: place, needed: 1 },
        }
    }
}

/// A number that stands in the stream less 1.
pub(crate) fn limited(what: &'static str, less_one: u64, limit: usize) -> Result<usize, Wrong> {
    let found = less_one.saturating_add(1);
    let number = usize::try_from(found).ok().filter(|n| *n <= limit);
    number.ok_or(Wrong::Limit(what, limit, found))
}

/// Checks that so many more may come.
pub(crate) fn limited_sum(what: &'static str, so_far: usize, more: usize, limit: usize) -> Result<(), Wrong> {
    let found = so_far.saturating_add(more);
    if found <= limit { Ok(()) } else { Err(Wrong::Limit(what, limit, found as u64)) }
}
