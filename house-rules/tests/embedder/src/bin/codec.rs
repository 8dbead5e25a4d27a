//! Readings into CBOR and Protobuf and back; no C code by default, so no Zstandard.

use edge_codec::compact::{self, Encoder, Level};
use edge_codec::{DecodeError, Limits, Reading, SensorTable, Value, cbor, protobuf};

/// A batch of the level `Small`.
const COMPRESSED: &[u8] = include_bytes!("../../../../../edge-codec/tests/golden/compact-small-v1.bin");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sensors = SensorTable::new();
    sensors.insert(7, "line2/temp", "Cel");
    let rows: Vec<Reading<'static>> = (0..100)
        .map(|i| Reading { sensor: 7, time: 1_580_515_200_000 + i, value: Value::F64(0.1 * i as f64), quality: 0 })
        .collect();

    let mut enc = cbor::Encoder::new(&sensors);
    for r in &rows {
        enc.push(r)?
    }
    let bytes = enc.finish_under(16_184)?;
    let mut count = 0;
    for r in cbor::decode(&bytes, &Limits::default())? {
        let r = r?;
        assert!(r.same(&rows[count]));
        count += 1;
    }
    assert_eq!(count, rows.len());

    let mut enc = protobuf::Encoder::new(&sensors);
    for r in &rows {
        enc.push(r)?
    }
    let bytes = enc.finish_under(16_184)?;
    for (r, original) in protobuf::decode(&bytes, &Limits::default())?.zip(&rows) {
        assert!(r?.same(original));
    }

    let refused = compact::decode(COMPRESSED, &Limits::default()).map(drop);
    assert_eq!(refused, Err(DecodeError::NotBuilt { feature: "zstd" }));
    let [small, fast] = [Level::Small, Level::Fast].map(|level| Encoder::numbered().level(level)).map(|mut enc| {
        rows.iter().for_each(|r| enc.push(r).unwrap());
        enc.finish_under(16_184)
    });
    assert_eq!(small?, fast?);
    println!("codec: ok");
    Ok(())
}
