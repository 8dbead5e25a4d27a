//! Reader of version 1 of the format, in which packets lay one behind the other, without a checksum: what stored them had one over all.
//!
//! The byte 1 and the wall clock in milliseconds (8 bytes), then a PUBLISH for each retained message, then for each session a CONNECT, with the will
//! that waits, a SUBSCRIBE for each filter and a PUBLISH for each message that waits for it.

use bytes::{Buf, BytesMut};

use super::RestoreError;
use super::records::{LIMITS, Records, RetainedRecord, SessionRecord, WaitingRecord};
use crate::wire::{Packet, Version, decode, decode_connect};

/// First bytes: the version, and the first of a wall clock after 1970. A version that has frames has no such beginning, whichever byte of it is damaged.
const BEGIN: [u8; 2] = [1, 0];
/// Bytes before the packets.
const HEAD: usize = 9;
/// Packet type of a CONNECT, in the high four bits of its first byte.
const CONNECT: u8 = 1;

/// Returns whether bytes are of this version.
pub(super) fn is(saved: &[u8]) -> bool {
    saved.starts_with(&BEGIN)
}

/// Decodes all, so that a damaged part changes nothing.
pub(super) fn read(saved: &[u8]) -> Result<Records, RestoreError> {
    let (mut head, packets) = saved.split_at_checked(HEAD).ok_or(RestoreError::Misplaced { at: 0 })?;
    head.advance(1);
    let mut records = Records { saved_ms: Some(head.get_i64()), ..Records::default() };
    let mut rest = BytesMut::from(packets);
    while let Some(first) = rest.first().copied() {
        let at = saved.len() - rest.len();
        let packet = if first >> 4 == CONNECT {
            decode_connect(&mut rest, &LIMITS)
                .map(|connect| connect.map(|connect| Packet::Connect(Box::new(connect))))
        } else {
            decode(&mut rest, Version::V5, &LIMITS)
        };
        let packet = packet.map_err(|error| RestoreError::Packet { at, error })?;
        match (packet, records.sessions.last_mut()) {
            (Some(Packet::Connect(connect)), _) => records.sessions.push(SessionRecord::new(connect)),
            (Some(Packet::Publish(publish)), None) => {
                records.retained.push(RetainedRecord { publish, publisher: None });
            }
            (Some(Packet::Publish(publish)), Some(session)) => {
                session.waiting.push(WaitingRecord { publish, share: None });
            }
            (Some(Packet::Subscribe(subscribe)), Some(session)) => session.subscriptions.push(subscribe),
            _ => return Err(RestoreError::Misplaced { at }),
        }
    }
    Ok(records)
}
