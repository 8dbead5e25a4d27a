//! [`Level::Small`](super::Level::Small): Zstandard around a message, if that is smaller.

#![deny(clippy::indexing_slicing)]

use crate::{DecodeError, Limits};

/// The message, or one of `least` bytes or more with the other compressed in it.
#[cfg(feature = "zstd")]
pub(super) fn smaller(message: Vec<u8>, least: usize) -> Vec<u8> {
    use super::layout::field::ZSTD;
    const LEVEL: i32 = 19;
    let Ok(compressed) = zstd::bulk::compress(&message, LEVEL) else { return message };
    let mut out = Vec::with_capacity(compressed.len() + 6);
    crate::protobuf::fields::put_string(&mut out, ZSTD, &compressed);
    super::layout::pad(&mut out, least);
    let fits = message.len() <= out.len().saturating_mul(crate::limits::RATIO);
    if fits && out.len() < message.len() { out } else { message }
}

#[cfg(not(feature = "zstd"))]
pub(super) fn smaller(message: Vec<u8>, _: usize) -> Vec<u8> {
    message
}

/// The compressed message at `offset` of an input of `input_len` bytes. Its size is checked before there is memory for it.
#[cfg(feature = "zstd")]
pub(super) fn unpack(
    compressed: &[u8],
    offset: usize,
    input_len: usize,
    limits: &Limits,
) -> Result<Vec<u8>, DecodeError> {
    use crate::protobuf::fields::malformed;
    let claimed = zstd::zstd_safe::get_frame_content_size(compressed);
    let Ok(Some(claimed)) = claimed else { return Err(malformed(offset, "Zstandard frame without a size")) };
    let over = |what, limit, found| Err(DecodeError::Limit { what, offset, limit, found });
    let ratio = claimed.div_ceil(input_len.max(1) as u64);
    if ratio > limits.ratio as u64 {
        return over("decompression ratio", limits.ratio, ratio);
    }
    let Some(size) = usize::try_from(claimed).ok().filter(|size| *size <= limits.bytes) else {
        return over("decompressed bytes", limits.bytes, claimed);
    };
    let unpacked = zstd::bulk::decompress(compressed, size);
    let unpacked = unpacked.map_err(|e| DecodeError::Malformed { offset, what: e.to_string().into() })?;
    if unpacked.len() == size {
        Ok(unpacked)
    } else {
        Err(malformed(offset, "Zstandard frame of another size"))
    }
}

#[cfg(not(feature = "zstd"))]
pub(super) fn unpack(_: &[u8], _: usize, _: usize, _: &Limits) -> Result<Vec<u8>, DecodeError> {
    Err(DecodeError::NotBuilt { feature: "zstd" })
}
