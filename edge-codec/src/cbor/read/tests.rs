//! RFC 8949 Appendix A, the forms a reading's value can have.

use super::*;

fn unhex(text: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn value(text: &str) -> Result<Value<'static>, DecodeError> {
    let bytes = unhex(text);
    let mut reader = Reader::new(&bytes, &Limits::default());
    let value = reader.value()?.into_owned();
    assert_eq!(reader.left(), 0, "{text}");
    Ok(value)
}

#[test]
fn rfc_8949_appendix_a_numbers() {
    let ints: [(&str, i64); 13] = [
        ("00", 0),
        ("01", 1),
        ("0a", 10),
        ("17", 23),
        ("1818", 24),
        ("1819", 25),
        ("1864", 100),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("20", -1),
        ("3863", -100),
        ("3903e7", -1000),
    ];
    for (bytes, expected) in ints {
        assert_eq!(value(bytes), Ok(Value::I64(expected)), "{bytes}");
    }
    assert_eq!(value("1bffffffffffffffff"), Ok(Value::U64(u64::MAX)));
    assert_eq!(value("3b7fffffffffffffff"), Ok(Value::I64(i64::MIN)));
    let floats: [(&str, f64); 19] = [
        ("f90000", 0.0),
        ("f98000", -0.0),
        ("f93c00", 1.0),
        ("fb3ff199999999999a", 1.1),
        ("f93e00", 1.5),
        ("f97bff", 65504.0),
        ("fa47c35000", 100_000.0),
        ("fa7f7fffff", f64::from(f32::MAX)),
        ("fb7e37e43c8800759c", 1.0e300),
        ("f90001", 5.960_464_477_539_063e-8),
        ("f90400", 0.000_061_035_156_25),
        ("f9c400", -4.0),
        ("fbc010666666666666", -4.1),
        ("f97c00", f64::INFINITY),
        ("f9fc00", f64::NEG_INFINITY),
        ("fa7f800000", f64::INFINITY),
        ("faff800000", f64::NEG_INFINITY),
        ("fb7ff0000000000000", f64::INFINITY),
        ("fbfff0000000000000", f64::NEG_INFINITY),
    ];
    for (bytes, expected) in floats {
        assert!(value(bytes).unwrap().same(&Value::F64(expected)), "{bytes}");
    }
    for nan in ["f97e00", "fa7fc00000", "fb7ff8000000000000"] {
        assert!(value(nan).unwrap().same(&Value::F64(f64::from_bits(QUIET_NAN))), "{nan}");
    }
}

