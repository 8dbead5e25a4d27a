//! Readings to `edge-codec` and back: nothing is lost either way, nor on the way through a pipeline.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use edge_filter::transform::Scale;
use edge_filter::{Outcome, Pipeline, Quality, Reading, Rule, Value};
use proptest::prelude::*;

type Wire = edge_codec::Value<'static>;

fn wire_values() -> impl Strategy<Value = Wire> {
    prop_oneof![
        any::<u64>().prop_map(|bits| Wire::F64(f64::from_bits(bits))),
        any::<i64>().prop_map(Wire::I64),
        any::<u64>().prop_map(Wire::U64),
        any::<bool>().prop_map(Wire::Bool),
        ".{0,8}".prop_map(|text| Wire::Text(text.into())),
        Just(Wire::Null),
        Just(Wire::F64(f64::NAN)),
        Just(Wire::F64(-0.0)),
    ]
}

proptest! {
    #[test]
    fn a_reading_comes_back_from_the_filter_as_it_was(
        value in wire_values(), sensor: u32, time: i64, quality: u32
    ) {
        let sent = edge_codec::Reading { sensor, time, value, quality };
        let reading = Reading::try_from(sent.clone()).unwrap();
        prop_assert_eq!((reading.sensor, reading.time, reading.quality), (sensor, time, Quality(quality)));
        prop_assert!(edge_codec::Reading::from(reading).same(&sent), "{sent:?}");
    }

    #[test]
    fn a_value_comes_back_from_the_codec_as_it_was(bits: u64, integer: i64, text in ".{0,8}") {
        for value in [Value::F64(f64::from_bits(bits)), Value::I64(integer), Value::Text(text.into())] {
            let back = Value::try_from(Wire::from(value.clone())).unwrap();
            match (&value, &back) {
                (Value::F64(sent), Value::F64(back)) => prop_assert_eq!(sent.to_bits(), back.to_bits()),
                _ => prop_assert_eq!(value, back),
            }
        }
    }
}

#[test]
fn bytes_come_back_unfiltered() {
    let bytes = Wire::Bytes(vec![1, 2].into());
    assert_eq!(Value::try_from(bytes.clone()), Err(bytes.clone()));
    let reading = edge_codec::Reading { sensor: 1, time: 2, value: bytes, quality: 3 };
    assert_eq!(Reading::try_from(reading.clone()), Err(reading));
}

/// The trap: formats other than JSON have both.
#[test]
fn a_null_stays_a_null_and_a_nan_a_nan_through_stages() {
    for rule in [Rule::new(), Rule::new().scale(Scale::linear(2.0, 1.0).unwrap())] {
        let mut pipeline = Pipeline::builder().rule("#", rule).unwrap().build();
        let sensor = pipeline.intern("a");
        let mut through = |time, value: Wire| {
            let reading = edge_codec::Reading { sensor, time, value, quality: 0 };
            let reading = Reading::try_from(reading).unwrap();
            match pipeline.process(reading, time, &mut |_| ()) {
                Outcome::Emit(emit) => edge_codec::Reading::from(emit),
                other => panic!("{other:?}"),
            }
        };
        let (null, nan) = (through(0, Wire::Null), through(1, Wire::F64(f64::NAN)));
        assert_eq!((null.value, null.quality), (Wire::Null, Quality::BAD.0));
        assert!(matches!(nan.value, Wire::F64(v) if v.is_nan()), "{nan:?}");
        assert_eq!(nan.quality, Quality::BAD.0);
    }
}

#[test]
fn the_one_nan_that_stands_for_null_is_still_a_nan_if_it_was_sent_as_one() {
    let Ok(Value::F64(null)) = Value::try_from(Wire::Null) else { panic!("a null is a number") };
    let back = Wire::from(Value::try_from(Wire::F64(null)).unwrap());
    assert!(matches!(back, Wire::F64(v) if v.is_nan()), "{back:?}");
}
