//! Cursor over one whole packet. Reads every field type of §1.5, and gives errors the offset of the field.

use bytes::{Buf, Bytes};

use super::{
    DecodeError, DecodeErrorKind, Limits, PacketId, PacketType, Properties, Utf8, Version, string, topic,
    varint,
};

/// Reads one packet. Fields that keep bytes are slices of `frame`.
#[derive(Debug)]
pub(crate) struct Reader<'l> {
    frame: Bytes,
    at: usize,
    pub(crate) packet: PacketType,
    pub(crate) version: Version,
    pub(crate) limits: &'l Limits,
}

impl<'l> Reader<'l> {
    /// Creates a reader that begins with the variable header, at the offset `at` in `frame`.
    pub(crate) fn new(
        frame: Bytes,
        at: usize,
        packet: PacketType,
        version: Version,
        limits: &'l Limits,
    ) -> Self {
        Self { frame, at, packet, version, limits }
    }

    /// Offset of the next field in the packet.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Number of bytes that were not read yet.
    pub(crate) fn left(&self) -> usize {
        self.frame.len().saturating_sub(self.at)
    }

    /// Ends the reading. Bytes that are left over are an error.
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => fail(DecodeErrorKind::TrailingBytes(left), self.at),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        let at = self.at;
        PacketId::new(self.u16()?).ok_or(DecodeError { kind: DecodeErrorKind::PacketIdZero, offset: at })
    }

    /// Reads binary data (§1.5.6).
    pub(crate) fn binary(&mut self) -> Result<Bytes, DecodeError> {
        let len = usize::from(self.u16()?);
        self.bytes(len)
    }

    pub(crate) fn utf8(&mut self) -> Result<Utf8, DecodeError> {
        self.text(|_| Ok(()))
    }

    /// A topic name within the limits; may be empty if `may_be_empty`.
    pub(crate) fn topic_name(&mut self, may_be_empty: bool) -> Result<Utf8, DecodeError> {
        let limits = self.limits;
        self.text(|name| {
            if may_be_empty && name.is_empty() {
                return Ok(());
            }
            topic::check_name(name.as_bytes())
                .and_then(|()| topic::check_limits(name.as_bytes(), limits))
                .map_err(DecodeErrorKind::TopicName)
        })
    }

    /// Reads a topic filter within the limits. In MQTT 5 a shared one must have the form of one.
    pub(crate) fn topic_filter(&mut self) -> Result<Utf8, DecodeError> {
        let (limits, version) = (self.limits, self.version);
        self.text(|filter| {
            topic::check_filter(filter, version)
                .and_then(|()| topic::check_limits(filter.as_bytes(), limits))
                .map_err(DecodeErrorKind::TopicFilter)
        })
    }

    /// Reads properties that may occur in this packet; empty in 3.1.1.
    pub(crate) fn properties(&mut self) -> Result<Properties, DecodeError> {
        let at = self.at;
        let properties = self.any_properties()?;
        properties.check_for(self.packet).map_err(|kind| DecodeError { kind, offset: at })?;
        Ok(properties)
    }

    /// Reads the will properties of a CONNECT; empty in 3.1.1.
    pub(crate) fn will_properties(&mut self) -> Result<Properties, DecodeError> {
        let at = self.at;
        let properties = self.any_properties()?;
        properties.check_for_will().map_err(|kind| DecodeError { kind, offset: at })?;
        Ok(properties)
    }

    /// Takes all bytes that are left, as the payload of a PUBLISH.
    pub(crate) fn rest(&mut self) -> Bytes {
        // The last field takes the frame itself: one reference count less to move than a slice of it.
        let mut rest = std::mem::take(&mut self.frame);
        rest.advance(std::mem::take(&mut self.at).min(rest.len()));
        rest
    }

    fn any_properties(&mut self) -> Result<Properties, DecodeError> {
        if self.version == Version::V311 {
            return Ok(Properties::default());
        }
        let at = self.at;
        let (len, used) = varint::read(self.unread(), true)
            .map_err(|kind| DecodeError { kind, offset: at })?
            .ok_or(DecodeError { kind: DecodeErrorKind::Truncated, offset: self.frame.len() })?;
        self.at += used;
        let start = self.at;
        let raw = self.bytes(len as usize)?;
        Properties::parse(raw, self.limits.max_user_properties, self.limits.drop_bad_response_topic)
            .map_err(|(kind, inner)| DecodeError { kind, offset: start + inner })
    }

    fn text(&mut self, check: impl FnOnce(&str) -> Result<(), DecodeErrorKind>) -> Result<Utf8, DecodeError> {
        let at = self.at;
        let bytes = self.binary()?;
        string::check(&bytes)
            .map_err(DecodeErrorKind::String)
            .and_then(check)
            .map_err(|kind| DecodeError { kind, offset: at })?;
        Ok(Utf8::from_checked(bytes))
    }

    fn bytes(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.left() {
            return fail(DecodeErrorKind::Truncated, self.frame.len());
        }
        let bytes = self.frame.slice(self.at..self.at + len);
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some(found) = self.unread().first_chunk::<N>().copied() else {
            return fail(DecodeErrorKind::Truncated, self.frame.len());
        };
        self.at += N;
        Ok(found)
    }

    fn unread(&self) -> &[u8] {
        self.frame.get(self.at..).unwrap_or_default()
    }
}

/// Returns an error at `offset` of the packet.
pub(crate) fn fail<T>(kind: DecodeErrorKind, offset: usize) -> Result<T, DecodeError> {
    Err(DecodeError { kind, offset })
}
