use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame. `first`: its first byte, with opcode and flags.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        n @ ..126 => bytes.push(0x80 | n as u8),
        n => {
            bytes.push(0x80 | 126);
            bytes.extend((n as u16).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// Decodes `bytes` in pieces of `step`. What came of them.
fn decoded(decoder: &mut FrameDecoder, bytes: &[u8], step: usize) -> Vec<u8> {
    let mut messages = Vec::new();
    for piece in bytes.chunks(step) {
        let mut piece = piece.to_vec();
        let kept = decoder.decode(&mut piece);
        messages.extend(&piece[..kept]);
    }
    messages
}

#[test]
fn bytes_are_the_same_wherever_frames_are_split() {
    let long: Vec<u8> = (0..300_u16).map(|n| n as u8).collect();
    let bytes = [
        frame(0x82, b"one"),
        frame(0x02, b"begun"),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x00, &long),
        frame(0x8a, b"pong that nobody asked for"),
        frame(0x80, b"end"),
        frame(0x82, b""),
        frame(0x82, &long),
        frame(0x88, &[0x03, 0xe8, b'b', b'y', b'e']),
        frame(0x82, b"never"),
    ]
    .concat();
    let expected = [&b"onebegun"[..], &long, b"end", &long].concat();
    for step in 1..=bytes.len() {
        let mut decoder = FrameDecoder::new(1_000);
        assert_eq!(decoded(&mut decoder, &bytes, step), expected, "in pieces of {step}");
        assert_eq!(decoder.take_ping().as_deref(), Some(&b"ping"[..]));
        assert_eq!(decoder.end(), Some(End::Closed(Some(1000))));
    }
}

#[test]
fn the_last_ping_alone_is_kept() {
    let mut decoder = FrameDecoder::new(10);
    decoded(&mut decoder, &[frame(0x89, b"first"), frame(0x89, b"last")].concat(), 100);
    assert_eq!(decoder.take_ping().as_deref(), Some(&b"last"[..]));
    assert_eq!(decoder.take_ping(), None);
}

#[test]
fn each_broken_rule_ends_the_connection_behind_what_came_before() {
    let mut not_masked = frame(0x82, b"");
    not_masked[1] &= 0x7f;
    let huge = [&[0x82, 0xff][..], &[0x7f; 8], &MASK].concat();
    let control = |first, size| frame(first, &vec![0; size]);
    for (bytes, violation, code) in [
        (frame(0x81, b"text"), Violation::Text, 1003),
        (not_masked, Violation::NotMasked, 1002),
        (huge, Violation::TooLarge, 1009),
        (frame(0x82, &[0; 201]), Violation::TooLarge, 1009),
        (frame(0xc2, b"rsv1"), Violation::Protocol, 1002),
        (frame(0xa2, b"rsv2"), Violation::Protocol, 1002),
        (frame(0x92, b"rsv3"), Violation::Protocol, 1002),
        (frame(0x83, b"reserved"), Violation::Protocol, 1002),
        (frame(0x8b, b"reserved"), Violation::Protocol, 1002),
        (frame(0x80, b"goes on with nothing"), Violation::Protocol, 1002),
        ([frame(0x02, b""), frame(0x82, b"")].concat(), Violation::Protocol, 1002),
        (frame(0x09, b"in parts"), Violation::Protocol, 1002),
        (control(0x89, CONTROL_MAX + 1), Violation::Protocol, 1002),
        (control(0x88, 1), Violation::Protocol, 1002),
        (frame(0x88, &999_u16.to_be_bytes()), Violation::Protocol, 1002),
        (frame(0x88, &1006_u16.to_be_bytes()), Violation::Protocol, 1002),
    ] {
        let bytes = [frame(0x82, b"before"), bytes, frame(0x82, b"behind")].concat();
        for step in [1, bytes.len()] {
            let mut decoder = FrameDecoder::new(200);
            assert_eq!(decoded(&mut decoder, &bytes, step), b"before", "{bytes:?}");
            assert_eq!(decoder.end(), Some(End::Violated(violation)), "{bytes:?}");
            assert_eq!(decoder.end().and_then(End::code), Some(code), "{bytes:?}");
        }
    }
}

#[test]
fn the_largest_of_each_passes() {
    let mut decoder = FrameDecoder::new(200);
    let bytes = [frame(0x89, &[1; CONTROL_MAX]), frame(0x82, &[2; 200]), frame(0x88, b"")].concat();
    assert_eq!(decoded(&mut decoder, &bytes, 7), [2; 200]);
    assert_eq!(decoder.take_ping().as_deref(), Some(&[1; CONTROL_MAX][..]));
    assert_eq!(decoder.end(), Some(End::Closed(None)));
}

#[test]
fn frames_that_carry_nothing_are_counted_against_those_that_do() {
    let ends_after = |decoder: &mut FrameDecoder, bytes: &[u8]| {
        (0..1_000).find(|_| {
            decoded(decoder, bytes, 100);
            decoder.end().is_some()
        })
    };
    let most = EMPTY_MAX as usize;
    for empty in [frame(0x82, b""), frame(0x89, b"ping"), frame(0x8a, b"")] {
        let mut decoder = FrameDecoder::new(10);
        assert_eq!(ends_after(&mut decoder, &empty), Some(most));
        assert_eq!(decoder.end(), Some(End::Violated(Violation::Flood)));
        // One for each that carries something.
        let both = [empty.clone(), frame(0x82, b"x")].concat();
        assert_eq!(ends_after(&mut FrameDecoder::new(10), &both), None);
        let two = [empty.clone(), both].concat();
        assert_eq!(ends_after(&mut FrameDecoder::new(10), &two), Some(most - 1));
        // And some as time passes, never more at once than at first.
        let mut decoder = FrameDecoder::new(10);
        decoded(&mut decoder, &empty.repeat(most), 100);
        decoder.allow_empty(5);
        assert_eq!(ends_after(&mut decoder, &empty), Some(5));
        let mut decoder = FrameDecoder::new(10);
        decoder.allow_empty(u32::MAX);
        assert_eq!(ends_after(&mut decoder, &empty), Some(most));
    }
}

#[test]
fn a_length_that_is_not_in_its_shortest_form_is_refused() {
    for header in [&[0x82, 0x80 | 126, 0, 125][..], &[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff]] {
        let mut decoder = FrameDecoder::new(1 << 20);
        decoded(&mut decoder, &[header, &MASK].concat(), 1);
        assert_eq!(decoder.end(), Some(End::Violated(Violation::Protocol)));
    }
    for header in [&[0x82, 0x80 | 126, 0, 126][..], &[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]] {
        let mut decoder = FrameDecoder::new(1 << 20);
        decoded(&mut decoder, &[header, &MASK].concat(), 1);
        assert_eq!(decoder.end(), None);
    }
}
