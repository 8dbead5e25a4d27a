//! Frames: `length u32 big-endian | payload`, one after the other, nothing before, between or after them.
//!
//! A length is below 16 MiB, so the first byte of a stream of frames is 0. No payload of any of our formats begins with 0
//! (Protobuf has no field 0, CBOR's is an array or a map, JSON's is text): so one payload without a frame is told from
//! frames by its first byte. The payloads of raw routes are anything: one that begins with 0 is read if it is in a frame.

use std::io::{self, BufRead, Read, Write};

/// Most bytes of one payload.
pub(crate) const PAYLOAD_BYTES_MAX: usize = (1 << 24) - 1;

/// A frame, or a payload that stands alone.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Offset of the payload's first byte in the stream.
    pub(crate) offset: u64,
    pub(crate) payload: Vec<u8>,
}

/// Reasons why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error(
        "frame {number} at byte {offset}: its length {length} is over the limit of {PAYLOAD_BYTES_MAX}: what follows cannot be found"
    )]
    TooLong { number: u64, offset: u64, length: u32 },
    #[error("frame {number} at byte {offset}: the input ends after {found} of {needed} bytes")]
    Cut { number: u64, offset: u64, found: u64, needed: u64 },
    #[error("the payload is over the limit of {PAYLOAD_BYTES_MAX} bytes")]
    PayloadTooLong,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads frame by frame: its memory is that of the largest.
pub(crate) struct Frames<R> {
    input: R,
    number: u64,
    offset: u64,
    ended: bool,
}

impl<R: BufRead> Frames<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, number: 0, offset: 0, ended: false }
    }

    /// Returns the next frame; `None` at the end, and after an error.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.ended {
            return Ok(None);
        }
        self.number += 1;
        let next = if self.number == 1 && self.input.fill_buf()?.first().is_some_and(|byte| *byte != 0) {
            self.ended = true;
            self.alone().map(Some)
        } else {
            self.framed()
        };
        self.ended |= !matches!(next, Ok(Some(_)));
        next
    }

    fn alone(&mut self) -> Result<Frame, FrameError> {
        let mut payload = Vec::new();
        let most = PAYLOAD_BYTES_MAX as u64 + 1;
        self.input.by_ref().take(most).read_to_end(&mut payload)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(FrameError::PayloadTooLong);
        }
        Ok(Frame { number: 1, offset: 0, payload })
    }

    fn framed(&mut self) -> Result<Option<Frame>, FrameError> {
        let (number, offset) = (self.number, self.offset);
        let cut = |found: usize, needed: u64| FrameError::Cut { number, offset, found: found as u64, needed };
        let mut head = Vec::with_capacity(4);
        self.input.by_ref().take(4).read_to_end(&mut head)?;
        let Ok(head) = <[u8; 4]>::try_from(head.as_slice()) else {
            return if head.is_empty() { Ok(None) } else { Err(cut(head.len(), 4)) };
        };
        let length = u32::from_be_bytes(head);
        if length as usize > PAYLOAD_BYTES_MAX {
            return Err(FrameError::TooLong { number, offset, length });
        }
        // Grows with what is there, not with what is claimed.
        let mut payload = Vec::new();
        self.input.by_ref().take(length.into()).read_to_end(&mut payload)?;
        if payload.len() < length as usize {
            return Err(cut(4 + payload.len(), 4 + u64::from(length)));
        }
        self.offset += 4 + u64::from(length);
        Ok(Some(Frame { number, offset, payload }))
    }
}

/// Writes one frame.
pub(crate) fn write(out: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).ok().filter(|length| *length as usize <= PAYLOAD_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a batch is too large for a frame"))?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> (Vec<(u64, Vec<u8>)>, Option<String>) {
        let mut frames = Frames::new(input);
        let mut found = Vec::new();
        loop {
            match frames.next() {
                Ok(Some(frame)) => found.push((frame.offset, frame.payload)),
                Ok(None) => return (found, None),
                Err(error) => {
                    assert!(frames.next().unwrap().is_none(), "nothing after an error");
                    return (found, Some(error.to_string()));
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read_and_a_payload_alone_is_told_by_its_first_byte() {
        let mut bytes = Vec::new();
        for payload in [&b"one"[..], b"", b"three"] {
            write(&mut bytes, payload).unwrap();
        }
        let expected = vec![(0, b"one".to_vec()), (7, Vec::new()), (11, b"three".to_vec())];
        assert_eq!(all(&bytes), (expected, None));
        assert_eq!(all(b"{\"x\":1}"), (vec![(0, b"{\"x\":1}".to_vec())], None));
        assert_eq!(all(b""), (Vec::new(), None));
        assert!(write(&mut Vec::new(), &vec![0; PAYLOAD_BYTES_MAX + 1]).is_err());
    }

    /// Promise 12.
    #[test]
    fn every_cut_and_every_length_is_an_end_or_an_error_with_its_place() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"abc").unwrap();
        write(&mut bytes, b"defg").unwrap();
        for end in 0..bytes.len() {
            let (found, error) = all(&bytes[..end]);
            assert_eq!(error.is_none(), end == 0 || end == 7, "{end}");
            assert_eq!(found.len(), usize::from(end >= 7), "{end}");
        }
        assert_eq!(all(&bytes[..9]).1.unwrap(), "frame 2 at byte 7: the input ends after 2 of 4 bytes");
        let long = [&bytes[..7], &[0xff; 5]].concat();
        assert!(all(&long).1.unwrap().contains("frame 2 at byte 7: its length 4294967295"));
        let (_, error) = all(&[0, 0xff, 0xff, 0xff, 1]);
        assert!(error.unwrap().contains("after 5 of 16777219"), "and no memory for what is not there");
    }
}
