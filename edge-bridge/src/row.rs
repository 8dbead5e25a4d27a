//! Row: the stored form of a message, or of a part of a later batch, while it waits.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Properties, Publish, QoS, ReasonCode, Utf8};

/// Format of a row's payload. [`RAW`](Self::RAW) is the message as it came; other numbers belong to the application, with a
/// [`Pack`](crate::bridge::Pack) that knows them. Numbers are stored with rows, so never give one another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Format(pub u8);

impl Format {
    /// Payload of the message as it came, so that one row is one PUBLISH.
    pub const RAW: Self = Self(0);
}

/// Message, or part of a later batch, on its way to the queue. It contains the topic with which it will be sent, and no reference to a rule,
/// because rows outlive configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Topic at the hub, of the message or of the batch of which it will be part.
    pub topic: Utf8,
    /// Content of the message.
    pub payload: Bytes,
    /// QoS of the message. Rows of QoS 0 are published at QoS 1, because they were stored to be delivered; those of QoS 2 at QoS 1 to a hub that
    /// takes no more. Default QoS 1.
    ///
    /// At QoS 2 the hub has a message once while this process lives and the hub keeps its session, and once or twice with the same identity after the
    /// end of either. It costs two round trips; 256 messages are uncompleted at most, 20 at a hub of 3.1.1. The row leaves the queue with PUBCOMP.
    pub qos: QoS,
    /// Retain flag to publish with.
    pub retain: bool,
    /// Properties of the message. [`from_publish`](Self::from_publish) leaves out those of one connection (Topic Alias, Subscription
    /// Identifier).
    pub properties: Properties,
    /// Format of the payload.
    pub format: Format,
    /// Set if the row may be a copy of a row that the process stored before its last unclean end (promise 4). The message then carries a mark for
    /// the receiver.
    pub possible_duplicate: bool,
    /// Reason code of the PUBACK to a publisher whose message could not be used. The row is then a dead letter: it has that message's unchanged
    /// content. `None` for other rows.
    pub dead_letter: Option<ReasonCode>,
    /// Set if the row is dropped, and counted, when the hub refuses its message. Other rows are parked then and tried again. Meant for messages
    /// whose topics a stranger chooses, such as the Response Topic of a request: parked, they would take the room of rows that were accepted.
    pub drop_refused: bool,
    /// Lane, the priority class; `None` puts the row into the queue's last lane.
    pub lane: Option<u8>,
    /// Key of the row in the queue; may be empty.
    pub key: Bytes,
    /// Age in milliseconds after which the row is not sent any more; `None` if it never expires.
    pub ttl_ms: Option<u64>,
    /// Number of readings that the row stands for, at least 1.
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
            drop_refused: false,
            lane: None,
            key: Bytes::new(),
            ttl_ms: None,
            weight: 1,
        }
    }

    /// Makes a raw row of a received message, with topic, payload, QoS, retain flag and properties unchanged. Its Message Expiry Interval becomes
    /// the row's time to live.
    pub fn from_publish(publish: &Publish) -> Self {
        let (properties, ttl_ms) = publish.properties.handed_on();
        Self {
            qos: publish.qos,
            retain: publish.retain,
            properties,
            ttl_ms,
            ..Self::new(publish.topic.clone(), publish.payload.clone())
        }
    }

    /// Number of bytes of topic, properties, key and payload. A client chooses all of them, so every bound counts them all.
    pub(crate) fn bytes(&self) -> usize {
        self.topic.len() + self.properties.as_bytes().len() + self.key.len() + self.payload.len()
    }

    /// Encodes every field but payload, lane, key, time to live and weight, in the form that [`from_meta`](Self::from_meta) reads.
    pub fn to_meta(&self) -> Bytes {
        let properties = self.properties.as_bytes();
        let mut out = BytesMut::with_capacity(6 + self.topic.len() + properties.len());
        let mut flags = self.qos as u8;
        flags |= u8::from(self.retain) << 2;
        flags |= u8::from(self.possible_duplicate) << 3;
        flags |= u8::from(self.dead_letter.is_some()) << 4;
        // Readers that do not know this flag park such rows.
        flags |= u8::from(self.drop_refused) << 5;
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

    /// Decodes a row from the bytes of [`to_meta`](Self::to_meta), without a copy; `None` if they are not of that form.
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
            drop_refused: flags & 0b10_0000 != 0,
            format: Format(format),
            properties: Properties::from_raw(rest).ok()?,
            ..Self::new(topic, payload)
        })
    }
}

/// Version of the layout of [`Row::to_meta`]. Raised when the layout changes; older ones stay readable.
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
        fn meta_round_trips(topic in "[a-z/]{1,40}", retain: bool, pd: bool, drop_refused: bool, dead: Option<u8>, format: u8, user in proptest::option::of("[a-z]{0,9}")) {
            let mut row = Row::new(Utf8::try_from(topic).unwrap(), Bytes::from_static(b"payload"));
            row.retain = retain;
            row.possible_duplicate = pd;
            row.dead_letter = dead.map(ReasonCode::new);
            row.drop_refused = drop_refused;
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
