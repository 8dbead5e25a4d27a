//! Variable Byte Integers (§1.5.5): seven bits per byte, the low ones first, at most four bytes.

use bytes::{BufMut, BytesMut};

use super::DecodeErrorKind;

/// Largest value that four bytes can express.
pub(crate) const MAX: u32 = 268_435_455;

/// Reads the value at the start of `bytes`, and the number of its bytes; `None` if `bytes` end within it. `minimal` refuses more bytes than
/// the value needs (\[MQTT-1.5.5-1\]).
#[inline]
pub(crate) fn read(bytes: &[u8], minimal: bool) -> Result<Option<(u32, usize)>, DecodeErrorKind> {
    // Nearly all are of one byte.
    if let Some(byte) = bytes.first()
        && byte & 0x80 == 0
    {
        return Ok(Some((u32::from(*byte), 1)));
    }
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            if minimal && *byte == 0 && at > 0 {
                return Err(DecodeErrorKind::VarintNotMinimal);
            }
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 4 { Err(DecodeErrorKind::VarintTooLong) } else { Ok(None) }
}

/// Number of bytes that `value` takes.
pub(crate) const fn len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Appends `value`. The caller has checked that it is at most [`MAX`].
pub(crate) fn write(mut value: u32, out: &mut BytesMut) {
    debug_assert!(value <= MAX);
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_borders_of_table_1_1() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xff, 0xff, 0x7f]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (MAX, &[0xff, 0xff, 0xff, 0x7f]),
        ] {
            let mut out = BytesMut::new();
            write(value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(len(value), bytes.len());
            assert_eq!(read(bytes, true), Ok(Some((value, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut], true), Ok(None));
            }
        }
    }

    #[test]
    fn refuses_a_fifth_byte_and_a_longer_form_than_needed() {
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80], true), Err(DecodeErrorKind::VarintTooLong));
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x80, 0x01], false), Err(DecodeErrorKind::VarintTooLong));
        assert_eq!(read(&[0x80, 0x00], true), Err(DecodeErrorKind::VarintNotMinimal));
        assert_eq!(read(&[0x80, 0x00], false), Ok(Some((0, 2))));
    }
}
