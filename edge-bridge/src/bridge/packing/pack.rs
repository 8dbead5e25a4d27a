//! Packing of rows into PUBLISH packets when the spool is drained, so that batches are made as late as possible.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::bridge::spool::{LeaseId, Leased};
use crate::ingest::Now;
use crate::wire::{Properties, PropertiesBuilder, PropertyId, Publish, QoS, ReasonCode, Utf8, Value};

use super::dead_letter_address::{self, dead_letter_topic};
use super::identity_form::IdentityForm;

/// Makes messages of leased rows. Pure. The uplink adds rows in their order, as the window allows, and asks for messages after each row. A
/// batch may stay open for more rows as long as the implementation likes ([`next_deadline`](Self::next_deadline)), because rows in the pack
/// are still safe in the queue.
///
/// ```
/// use edge_bridge::Row;
/// use edge_bridge::bridge::spool::{LeaseId, Leased};
/// use edge_bridge::bridge::{Pack, Packing, RawPack};
/// use edge_bridge::ingest::Now;
/// use edge_bridge::wire::Utf8;
///
/// /// One message for each row, below a topic of the site.
/// #[derive(Default)]
/// struct Below(RawPack);
///
/// impl Pack for Below {
///     fn topic(&self, row: &Leased) -> Utf8 {
///         Utf8::try_from(format!("site7/{}", row.row.topic)).unwrap_or_else(|_| row.row.topic.clone())
///     }
///     fn add(&mut self, now: Now, mut row: Leased) {
///         row.row.topic = self.topic(&row);
///         self.0.add(now, row);
///     }
///     fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing> {
///         self.0.poll(now, max_packet)
///     }
///     fn next_deadline(&self) -> Option<u64> {
///         self.0.next_deadline()
///     }
///     fn held_bytes(&self) -> usize {
///         self.0.held_bytes()
///     }
///     fn take_rows(&mut self) -> Vec<LeaseId> {
///         self.0.take_rows()
///     }
/// }
///
/// let (mut pack, now) = (Below::default(), Now::default());
/// let row = Row::new(Utf8::from_static("temperature"), "21.5".into());
/// pack.add(now, Leased::new(LeaseId(1), row, now.up_ms, 0, None));
/// let Some(Packing::Message(message)) = pack.poll(now, 1024) else { panic!("one row, one message") };
/// assert_eq!(message.publish.topic, "site7/temperature");
/// assert_eq!(message.rows, [LeaseId(1)]);
/// ```
pub trait Pack {
    /// Returns the topic of the message that is made of a row.
    fn topic(&self, row: &Leased) -> Utf8 {
        row.row.topic.clone()
    }

    /// Adds a leased row to the pack.
    fn add(&mut self, now: Now, row: Leased);

    /// Returns the next message that is ready, or rows of which none can be made; `None` if nothing is ready. `max_packet` is the largest
    /// packet that the hub takes, in bytes. The rows of a larger message are parked, so leave room for topic and properties.
    fn poll(&mut self, now: Now, max_packet: usize) -> Option<Packing>;

    /// Up time at which an open batch is to be polled again, in milliseconds of `Now::up_ms`; `None` if no batch waits for a time.
    fn next_deadline(&self) -> Option<u64>;

    /// Bytes of the rows in the pack, which count against the window.
    fn held_bytes(&self) -> usize;

    /// Payload bytes of rows that open batches can take beyond the room in the window, because rows shrink in a batch. Called when
    /// [`poll`](Self::poll) returned nothing. Default 0, so that a batch larger than the window waits for its deadline.
    fn open_room(&self) -> usize {
        0
    }

    /// Returns whether no row is in the pack. By default that is so without bytes and deadline; implement it if there are deadlines without
    /// rows, because parked rows must not overtake rows in the pack.
    fn is_empty(&self) -> bool {
        self.held_bytes() == 0 && self.next_deadline().is_none()
    }

    /// Takes all rows out of the pack, to give them back to the queue.
    fn take_rows(&mut self) -> Vec<LeaseId>;

    /// Notes that the hub acknowledged a message without rows, which the pack made by itself. If the hub refuses it, an event says so and the
    /// message is gone, as it may be at the end of its connection; the pack decides when to make it again.
    fn on_delivered(&mut self, _message: &Publish) {}

    /// Notes the hub's answer to a message, with rows or without. Called for every message, so it should cost next to nothing. Default: nothing.
    fn on_answer(&mut self, _answer: &HubAnswer<'_>) {}
}

/// Answer of the hub to one message: its PUBACK, or at QoS 2 its PUBREC.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct HubAnswer<'a> {
    /// The message as it was sent.
    pub message: &'a Publish,
    /// Number of rows in it; 0 for a message that the pack made by itself.
    pub rows: usize,
    /// Reason code; from 0x80 on the hub refuses the message.
    pub reason: ReasonCode,
    /// Milliseconds from the sending to the answer; `None` if the message was first sent on an earlier connection.
    pub took_ms: Option<u64>,
}