#[test]
fn nan_payloads_are_widened_bit_by_bit() {
    let bits = |text| match value(text) {
        Ok(Value::F64(v)) => v.to_bits(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bits("f97c01"), 0x7ff0_0400_0000_0000, "signalling, half");
    assert_eq!(bits("f9fe00"), 0xfff8_0000_0000_0000);
    assert_eq!(bits("fa7f800001"), 0x7ff0_0000_2000_0000, "signalling, single");
    assert_eq!(bits("fb7ff0000000000001"), 0x7ff0_0000_0000_0001, "signalling, double");
}

#[test]
fn rfc_8949_appendix_a_strings_and_simple_values() {
    assert_eq!(value("f4"), Ok(Value::Bool(false)));
    assert_eq!(value("f5"), Ok(Value::Bool(true)));
    assert_eq!(value("f6"), Ok(Value::Null));
    assert_eq!(value("40"), Ok(Value::Bytes(Cow::Borrowed(&[]))));
    assert_eq!(value("4401020304"), Ok(Value::Bytes(Cow::Borrowed(&[1, 2, 3, 4]))));
    for (bytes, text) in [
        ("60", ""),
        ("6161", "a"),
        ("6449455446", "IETF"),
        ("62225c", "\"\\"),
        ("62c3bc", "\u{fc}"),
        ("63e6b0b4", "\u{6c34}"),
        ("64f0908591", "\u{10151}"),
    ] {
        assert_eq!(value(bytes), Ok(Value::Text(Cow::Borrowed(text))), "{bytes}");
    }
}

#[test]
fn rfc_8949_appendix_a_forms_that_are_no_reading_are_refused() {
    // Bignums, beyond i64, undefined, simple values, tags, containers, indefinite lengths.
    for bytes in [
        "c249010000000000000000",
        "3bffffffffffffffff",
        "f7",
        "f0",
        "f8ff",
        "c11a514b67b0",
        "80",
        "a0",
        "5f42010243030405ff",
        "7f657374726561646d696e67ff",
        "9fff",
        "bfff",
        "ff",
        "f814",
        "1c",
    ] {
        assert!(value(bytes).is_err(), "{bytes}");
    }
}

#[test]
fn a_tiny_input_that_claims_gigabytes_is_refused_by_its_length() {
    for bytes in ["5b7fffffffffffffff", "7b7fffffffffffffff", "9b7fffffffffffffff", "bb7fffffffffffffff"] {
        let input = unhex(bytes);
        let mut reader = Reader::new(&input, &Limits::default().fields(usize::MAX));
        assert!(matches!(reader.skip(1), Err(DecodeError::Truncated { offset: 9, .. })), "{bytes}");
    }
}

/// Every other item of the appendix: as a field that nobody reads it is passed over to its last byte.
#[test]
fn rfc_8949_appendix_a_items_of_definite_length_are_passed_over() {
    for bytes in [
        "c249010000000000000000",
        "3bffffffffffffffff",
        "c349010000000000000000",
        "f7",
        "f0",
        "f8ff",
        "c074323031332d30332d32315432303a30343a30305a",
        "c11a514b67b0",
        "c1fb41d452d9ec200000",
        "d74401020304",
        "d818456449455446",
        "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
        "80",
        "83010203",
        "8301820203820405",
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        "a0",
        "a201020304",
        "a26161016162820203",
        "826161a161626163",
        "a56161614161626142616361436164614461656145",
    ] {
        let input = unhex(bytes);
        let mut reader = Reader::new(&input, &Limits::default());
        assert_eq!(reader.skip(1), Ok(()), "{bytes}");
        assert_eq!(reader.left(), 0, "{bytes}");
        let mut cut = Reader::new(&input[..input.len() - 1], &Limits::default());
        assert!(cut.skip(1).is_err(), "{bytes}");
    }
}

#[test]
fn rfc_8949_appendix_a_items_of_indefinite_length_are_refused_by_name() {
    for bytes in [
        "5f42010243030405ff",
        "7f657374726561646d696e67ff",
        "9fff",
        "9f018202039f0405ffff",
        "9f01820203820405ff",
        "83018202039f0405ff",
        "83019f0203ff820405",
        "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
        "bf61610161629f0203ffff",
        "826161bf61626163ff",
        "bf6346756ef563416d7421ff",
    ] {
        let input = unhex(bytes);
        let error = Reader::new(&input, &Limits::default()).skip(1).unwrap_err();
        assert!(
            matches!(&error, DecodeError::Malformed { what, .. } if what == "indefinite length"),
            "{error}"
        );
    }
}

/// RFC 8949 §3 and Appendix F: as a field, as the first item of an array, as a value and as a tagged item.
#[test]
fn what_is_not_well_formed_is_refused_wherever_it_stands() {
    for bytes in ["ff", "1c", "3d", "5e", "7c", "9d", "be", "dc", "f800", "f818", "f81f", "fc", "fd", "fe"] {
        for (before, behind) in [("", ""), ("82", "00"), ("a100", ""), ("c1", "")] {
            let input = unhex(&format!("{before}{bytes}{behind}"));
            let skipped = Reader::new(&input, &Limits::default()).skip(1);
            assert!(matches!(skipped, Err(DecodeError::Malformed { .. })), "{before}{bytes}: {skipped:?}");
        }
        let read = value(bytes);
        assert!(matches!(read, Err(DecodeError::Malformed { .. })), "{bytes}: {read:?}");
    }
}

/// Met exactly, and passed by one; in an object that is read and in one that is passed over.
#[test]
fn the_fields_of_an_object_are_bounded() {
    let input = unhex("a3616101616202616303");
    for (limit, fits) in [(3, true), (2, false)] {
        let limits = Limits { fields: limit, ..Limits::default() };
        let found = [
            Reader::new(&input, &limits).map("object", 1).map(drop),
            Reader::new(&input, &limits).skip(1).map(drop),
        ];
        for found in found {
            match found {
                Ok(()) => assert!(fits, "{limit}"),
                Err(DecodeError::Limit { what, limit, found, .. }) => {
                    assert_eq!((what, limit, found, fits), ("fields", 2, 3, false));
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
}
