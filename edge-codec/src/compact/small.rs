//! [`Level::Small`](super::Level::Small): Zstandard around a message, if that is smaller.

#![deny(clippy::indexing_slicing)]

use crate::DecodeError;

/// The message, or a message with the other compressed in it.
#[cfg(feature = "zstd")]
pub(super) fn smaller(message: Vec<u8>) -> Vec<u8> {
    use super::field::ZSTD;
    const LEVEL: i32 = 19;
    let Ok(compressed) = zstd::bulk::compress(&message, LEVEL) else { return message };
    let mut out = Vec::with_capacity(compressed.len() + 6);
    super::table::put_bytes(&mut out, ZSTD, &compressed);
    let fits = message.len() <= out.len().saturating_mul(super::READINGS_PER_BYTE);
    if fits && out.len() < message.len() { out } else { message }
}

#[cfg(not(feature = "zstd"))]
pub(super) fn smaller(message: Vec<u8>) -> Vec<u8> {
    message
}

/// The compressed message at `offset`, of at most `limit` bytes.
#[cfg(feature = "zstd")]
pub(super) fn unpack(compressed: &[u8], offset: usize, limit: usize) -> Result<Vec<u8>, DecodeError> {
    use crate::protobuf::fields::malformed;
    let claimed = zstd::zstd_safe::get_frame_content_size(compressed);
    let Ok(Some(claimed)) = claimed else { return Err(malformed(offset, "Zstandard frame without a size")) };
    let size = usize::try_from(claimed).ok().filter(|size| *size <= limit);
    let Some(size) = size else {
        return Err(DecodeError::Limit { what: "decompressed bytes", offset, limit, found: claimed });
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
pub(super) fn unpack(_: &[u8], _: usize, _: usize) -> Result<Vec<u8>, DecodeError> {
    Err(DecodeError::NotBuilt { feature: "zstd" })
}