/// Outcome of packing rows. New kinds come only with a breaking release.
#[derive(Debug, Clone)]
pub enum Packing {
    /// A message is complete.
    Message(Packed),
    /// Rows whose time to live ended in the pack; they leave the queue, counted as expired.
    Expired {
        /// Rows that expired in the pack.
        rows: Vec<LeaseId>,
    },
    /// Rows of which no message can be made; they are parked, and reported with the reason.
    Unsendable {
        /// Topic that the message would have had, for the report.
        topic: Utf8,
        /// Leases of the rows, which are parked.
        rows: Vec<LeaseId>,
        /// Reason, such as [`PAYLOAD_FORMAT_INVALID`](ReasonCode::PAYLOAD_FORMAT_INVALID).
        reason: ReasonCode,
    },
}

/// A message and the rows that are delivered when the hub has it.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The message, at QoS 1 or 2; QoS 0 is raised. The session sets its packet identifier, the uplink its Message Expiry Interval.
    pub publish: Publish,
    /// Rows that are acknowledged together when the hub takes the message.
    pub rows: Vec<LeaseId>,
    /// Up time at which the first of its rows expires, in milliseconds of `Now::up_ms`. `None` if none expires. Until the last row has expired
    /// (see [`Spool::ttl_left_ms`](crate::bridge::spool::Spool::ttl_left_ms)) the message is sent all the same.
    pub expires_ms: Option<u64>,
}

impl Packing {
    /// Reports rows of which no message can be made, under the topic of the first of them.
    pub fn unsendable<'a>(rows: impl IntoIterator<Item = &'a Leased>, reason: ReasonCode) -> Self {
        let mut rows = rows.into_iter().peekable();
        let topic = rows.peek().map(|row| row.row.topic.clone()).unwrap_or_default();
        Self::Unsendable { topic, rows: rows.map(|row| row.id).collect(), reason }
    }
}

impl Packed {
    /// Makes a message of these rows, at QoS 2 if one of them has it, else at QoS 1. It expires when the first of them does.
    pub fn batch<'a>(
        topic: &Utf8,
        content_type: &'static str,
        payload: Bytes,
        rows: impl IntoIterator<Item = &'a Leased>,
    ) -> Self {
        let (mut ids, mut expires_ms, mut qos) = (Vec::new(), None::<u64>, QoS::AtLeastOnce);
        for row in rows {
            ids.push(row.id);
            qos = qos.max(row.row.qos);
            expires_ms = [expires_ms, row.expires_ms].into_iter().flatten().min();
        }
        let mut message = Self { expires_ms, ..Self::of_rows(topic.clone(), ids) };
        let mut properties = PropertiesBuilder::new();
        // A short static text always fits.
        let _ = properties.push(PropertyId::ContentType, Value::Utf8(content_type));
        message.publish.properties = properties.finish();
        message.publish.payload = payload;
        message.publish.qos = qos;
        message
    }

    /// Lists rows of this topic without a message.
    pub(in crate::bridge) fn of_rows(topic: Utf8, rows: Vec<LeaseId>) -> Self {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::new(),
        };
        Self { publish, rows, expires_ms: None }
    }
}

/// [`Pack`] that makes one message of each row, with payload and properties unchanged. Dead letters go to [topics of their
/// own](crate::bridge::dead_letter_topic), with the reason as the user property `edge-reason`.
#[derive(Debug, Clone, Default)]
pub struct RawPack {
    identity: IdentityForm,
    rows: VecDeque<Leased>,
    bytes: usize,
}

impl RawPack {
    /// Leases of the rows in the pack.
    #[cfg(feature = "testing")]
    pub(in crate::bridge) fn leases(&self) -> impl Iterator<Item = LeaseId> {
        self.rows.iter().map(|row| row.id)
    }

    /// Makes a pack whose messages carry their [`Identity`](crate::bridge::spool::Identity) in this form. `true` is [`IdentityForm::Text`]; with `false`
    /// nothing is added.
    pub fn new(identity: impl Into<IdentityForm>) -> Self {
        Self { identity: identity.into(), ..Self::default() }
    }

    pub(in crate::bridge) fn with_identity(self, identity: IdentityForm) -> Self {
        Self { identity, ..self }
    }
}

impl Pack for RawPack {
    fn topic(&self, row: &Leased) -> Utf8 {
        dead_letter_topic(&row.row)
    }

    fn add(&mut self, _now: Now, row: Leased) {
        let row = dead_letter_address::address(row);
        self.bytes += row.row.bytes();
        self.rows.push_back(row);
    }

