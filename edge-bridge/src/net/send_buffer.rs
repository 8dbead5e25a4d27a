//! Send buffer of one connection, aware of packet boundaries, so that a clean close can drop waiting messages and still send DISCONNECT.

use bytes::{Buf, BytesMut};

use crate::send_pieces::free_if_large;
use crate::wire::{PacketType, frame};

/// Whole packets, except that a part of the first may have been written. They are contiguous, so that packets that wait together are sent in one
/// TLS record.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: BytesMut,
    /// Number of bytes at the front that belong to a partly written packet.
    begun: usize,
    /// Bytes of the packets other than PUBLISH of which nothing was written yet.
    answers: usize,
}

impl Outgoing {
    /// Appends whole packets to the buffer.
    pub(super) fn push(&mut self, packets: &[u8]) {
        let mut at = self.bytes.len();
        self.bytes.extend_from_slice(packets);
        while at < self.bytes.len() {
            let (packet, size) = self.packet_at(at);
            self.answers += answer_size(packet, size);
            at += size;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether a packet is partly written.
    pub(super) fn has_begun(&self) -> bool {
        self.begun > 0
    }

    /// Bytes of waiting packets other than messages, of which nothing was written yet.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes the first `n` bytes, because they were written.
    pub(super) fn advance(&mut self, n: usize) {
        while self.begun < n {
            let (packet, size) = self.packet_at(self.begun);
            self.answers = self.answers.saturating_sub(answer_size(packet, size));
            self.begun += size;
        }
        self.begun -= n;
        self.bytes.advance(n);
        free_if_large(&mut self.bytes);
    }

    /// Drops each PUBLISH of which nothing was written. Without a PUBACK it is sent again on a later connection.
    pub(super) fn drop_messages(&mut self) {
        let mut kept = BytesMut::from(self.bytes.get(..self.begun).unwrap_or_default());
        let mut at = self.begun;
        while at < self.bytes.len() {
            let (packet, size) = self.packet_at(at);
            if packet != Some(PacketType::Publish) {
                kept.extend_from_slice(self.bytes.get(at..at + size).unwrap_or_default());
            }
            at += size;
        }
        self.bytes = kept;
    }

    /// Returns the type and size of the packet that begins at `at`. Bytes that are no packet count as one, with all that follow.
    fn packet_at(&self, at: usize) -> (Option<PacketType>, usize) {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match frame(rest) {
            Some((packet, size)) => (Some(packet), size.min(rest.len())),
            None => (None, rest.len().max(1)),
        }
    }
}

fn answer_size(packet: Option<PacketType>, size: usize) -> usize {
    if packet == Some(PacketType::Publish) { 0 } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PUBLISH at QoS 0 to "t" with `size` bytes of payload.
    fn publish(size: u8) -> Vec<u8> {
        let mut packet = vec![0x30, 4 + size, 0, 1, b't', 0];
        packet.extend(std::iter::repeat_n(b'x', size.into()));
        packet
    }

    const PUBACK: &[u8] = &[0x40, 2, 0, 1];
    const DISCONNECT: &[u8] = &[0xe0, 0];

    #[test]
    fn a_message_that_was_begun_stays_wherever_the_cut_is() {
        let (first, second) = (publish(5), publish(100));
        let whole = [&first, PUBACK, &second, DISCONNECT].concat();
        let (one, two) = (first.len(), first.len() + PUBACK.len());
        let three = two + second.len();
        for written in 0..whole.len() {
            for step in [1, 7, 50] {
                let mut out = Outgoing::default();
                out.push(&whole);
                let mut left = written;
                while left > 0 {
                    let n = left.min(step);
                    out.advance(n);
                    left -= n;
                }
                out.drop_messages();
                let begun = match written {
                    0 => [PUBACK, DISCONNECT].concat(),
                    n if n < one => [&first[n..], PUBACK, DISCONNECT].concat(),
                    n if n <= two => [&whole[n..two], DISCONNECT].concat(),
                    n if n < three => whole[n..].to_vec(),
                    n => whole[n..].to_vec(),
                };
                assert_eq!(out.bytes(), begun, "{written} in steps of {step}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_packet_are_kept_and_end_nothing() {
        let mut out = Outgoing::default();
        out.push(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        out.advance(3);
        out.drop_messages();
        assert_eq!(out.bytes(), [0xff, 0xff, 0xff, 1]);
        out.advance(4);
        assert!(out.is_empty());
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        for messages in (600..2_000).step_by(50) {
            let mut out = Outgoing::default();
            for _ in 0..messages {
                out.push(&publish(120));
            }
            out.advance(out.bytes().len());
            assert!(!out.bytes.try_reclaim(70_000), "after {messages} messages");
        }
    }

    #[test]
    fn answers_count_until_they_are_begun() {
        let mut out = Outgoing::default();
        let message = publish(5);
        out.push(&[&message, PUBACK, PUBACK].concat());
        out.push(DISCONNECT);
        let mut counts = vec![out.answers()];
        for n in [message.len(), 1, 3, 4, 2] {
            out.advance(n);
            counts.push(out.answers());
        }
        assert_eq!(counts, [10, 10, 6, 6, 2, 0]);
    }
}
