//! Frames (RFC 6455 §5) of a client, decoded in place: payload is moved over the headers before it, so that a connection needs no buffer for
//! them.

use std::io::Cursor;

use bytes::{BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Most bytes of a frame's header.
const HEADER_MAX: usize = 14;
/// Most bytes in a ping, a pong or a close.
pub(super) const CONTROL_MAX: usize = 125;

/// Most frames without MQTT payload, control frames included, that may come in excess of the allowed rate. Each costs as much as a small message,
/// but fills no buffer that would slow its sender down.
pub(super) const EMPTY_MAX: u32 = 100;

/// Decoder of a client's frames, which may be split anywhere.
#[derive(Debug)]
pub(super) struct FrameDecoder {
    /// Header that is not complete yet.
    header: [u8; HEADER_MAX],
    header_len: usize,
    /// Frame whose payload is being received; `None` between frames.
    frame: Option<Frame>,
    /// Set if the message continues in the next data frame.
    in_message: bool,
    frame_max: u64,
    /// Number of frames without payload that are still allowed.
    empty_left: u32,
    /// Last unanswered ping. Earlier ones need no answer (RFC 6455 §5.5.3).
    ping: Option<Bytes>,
    end: Option<End>,
}

/// Reason for which the client's frames end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Client closed the connection, with this code if it gave one.
    Closed(Option<u16>),
    /// Client broke a rule.
    Violated(Violation),
}

/// Rule that a client broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Violation {
    #[error("a frame of text, where MQTT has binary ones")]
    Text,
    #[error("a frame larger than the limit")]
    TooLarge,
    #[error("a frame that is not masked")]
    NotMasked,
    #[error("a frame that WebSocket does not have")]
    Protocol,
    #[error("a flood of frames that carry nothing")]
    Flood,
}

#[derive(Debug)]
struct Frame {
    mask: [u8; 4],
    left: u64,
    /// Payload of a control frame so far; `None` for a data frame.
    control: Option<(Control, BytesMut)>,
}

impl End {
    /// Returns the status code of the close frame in answer; `None` for a close without a code.
    pub(super) fn code(self) -> Option<u16> {
        match self {
            Self::Closed(code) => code,
            Self::Violated(Violation::Text) => Some(CloseCode::Unsupported.into()),
            Self::Violated(Violation::TooLarge) => Some(CloseCode::Size.into()),
            Self::Violated(Violation::Flood) => Some(CloseCode::Policy.into()),
            Self::Violated(Violation::NotMasked | Violation::Protocol) => Some(CloseCode::Protocol.into()),
        }
    }
}

impl FrameDecoder {
    pub(super) fn new(frame_max: u64) -> Self {
        Self {
            header: [0; HEADER_MAX],
            header_len: 0,
            frame: None,
            in_message: false,
            frame_max,
            empty_left: EMPTY_MAX,
            ping: None,
            end: None,
        }
    }

    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    pub(super) fn take_ping(&mut self) -> Option<Bytes> {
        self.ping.take()
    }

    /// Allows further frames without payload, up to [`EMPTY_MAX`] in all.
    pub(super) fn allow_empty(&mut self, frames: u32) {
        self.empty_left = self.empty_left.saturating_add(frames).min(EMPTY_MAX);
    }

    /// Moves the payload to the front of `bytes`, and returns its length. Bytes after the end of the stream are dropped.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let (mut at, mut kept) = (0, 0);
        while self.end.is_none() {
            let Some(frame) = &mut self.frame else {
                let Some(byte) = bytes.get(at) else { break };
                at += 1;
                self.header_byte(*byte);
                continue;
            };
            let rest = bytes.len() - at;
            let n = usize::try_from(frame.left).map_or(rest, |left| left.min(rest));
            let part = bytes.get_mut(at..at + n).unwrap_or_default();
            for (byte, mask) in part.iter_mut().zip(frame.mask.iter().cycle()) {
                *byte ^= mask;
            }
            frame.mask.rotate_left(n % 4);
            frame.left -= n as u64;
            match &mut frame.control {
                Some((_, payload)) => payload.extend_from_slice(part),
                None => {
                    bytes.copy_within(at..at + n, kept);
                    kept += n;
                }
            }
            at += n;
            if frame.left > 0 {
                break;
            }
            self.finish_frame();
        }
        kept
    }

    fn header_byte(&mut self, byte: u8) {
        if let Some(place) = self.header.get_mut(self.header_len) {
            *place = byte;
            self.header_len += 1;
        }
        let header = self.header.get(..self.header_len).unwrap_or_default();
        match FrameHeader::parse(&mut Cursor::new(header)) {
            Ok(Some((header, size))) => {
                let is_shortest = header.len(size) == std::mem::take(&mut self.header_len);
                let begun = if is_shortest { self.begin(&header, size) } else { Err(Violation::Protocol) };
                match begun {
                    Ok(frame) => self.frame = Some(frame),
                    Err(violation) => self.end = Some(End::Violated(violation)),
                }
            }
            Ok(None) => {}
            Err(_) => self.end = Some(End::Violated(Violation::Protocol)),
        }
    }

    fn begin(&mut self, header: &FrameHeader, size: u64) -> Result<Frame, Violation> {
        // Extensions that nobody agreed on.
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::Protocol);
        }
        let mask = header.mask.ok_or(Violation::NotMasked)?;
        let control = match header.opcode {
            OpCode::Data(Data::Text) => return Err(Violation::Text),
            OpCode::Data(Data::Binary) if !self.in_message => None,
            OpCode::Data(Data::Continue) if self.in_message => None,
            OpCode::Data(_) => return Err(Violation::Protocol),
            OpCode::Control(_) if !header.is_final || size > CONTROL_MAX as u64 => {
                return Err(Violation::Protocol);
            }
            OpCode::Control(control) => Some((control, BytesMut::new())),
        };
        if size > self.frame_max {
            return Err(Violation::TooLarge);
        }
        if control.is_none() {
            self.in_message = !header.is_final;
        }
        match control {
            None if size > 0 => self.allow_empty(1),
            _ => self.empty_left = self.empty_left.checked_sub(1).ok_or(Violation::Flood)?,
        }
        Ok(Frame { mask, left: size, control })
    }

    fn finish_frame(&mut self) {
        let Some(Frame { control: Some((control, payload)), .. }) = self.frame.take() else { return };
        match control {
            Control::Ping => self.ping = Some(payload.freeze()),
            Control::Close => {
                self.end = Some(match (payload.len(), payload.first_chunk()) {
                    (0, _) => End::Closed(None),
                    (_, Some(code)) if CloseCode::from(u16::from_be_bytes(*code)).is_allowed() => {
                        End::Closed(Some(u16::from_be_bytes(*code)))
                    }
                    _ => End::Violated(Violation::Protocol),
                });
            }
            Control::Pong | Control::Reserved(_) => {}
        }
    }
}

/// Appends a frame from the server.
pub(super) fn encode(opcode: OpCode, payload: &[u8], to: &mut BytesMut) {
    let header = FrameHeader { is_final: true, opcode, mask: None, ..FrameHeader::default() };
    let size = payload.len() as u64;
    to.reserve(header.len(size) + payload.len());
    // Memory takes everything.
    let _ = header.format(size, &mut to.writer());
    to.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