    fn poll(&mut self, now: Now, _max_packet: usize) -> Option<Packing> {
        let row = self.rows.pop_front()?;
        self.bytes -= row.row.bytes();
        if row.is_expired(now.up_ms) {
            return Some(Packing::Expired { rows: vec![row.id] });
        }
        Some(Packing::Message(Packed {
            publish: Publish {
                dup: false,
                qos: row.row.qos,
                retain: row.row.retain,
                topic: row.row.topic.clone(),
                packet_id: None,
                properties: self.identity.properties(&row),
                payload: row.row.payload.clone(),
            },
            rows: vec![row.id],
            expires_ms: row.expires_ms,
        }))
    }

    fn next_deadline(&self) -> Option<u64> {
        None
    }

    fn held_bytes(&self) -> usize {
        self.bytes
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn take_rows(&mut self) -> Vec<LeaseId> {
        self.bytes = 0;
        self.rows.drain(..).map(|row| row.id).collect()
    }
}

/// Returns the properties with the remaining time as Message Expiry Interval, at least one second, because the protocol has no zero
/// (§3.3.2.3.3) and messages in flight must be resent (\[MQTT-4.4.0-1\]). `None` leaves the properties as they are.
pub(in crate::bridge) fn set_expiry(properties: &Properties, remaining_ms: Option<u64>) -> Properties {
    let Some(remaining_ms) = remaining_ms else { return properties.clone() };
    let seconds = u32::try_from(remaining_ms.div_ceil(1000).max(1)).unwrap_or(u32::MAX);
    properties.with_expiry_s(seconds)
}

#[cfg(test)]
mod tests {
    use crate::bridge::spool::Identity;
    use crate::row::Row;

    use super::*;

    fn leased(possible_duplicate: bool) -> Leased {
        let mut user = PropertiesBuilder::new();
        user.user("own", "kept").unwrap();
        let row = Row {
            possible_duplicate,
            properties: user.finish(),
            ttl_ms: Some(10_000),
            ..Row::new(Utf8::from_static("a"), Bytes::from_static(b"x"))
        };
        Leased::new(LeaseId(1), row, 1_000, 4_500, Some(Identity { gateway: 1, lane: 1, epoch: 2, seq: 3 }))
    }

    fn message(pack: &mut RawPack, row: Leased) -> Packed {
        pack.add(Now::default(), row);
        match pack.poll(Now::default(), usize::MAX) {
            Some(Packing::Message(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn adds_nothing_unless_asked() {
        let packed = message(&mut RawPack::new(false), leased(true));
        assert_eq!(packed.publish.properties.user_properties().collect::<Vec<_>>(), [("own", "kept")]);
    }

    #[test]
    fn a_gateways_rows_carry_identity_and_mark() {
        let packed = message(&mut RawPack::new(true), leased(true));
        let expected = [("own", "kept"), ("edge-id", "0000000000000001-1-2-3"), ("edge-pd", "1")];
        assert_eq!(packed.publish.properties.user_properties().collect::<Vec<_>>(), expected);
        assert_eq!(packed.expires_ms, Some(6_500));
    }

    #[test]
    fn a_row_that_expired_in_here_is_not_sent() {
        let mut pack = RawPack::new(false);
        pack.add(Now::default(), leased(false));
        let at = |up_ms| Now { up_ms, wall_ms: 0 };
        assert!(
            matches!(pack.poll(at(6_500), usize::MAX), Some(Packing::Expired { rows }) if rows == [LeaseId(1)])
        );
        assert_eq!(pack.held_bytes(), 0);
        pack.add(Now::default(), leased(false));
        assert!(matches!(pack.poll(at(6_499), usize::MAX), Some(Packing::Message(_))));
    }

    #[test]
    fn expiry_is_what_is_left_and_at_least_a_second() {
        let set = |ms| set_expiry(&Properties::default(), ms).u32(PropertyId::MessageExpiryInterval);
        assert_eq!((set(None), set(Some(5_500)), set(Some(0))), (None, Some(6), Some(1)));
    }

    #[test]
    fn rows_inside_count_by_their_bytes_and_can_be_taken_back() {
        let mut pack = RawPack::new(false);
        for (id, payload) in [(1, "12345"), (2, "1234567"), (3, "1")] {
            let row = Row::new(Utf8::from_static("a/b"), Bytes::from_static(payload.as_bytes()));
            let row = Leased::new(LeaseId(id), row, 0, 0, None);
            assert_eq!(pack.topic(&row), "a/b");
            pack.add(Now::default(), row);
        }
        assert_eq!(pack.held_bytes(), 13 + 9, "topics count, too");
        assert!(pack.poll(Now::default(), usize::MAX).is_some());
        assert_eq!(pack.held_bytes(), 8 + 6);
        assert_eq!(pack.take_rows(), [LeaseId(2), LeaseId(3)]);
        assert_eq!((pack.held_bytes(), pack.take_rows()), (0, Vec::new()));
    }
}
