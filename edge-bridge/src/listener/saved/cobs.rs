//! Consistent overhead byte stuffing (COBS): bytes in a form without zeros, so that a zero can stand between them and be searched for. Whatever
//! the bytes are, it takes one byte more, and one for each 254 of them at most.
//!
//! Each group begins with its length, 1 to 255. A zero follows it in the bytes, unless it is the last group, or one of 254 bytes, the most.
#![deny(clippy::indexing_slicing)]

/// Most bytes of a group behind its length.
const RUN_MAX: usize = 254;
/// Length of a full group, behind which there is no zero.
const FULL: u8 = 255;

/// Returns the most bytes of the form of `bytes` bytes.
pub(super) const fn size(bytes: usize) -> usize {
    bytes + 1 + bytes / RUN_MAX
}

/// Appends the form without zeros.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for mut run in bytes.split(|byte| *byte == 0) {
        while let Some((full, rest)) = run.split_at_checked(RUN_MAX) {
            out.push(FULL);
            out.extend_from_slice(full);
            run = rest;
        }
        // Shorter than a full group.
        out.push(u8::try_from(run.len() + 1).unwrap_or(FULL));
        out.extend_from_slice(run);
    }
}

/// Appends the bytes of such a form. `None` if it is none; what comes before the first wrong place is appended then.
pub(super) fn decode(mut chunk: &[u8], out: &mut Vec<u8>) -> Option<()> {
    loop {
        let (length, rest) = chunk.split_first()?;
        let (run, rest) = rest.split_at_checked(usize::from(*length).checked_sub(1)?)?;
        out.extend_from_slice(run);
        if *length != FULL {
            if rest.is_empty() {
                return Some(());
            }
            out.push(0);
        }
        chunk = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_their_form_has_no_zero_and_a_bounded_size() {
        for length in [0, 1, 2, 253, 254, 255, 256, 507, 508, 509, 1_000] {
            for zeros in [1, 2, 3, 100, 253, 254, 255, 256, 2_000] {
                let bytes: Vec<u8> = (1..=length).map(|n| if n % zeros == 0 { 0 } else { 7 }).collect();
                let (mut chunk, mut back) = (Vec::new(), Vec::new());
                encode(&bytes, &mut chunk);
                assert!(!chunk.contains(&0) && chunk.len() <= size(bytes.len()), "{length} {zeros}");
                assert_eq!(decode(&chunk, &mut back), Some(()));
                assert_eq!(back, bytes, "{length} {zeros}");
            }
        }
    }

    #[test]
    fn what_is_no_such_form_is_refused() {
        for chunk in [&b""[..], b"\0", b"\x03a", b"\x01\0", b"\xff", &[FULL; 255]] {
            assert_eq!(decode(chunk, &mut Vec::new()), None, "{chunk:?}");
        }
    }
}
