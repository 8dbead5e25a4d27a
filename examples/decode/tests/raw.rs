#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! `decode` of what is no batch.

mod support;

use support::{edge_decode, good};

/// Messages of a raw route, saved by themselves or as frames.
#[test]
fn a_raw_payload_is_printed_as_it_came() {
    let frame = |payload: &[u8]| [&(payload.len() as u32).to_be_bytes(), payload].concat();
    let printed =
        |arguments: &[&str], input: &[u8]| String::from_utf8(good(edge_decode(arguments, input))).unwrap();
    assert_eq!(printed(&["decode"], b"21.5\n"), "{\"text\":\"21.5\\n\"}\n");
    assert_eq!(
        printed(&["decode"], &[frame(b"on"), frame(b"off")].concat()),
        "{\"text\":\"on\"}\n{\"text\":\"off\"}\n"
    );
    // These happen to be Protobuf of fields that a batch passes over.
    for text in ["under", "p1", "z\n1234567890"] {
        let expected = format!("{{\"text\":{}}}\n", serde_json::Value::from(text));
        assert_eq!(printed(&["decode"], &frame(text.as_bytes())), expected);
    }
    assert_eq!(printed(&["decode", "--content-type", "raw"], b"\xff\xd8"), "{\"base64\":\"/9g=\"}\n");
    // What is neither a batch nor text is an error unless it is said to be raw, and so is text that is said to be a batch.
    for (arguments, input) in
        [(&["decode"][..], &b"\xff\xd8"[..]), (&["decode", "--content-type", "compact"], b"21.5")]
    {
        assert_eq!(edge_decode(arguments, input).status.code(), Some(1));
    }
}

/// As the README says: alone they are taken for frames, and for gzip.
#[test]
fn a_raw_payload_that_begins_with_zero_or_as_gzip_is_printed_from_a_frame() {
    let arguments = ["decode", "--content-type", "raw"];
    let frame = |payload: &[u8]| [&(payload.len() as u32).to_be_bytes(), payload].concat();
    for (payload, line) in [
        (&b"\0\0\0\x05hello"[..], "{\"text\":\"\\u0000\\u0000\\u0000\\u0005hello\"}\n"),
        (b"\x1f\x8bxyz", "{\"base64\":\"H4t4eXo=\"}\n"),
    ] {
        let printed = good(edge_decode(&arguments, &frame(payload)));
        assert_eq!(String::from_utf8(printed).unwrap(), line);
    }
    assert_eq!(good(edge_decode(&arguments, &frame(b"hello"))), b"{\"text\":\"hello\"}\n");
    for alone in [&b"\0ab"[..], b"\x1f\x8bxyz"] {
        assert_eq!(edge_decode(&arguments, alone).status.code(), Some(1), "and that is told");
    }
}

/// It was: nothing but the head, and exit code 0. A JSON batch without its content type is text, too.
#[test]
fn what_csv_has_no_columns_for_is_named() {
    let frame = |payload: &[u8]| [&(payload.len() as u32).to_be_bytes(), payload].concat();
    let batch = br#"{"readings":[{"sensor":"a","ts":0,"value":1}]}"#;
    let head = "ts_ms,sensor,unit,kind,value,quality,id\n";
    for (more, payload) in
        [(&[][..], &batch[..]), (&[], b"21.5"), (&[], b"under"), (&["--content-type", "raw"], b"1")]
    {
        let frames = [frame(payload), frame(payload)].concat();
        let output = edge_decode(&[&["decode", "--to", "csv"], more].concat(), &frames);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(1), head));
        let second =
            format!("edge-decode: frame 2 at byte {}: no batch, and CSV has no columns", payload.len() + 4);
        assert!(said.starts_with("edge-decode: frame 1 at byte 0: ") && said.contains(&second), "{said}");
    }
}
