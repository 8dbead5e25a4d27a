use proptest::prelude::{Just, Strategy};

use crate::bridge::spool::LeaseId;
use crate::row::Row;
use crate::wire::Utf8;

use super::*;

const IDENTITY: Identity = Identity { gateway: 0x0102_0304_0506_0708, lane: 1, epoch: 2, seq: 3 };

fn binary(identity: Identity) -> Bytes {
    identity.to_correlation_data().unwrap()
}

fn leased(own: &[(PropertyId, Value<'_>)], identity: Identity, possible_duplicate: bool) -> Leased {
    let mut properties = PropertiesBuilder::new();
    for (id, value) in own {
        properties.push(*id, *value).unwrap();
    }
    let row = Row {
        possible_duplicate,
        properties: properties.finish(),
        ..Row::new(Utf8::from_static("a"), Bytes::from_static(b"x"))
    };
    Leased::new(LeaseId(1), row, 0, 0, Some(identity))
}

fn users(properties: &Properties) -> Vec<(&str, &str)> {
    properties.user_properties().collect()
}

/// The layout that readers in other languages are written from.
#[test]
fn the_bytes_are_those_of_the_guide() {
    assert_eq!(binary(IDENTITY)[..], [0xf9, 1, 2, 3, 4, 5, 6, 7, 8, 2, 3]);
    let identity = Identity { gateway: 0x5f0c_9d2a_b1e8_4733, lane: 1, epoch: 300, seq: 4_210 };
    let bytes = [0xf9, 0x5f, 0x0c, 0x9d, 0x2a, 0xb1, 0xe8, 0x47, 0x33, 0xac, 0x02, 0xf2, 0x20];
    assert_eq!(binary(identity)[..], bytes);
}

#[test]
fn every_step_of_the_varints_comes_back_and_takes_the_fewest_bytes() {
    let steps = (1..=9).flat_map(|n| [(1u64 << (7 * n)) - 1, 1 << (7 * n)]);
    let steps = steps.chain([0, 1, (1 << 32) - 1, 1 << 32, u64::MAX]);
    for seq in steps {
        for epoch in
            [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff, 0x20_0000, 0xfff_ffff, 0x1000_0000, u32::MAX]
        {
            let bytes_of = |value: u64| (64 - value.leading_zeros()).max(1).div_ceil(7) as usize;
            for lane in [0, 7] {
                let identity = Identity { gateway: u64::MAX - 1, lane, epoch, seq };
                let data = binary(identity);
                assert_eq!(data.len(), 9 + bytes_of(epoch.into()) + bytes_of(seq), "{identity:?}");
                assert_eq!(Identity::from_correlation_data(&data), Some(identity));
            }
        }
    }
    assert_eq!(binary(Identity { epoch: u32::MAX, seq: u64::MAX, ..IDENTITY }).len(), 24);
}

/// Identifier and length of the property counted.
#[test]
fn a_typical_message_takes_sixteen_bytes_at_most() {
    for (epoch, seq) in [(1, 1), (127, 0x1f_ffff)] {
        let packed =
            IdentityForm::Binary.properties(&leased(&[], Identity { epoch, seq, ..IDENTITY }, false));
        assert!(packed.as_bytes().len() <= 16, "{}", packed.as_bytes().len());
    }
}

#[test]
fn what_is_not_ours_is_refused() {
    let ours = binary(Identity { epoch: 300, seq: 4_210, ..IDENTITY });
    for cut in 0..ours.len() {
        assert_eq!(Identity::from_correlation_data(&ours[..cut]), None, "cut at {cut}");
    }
    let longer = [&ours[..], &[0]].concat();
    assert_eq!(Identity::from_correlation_data(&longer), None, "a byte behind it");
    for tag in (0..=u8::MAX).filter(|tag| *tag < 0xf8) {
        let other = [&[tag], &ours[1..]].concat();
        assert_eq!(Identity::from_correlation_data(&other), None, "{tag:02x}");
    }
    let head = &ours[..9];
    let with = |tail: &[u8]| Identity::from_correlation_data(&[head, tail].concat());
    assert!(with(&[0xff, 0xff, 0xff, 0xff, 0x0f, 1]).is_some_and(|identity| identity.epoch == u32::MAX));
    assert_eq!(with(&[0x80, 0x80, 0x80, 0x80, 0x10, 1]), None, "an epoch of 33 bits");
    assert_eq!(with(&[0x80, 0x00, 1]), None, "a longer form than needed");
    assert_eq!(with(&[1, 0x81, 0x80, 0x00]), None, "the same of the number");
    let most = [&[1][..], &[0xff; 9], &[1]].concat();
    assert!(with(&most).is_some_and(|identity| identity.seq == u64::MAX));
    assert_eq!(with(&[&[1][..], &[0xff; 9], &[2]].concat()), None, "a number of 65 bits");
    assert_eq!(with(&[&[1][..], &[0x80; 10], &[1]].concat()), None, "eleven bytes");
    assert_eq!(Identity::from_correlation_data("request 17, of the panel".as_bytes()), None);
}

#[test]
fn each_form_is_read_back() {
    let text = "0102030405060708-1-2-3";
    for (form, expected) in
        [(IdentityForm::Off, None), (IdentityForm::Text, Some(text)), (IdentityForm::Binary, Some(text))]
    {
        for mark in [false, true] {
            let properties = form.properties(&leased(&[], IDENTITY, mark));
            assert_eq!(identity_text(&properties).as_deref(), expected, "{form:?}");
            assert_eq!(is_possible_duplicate(&properties), mark && form != IdentityForm::Off, "{form:?}");
        }
    }
    let packed = IdentityForm::Binary.properties(&leased(&[], IDENTITY, true));
    assert_eq!(packed.binary(PropertyId::CorrelationData), Some(binary(IDENTITY)));
    assert_eq!(users(&packed), [("edge-pd", "1")]);
    assert_eq!(
        (IdentityForm::from(true), IdentityForm::from(false)),
        (IdentityForm::Text, IdentityForm::Off)
    );
}

/// The publisher's Correlation Data passes byte-exact, and even one of our form does not stand for the row's identity.
#[test]
fn a_publishers_correlation_data_stays_and_text_goes_beside_it() {
    let forged = binary(Identity { seq: 9, ..IDENTITY });
    for own in [&b"17"[..], b"", &forged] {
        let row = leased(&[(PropertyId::CorrelationData, Value::Binary(own))], IDENTITY, false);
        let packed = IdentityForm::Binary.properties(&row);
        assert_eq!(packed.binary(PropertyId::CorrelationData).as_deref(), Some(own));
        assert!(packed.as_bytes().starts_with(row.row.properties.as_bytes()));
        assert_eq!(users(&packed), [("edge-id", "0102030405060708-1-2-3")]);
        assert_eq!(identity_text(&packed).unwrap(), "0102030405060708-1-2-3");
    }
}

/// A responder sends Correlation Data back: a requester that gave none is to get none.
#[test]
fn a_request_without_correlation_data_gets_none() {
    let row = leased(&[(PropertyId::ResponseTopic, Value::Utf8("answers/17"))], IDENTITY, false);
    let packed = IdentityForm::Binary.properties(&row);
    assert!(!packed.contains(PropertyId::CorrelationData));
    assert_eq!(users(&packed), [("edge-id", "0102030405060708-1-2-3")]);
}

#[test]
fn a_lane_without_a_binary_form_goes_as_text() {
    let identity = Identity { lane: 8, ..IDENTITY };
    assert_eq!(identity.to_correlation_data(), None);
    let packed = IdentityForm::Binary.properties(&leased(&[], identity, false));
    assert!(!packed.contains(PropertyId::CorrelationData));
    assert_eq!(identity_text(&packed).unwrap(), "0102030405060708-8-2-3");
}

#[test]
fn without_a_form_nothing_is_added() {
    let row = leased(&[(PropertyId::ContentType, Value::Utf8("text/plain"))], IDENTITY, true);
    assert_eq!(IdentityForm::Off.properties(&row), row.row.properties);
}

proptest::proptest! {
    /// One identity has one form: whoever keeps the bytes as a key takes no row twice.
    #[test]
    fn what_is_read_is_what_is_made_bit_for_bit(
        lane in 0u8..8,
        gateway in proptest::array::uniform8(0u8..),
        epoch in varint_like(5),
        seq in varint_like(10),
    ) {
        let data = [&[TAG | lane], &gateway[..], &epoch, &seq].concat();
        if let Some(identity) = Identity::from_correlation_data(&data) {
            proptest::prop_assert_eq!(binary(identity), data);
        }
    }
}

/// Bytes of which the last alone has no high bit. Some are longer than they need to be, or than a number is.
fn varint_like(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::prop_oneof![Just(0), Just(1), Just(0x7f), 0u8..0x80];
    proptest::collection::vec(byte, 1..=most).prop_map(|mut bytes| {
        let last = bytes.len() - 1;
        bytes.iter_mut().take(last).for_each(|byte| *byte |= 0x80);
        bytes
    })
}
