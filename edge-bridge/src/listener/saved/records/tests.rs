use super::*;
use crate::listener::saved::frame::{self, Writer};
use crate::wire::{PacketId, QoS, Subscription, encode};

fn session(name: &'static str, records: u32) -> BytesMut {
    let connect = Connect {
        version: Version::V5,
        is_bridge: false,
        clean_start: false,
        keep_alive_s: 0,
        client_id: Utf8::from_static(name),
        will: None,
        username: None,
        password: None,
        properties: Default::default(),
    };
    let mut body = BytesMut::from(&records.to_be_bytes()[..]);
    encode(&Packet::Connect(Box::new(connect)), Version::V5, &mut body).unwrap();
    let filters = vec![Subscription::new(Utf8::from_static("a"), QoS::AtLeastOnce)];
    let subscribe = Subscribe { packet_id: PacketId::MIN, properties: Default::default(), filters };
    encode(&Packet::Subscribe(subscribe), Version::V5, &mut body).unwrap();
    body
}

fn message(payload: &'static [u8]) -> BytesMut {
    let mut body = BytesMut::new();
    let publish = Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: Utf8::from_static("a"),
        packet_id: None,
        properties: Default::default(),
        payload: Bytes::from_static(payload),
    };
    encode(&Packet::Publish(publish), Version::V5, &mut body).unwrap();
    body
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    let mut writer = Writer::new(VERSION + 1, 0);
    writer.put(Kind::Retained, &message(b"1"));
    assert_eq!(read(&writer.finish()).err(), Some(RestoreError::Version(VERSION + 1)));
}

/// The checksum is right all the same: a writer's error, or somebody's bad will.
#[test]
fn numbers_that_are_too_large_cost_their_record() {
    let mut writer = Writer::new(VERSION, 0);
    // A length of 256 MB in the packet, and a packet of another kind.
    writer.put(Kind::Retained, &[0x30, 0xff, 0xff, 0xff, 0x7f, 0]);
    writer.put(Kind::Retained, &[0xc0, 0]);
    writer.put(Kind::Retained, b"");
    writer.put(Kind::Retained, &message(b"kept"));
    writer.put(Kind::Session, &[0xff; 3]);
    writer.put(Kind::Session, &session("many", u32::MAX));
    writer.put(Kind::Waiting, &message(b"of many"));
    writer.put(Kind::Session, &session("one", 1));
    writer.put(Kind::Waiting, &message(b"of one"));
    writer.put(Kind::Waiting, &message(b"of nobody"));
    let records = read(&writer.finish()).unwrap();
    let waiting: Vec<_> = records.sessions.iter().map(|session| session.waiting.len()).collect();
    assert_eq!((records.retained.len(), waiting), (1, vec![1, 1]));
    let damage = records.damage.unwrap();
    assert_eq!((damage.retained, damage.sessions, damage.wills, damage.waiting), (3, 1, 0, 1));
    assert_eq!(damage.clients, [Utf8::from_static("many")], "it says that it has more");
}

/// The session before does not get what another client's session had.
#[test]
fn messages_of_a_lost_session_go_to_nobody() {
    let mut writer = Writer::new(VERSION, 0);
    writer.put(Kind::Session, &session("first", 1));
    writer.put(Kind::Waiting, &message(b"of first"));
    writer.put(Kind::Session, &session("lost", 2));
    let from = message(b"of lost");
    writer.put(Kind::Waiting, &from);
    writer.put(Kind::Waiting, &from);
    writer.put(Kind::Session, &session("last", 0));
    let mut saved = writer.finish();
    let at = saved.windows(4).position(|bytes| bytes == b"lost").unwrap();
    saved[at] = b'm';
    let records = read(&saved).unwrap();
    let found: Vec<_> = records
        .sessions
        .iter()
        .map(|session| (session.connect.client_id.to_string(), session.waiting.len()))
        .collect();
    assert_eq!(found, [("first".to_owned(), 1), ("last".to_owned(), 0)]);
    let damage = records.damage.unwrap();
    assert_eq!((damage.sessions, damage.waiting, damage.unknown), (1, 2, 0));
    assert_eq!(damage.clients, [Utf8::from_static("most")], "as far as it can be read");
}

#[test]
fn many_losses_name_a_few_clients() {
    let mut writer = Writer::new(VERSION, 0);
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for name in NAMES {
        writer.put(Kind::Session, &session(name, 1));
        writer.put(Kind::Waiting, &message(b"whole"));
    }
    let mut saved = writer.finish();
    for at in 0..saved.len() - 5 {
        if saved[at..].starts_with(b"whole") {
            saved[at] = b'W';
        }
    }
    let damage = read(&saved).unwrap().damage.unwrap();
    assert_eq!((damage.sessions, damage.waiting), (0, NAMES.len()));
    assert_eq!(
        damage.clients,
        NAMES[..CLIENTS_MAX].iter().copied().map(Utf8::from_static).collect::<Vec<_>>()
    );
}

#[test]
fn a_record_takes_no_more_than_was_reckoned_with() {
    let empty = Writer::new(VERSION, 0).finish().len();
    for length in [0, 1, 240, 241, 242, 253, 254, 255, 1_000, 100_000] {
        for byte in [0, 7] {
            let mut writer = Writer::new(VERSION, 0);
            writer.put(Kind::Retained, &vec![byte; length]);
            let taken = writer.finish().len() - empty;
            assert!(taken <= frame::size(length), "{taken} for {length}");
        }
    }
}
