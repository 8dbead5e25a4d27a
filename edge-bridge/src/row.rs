//! Row of the bridge: what is kept of a message while it waits, and the form of it that a queue stores.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Properties, Publish, QoS, ReasonCode, Utf8};

/// The format of a row's payload. [`RAW`](Self::RAW) is the message as it came; other numbers are the application's, which also brings the
/// [`Pack`](crate::bridge::Pack) that understands them. They are stored: never give a number another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Format(pub u8);

impl Format {
    /// The message as it came: one row, one PUBLISH.
    pub const RAW: Self = Self(0);
}

/// A message, or a part of a later batch, on its way to the queue. It holds the topic as it will be sent, never a rule's number: rows
/// outlive configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The topic upstream: of the message, or of the batch it will be part of.
    pub topic: Utf8,
    /// Content of the message.
    pub payload: Bytes,
    /// QoS of the message; rows of QoS 0 are published at QoS 1 too, since the queue is what they were stored for. Default QoS 1.
    pub qos: QoS,
    /// Retain flag to publish with.
    pub retain: bool,
    /// Properties of the message. Those of one connection (Topic Alias, Subscription Identifier) are left out by
    /// [`from_publish`](Self::from_publish).
    pub properties: Properties,
    /// Format of the payload.
    pub format: Format,
    /// May be a copy of a row that an earlier, uncleanly ended run stored (promise 4): marked `pd` upstream.
    pub possible_duplicate: bool,
    /// A message that could not be used, kept as it came, with the reason that its publisher was told.
    pub dead_letter: Option<ReasonCode>,
    /// Priority class; `None` = the queue's last.
    pub lane: Option<u8>,
    /// Subject of the row; may be empty.
    pub key: Bytes,
    /// Age after which the row is not sent any more.
    pub ttl_ms: Option<u64>,
    /// Readings that the row stands for, at least 1.
    pub weight: u32,
}

impl Row {
    /// A raw row at QoS 1.
    pub fn new(topic: Utf8, payload: Bytes) -> Self {
        Self {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: Properties::default(),
            format: Format::RAW,
            possible_duplicate: false,
            dead_letter: None,
            lane: None,
            key: Bytes::new(),
            ttl_ms: None,
            weight: 1,
        }
    }

    /// A raw row from a received message: topic, payload, retain flag and properties as they came; its Message Expiry Interval becomes the
    /// row's time to live.
    pub fn from_publish(publish: &Publish) -> Self {
        let (properties, ttl_ms) = publish.properties.handed_on();
        Self {
            retain: publish.retain,
            properties,
            ttl_ms,
            ..Self::new(publish.topic.clone(), publish.payload.clone())
        }
    }

    /// Bytes that the row carries: topic, properties, key and payload. A client chooses all of them, so every bound counts all.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.properties.as_bytes().len() + self.key.len() + self.payload.len()
    }

    /// Everything but payload, lane, key, ttl and weight, in the form that [`from_meta`](Self::from_meta) reads.
    pub fn to_meta(&self) -> Bytes {
        let properties = self.properties.as_bytes();
        let mut out = BytesMut::with_capacity(6 + self.topic.len() + properties.len());
        let mut flags = self.qos as u8;
        flags |= u8::from(self.retain) << 2;
        flags |= u8::from(self.possible_duplicate) << 3;
        flags |= u8::from(self.dead_letter.is_some()) << 4;
        out.put_u8(META_VERSION);
        out.put_u8(flags);
        out.put_u8(self.format.0);
        if let Some(reason) = self.dead_letter {
            out.put_u8(reason.get());
        }
        // A `Utf8` is never longer than 65 535 bytes.
        out.put_u16(u16::try_from(self.topic.len()).unwrap_or(u16::MAX));
        out.put_slice(self.topic.as_bytes());
        out.put_slice(properties);
        out.freeze()
    }

    /// Reads what [`to_meta`](Self::to_meta) wrote, without a copy. `None` if it did not.
    pub fn from_meta(meta: &Bytes, payload: Bytes) -> Option<Self> {
        let mut rest = meta.clone();
        let [META_VERSION, flags, format] = take::<3>(&mut rest)? else { return None };
        let dead_letter = match flags & 0b1_0000 {
            0 => None,
            _ => Some(ReasonCode::new(take::<1>(&mut rest)?[0])),
        };
        let len = usize::from(u16::from_be_bytes(take::<2>(&mut rest)?));
        if rest.len() < len {
            return None;
        }
        let topic = Utf8::new(rest.split_to(len)).ok()?;
        Some(Self {
            qos: QoS::new(flags & 0b11)?,
            retain: flags & 0b100 != 0,
            possible_duplicate: flags & 0b1000 != 0,
            dead_letter,
            format: Format(format),
            properties: Properties::from_raw(rest).ok()?,
            ..Self::new(topic, payload)
        })
    }
}

/// Raised when the layout of [`Row::to_meta`] changes; older ones stay readable.
const META_VERSION: u8 = 1;

fn take<const N: usize>(rest: &mut Bytes) -> Option<[u8; N]> {
    if rest.len() < N {
        return None;
    }
    let head = rest.split_to(N);
    head.as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::PropertiesBuilder;

    proptest! {
        #[test]
        fn meta_round_trips(topic in "[a-z/]{1,40}", retain: bool, pd: bool, dead: Option<u8>, format: u8, user in proptest::option::of("[a-z]{0,9}")) {
            let mut row = Row::new(Utf8::try_from(topic).unwrap(), Bytes::from_static(b"payload"));
            row.retain = retain;
            row.possible_duplicate = pd;
            row.dead_letter = dead.map(ReasonCode::new);
            row.format = Format(format);
            if let Some(value) = user {
                let mut properties = PropertiesBuilder::new();
                properties.user("name", &value).unwrap();
                row.properties = properties.finish();
            }
            prop_assert_eq!(Row::from_meta(&row.to_meta(), row.payload.clone()), Some(row));
        }

        #[test]
        fn any_meta_is_read_or_refused(meta: Vec<u8>) {
            let _ = Row::from_meta(&Bytes::from(meta), Bytes::new());
        }
    }
}
