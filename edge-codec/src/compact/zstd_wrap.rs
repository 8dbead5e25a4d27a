//! Zstandard around a message ([`Level::Small`](super::Level::Small)), if that makes it smaller.

#![deny(clippy::indexing_slicing)]

use crate::{DecodeError, Limits};

/// Size above which a message is not compressed: a multiple of the bytes that a batch may have, and a constant. Compression at this level takes
/// about 0.5 s per MiB, and a batch cut tries several messages.
#[cfg(feature = "zstd")]
const TRIED: (usize, usize) = (8, 16 << 10);

/// Returns the message itself, or a message of at least `least` bytes that contains it compressed, if that is shorter. `max`: allowed size of a
/// batch in bytes.
#[cfg(feature = "zstd")]
pub(super) fn smaller(message: Vec<u8>, least: usize, max: usize) -> Vec<u8> {
    use super::layout::field::ZSTD;
    const LEVEL: i32 = 19;
    if message.len() > max.saturating_mul(TRIED.0).saturating_add(TRIED.1) {
        return message;
    }
    #[cfg(test)]
    COMPRESSED.with(|bytes| bytes.set(bytes.get() + message.len()));
    let Ok(compressed) = zstd::bulk::compress(&message, LEVEL) else { return message };
    let mut out = Vec::with_capacity(compressed.len() + 6);
    crate::protobuf::fields::put_string(&mut out, ZSTD, &compressed);
    super::layout::pad(&mut out, least);
    let fits = message.len() <= out.len().saturating_mul(crate::limits::RATIO);
    if fits && out.len() < message.len() { out } else { message }
}

#[cfg(not(feature = "zstd"))]
pub(super) fn smaller(message: Vec<u8>, _: usize, _: usize) -> Vec<u8> {
    message
}

/// Decompresses the message that stands at `offset` of an input of `input_len` bytes. Its size is checked before memory is allocated.
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
    if zstd::zstd_safe::find_frame_compressed_size(compressed) != Ok(compressed.len()) {
        return Err(malformed(offset, "not one whole Zstandard frame"));
    }
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

#[cfg(all(test, feature = "zstd"))]
thread_local! {
    /// Bytes that were given to the compressor.
    static COMPRESSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use super::*;
    use crate::compact::{Encoder, Level};
    use crate::{Reading, Value};

    /// Every text is another one, so that they are most of a batch. Without a bound each trial compressed most of
    /// what waits.
    #[test]
    fn a_cut_compresses_some_batches_not_all_that_waits() {
        const MAX: usize = 16_184;
        let mut encoder = Encoder::numbered().level(Level::Small);
        for n in 0..20_000_u32 {
            let text = format!("pump {} in hall {} reports state {n}", n % 7, n % 13);
            let reading =
                Reading { sensor: n % 5, time: n.into(), value: Value::Text(text.into()), quality: 0 };
            encoder.push(&reading).unwrap();
        }
        let (mut bytes, mut batches) = (0, 0);
        while !encoder.is_empty() {
            COMPRESSED.with(|bytes| bytes.set(0));
            let batch = encoder.finish_under(MAX).unwrap();
            let compressed = COMPRESSED.with(std::cell::Cell::get);
            assert!(batch.len() <= MAX && compressed <= 64 * MAX, "{compressed} bytes for {}", batch.len());
            (bytes, batches) = (bytes + batch.len(), batches + 1);
        }
        let least = bytes / MAX + 1;
        // These shrink to a twentieth; what is beyond an eighth is given up.
        assert!(batches <= 2 * least, "{batches} batches for {bytes} bytes");
    }

    /// Each text holds a number that cannot be guessed, so that a batch that is estimated from others is a little too large each time.
    #[test]
    fn a_cut_of_texts_that_hardly_shrink_compresses_a_few_batches_too() {
        let mut encoder = Encoder::numbered().level(Level::Small);
        for n in 0..10_000_u32 {
            let text = format!("text number {n} {:x}", n.wrapping_mul(2_654_435_761));
            let reading = Reading { sensor: 0, time: n.into(), value: Value::Text(text.into()), quality: 0 };
            encoder.push(&reading).unwrap();
        }
        for max in [16_184, 50_000] {
            COMPRESSED.with(|bytes| bytes.set(0));
            let batch = encoder.finish_under(max).unwrap();
            let compressed = COMPRESSED.with(std::cell::Cell::get);
            assert!(compressed <= 64 * max, "{compressed} bytes for {}", batch.len());
            assert!(batch.len() > max / 2, "{} bytes of {max}", batch.len());
        }
    }
}
