//! Stored form of a parked row: an envelope with the row's identity and age in its first queue, before the row's own meta.

use bytes::{BufMut, Bytes, BytesMut};

use crate::bridge::spool::Identity;
use crate::wire::ReasonCode;

/// Version of the layout. Version 1 had no turn.
const VERSION: u8 = 2;
/// Bytes that an envelope adds to a row's meta.
pub(in crate::net) const ENVELOPE_BYTES: usize = 44;
/// Bytes of an envelope of the first version, which has no turn.
const FIRST_BYTES: usize = 40;

/// Identity and age of a row from before it was parked, stored before its meta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) struct Envelope {
    /// Identity of the row in its first queue, which every message with it carries.
    pub(in crate::net) identity: Identity,
    /// Age of the row when it was parked, in milliseconds.
    pub(in crate::net) age_ms: u64,
    /// Time to live of the row from its acceptance, in milliseconds; `None` if it never expires.
    pub(in crate::net) ttl_ms: Option<u64>,
    /// Reason code with which the hub refused the row.
    pub(in crate::net) why: ReasonCode,
    /// Turn of the row: 0, or raised when a compaction moved the row, see [`super::compaction`].
    pub(in crate::net) turn: u32,
}

impl Envelope {
    /// Returns the meta with the envelope in front.
    pub(in crate::net) fn seal(&self, meta: &Bytes) -> Bytes {
        let mut out = BytesMut::with_capacity(ENVELOPE_BYTES + meta.len());
        out.put_u8(VERSION);
        out.put_u8(self.why.get());
        out.put_u64(self.identity.gateway);
        out.put_u8(self.identity.lane);
        out.put_u32(self.identity.epoch);
        out.put_u64(self.identity.seq);
        out.put_u64(self.age_ms);
        out.put_u8(u8::from(self.ttl_ms.is_some()));
        out.put_u64(self.ttl_ms.unwrap_or(0));
        out.put_u32(self.turn);
        out.put_slice(meta);
        out.freeze()
    }

    /// Takes the envelope off a meta, without a copy. `None` for bytes that are not an envelope.
    pub(in crate::net) fn open(meta: &Bytes) -> Option<(Self, Bytes)> {
        let bytes = match *meta.first()? {
            1 => FIRST_BYTES,
            VERSION => ENVELOPE_BYTES,
            _ => return None,
        };
        let (mut head, _) = meta.split_at_checked(bytes)?;
        let mut take = |n: usize| {
            let (field, rest) = head.split_at_checked(n)?;
            head = rest;
            Some(field.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
        };
        let byte = |value: u64| u8::try_from(value).ok();
        take(1)?;
        let why = ReasonCode::new(byte(take(1)?)?);
        let (gateway, lane) = (take(8)?, byte(take(1)?)?);
        let (epoch, seq) = (u32::try_from(take(4)?).ok()?, take(8)?);
        let age_ms = take(8)?;
        let (has_ttl, ttl_ms) = (take(1)? != 0, take(8)?);
        let identity = Identity { gateway, lane, epoch, seq };
        let turn = if bytes == FIRST_BYTES { 0 } else { u32::try_from(take(4)?).ok()? };
        let envelope = Self { identity, age_ms, ttl_ms: has_ttl.then_some(ttl_ms), why, turn };
        Some((envelope, meta.slice(bytes..)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_nothing_else_panics(
            gateway: u64, lane: u8, epoch: u32, seq: u64, age_ms: u64, ttl_ms: Option<u64>, why: u8, turn: u32, meta: Vec<u8>
        ) {
            let meta = Bytes::from(meta);
            let identity = Identity { gateway, lane, epoch, seq };
            let envelope = Envelope { identity, age_ms, ttl_ms, why: ReasonCode::new(why), turn };
            let sealed = envelope.seal(&meta);
            prop_assert_eq!(sealed.len(), ENVELOPE_BYTES + meta.len());
            prop_assert_eq!(Envelope::open(&sealed), Some((envelope, meta.clone())));
            prop_assert_eq!(Envelope::open(&sealed.slice(..ENVELOPE_BYTES - 1)), None);
            let mut first = sealed[..FIRST_BYTES].to_vec();
            first[0] = 1;
            first.extend_from_slice(&meta);
            let envelope = Envelope { turn: 0, ..envelope };
            prop_assert_eq!(Envelope::open(&Bytes::from(first)), Some((envelope, meta.clone())), "version 1");
            let _ = Envelope::open(&meta);
        }
    }
}
