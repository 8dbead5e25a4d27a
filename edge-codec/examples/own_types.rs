//! A program keeps its own types: its registry gives names and units, and its measurements become readings and come back.
//!
//! ```text
//! press 3 at 1580515200000: 182.5 bar
//! press 3 at 1580515201000: failed
//! press 7 at 1580515200500: 90 bar
//! refused: sensor 4 is not in the table
//! ```

use edge_codec::{Limits, Reading, Sensor, Sensors, Value, cbor, quality};

/// Number of a press.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Press(u32);

/// Measurement as the rest of the program has it.
#[derive(Clone, Debug, PartialEq)]
struct Pressure {
    press: Press,
    time_ms: i64,
    /// `None` if the transmitter reported a fault.
    bar: Option<f64>,
}

/// Registry of the plant. The encoder asks it for names, so there is no second table to keep in step.
struct Plant {
    presses: Vec<Press>,
}

impl Sensors for Plant {
    fn sensor(&self, id: u32) -> Option<Sensor<'_>> {
        let press = self.presses.iter().find(|press| press.0 == id)?;
        Some(Sensor { id, name: format!("plant/press{}/pressure", press.0).into(), unit: "bar".into() })
    }
}

impl From<&Pressure> for Reading<'static> {
    fn from(pressure: &Pressure) -> Self {
        let (value, quality) = match pressure.bar {
            Some(bar) => (Value::F64(bar), quality::GOOD),
            None => (Value::Null, quality::BAD),
        };
        Reading { sensor: pressure.press.0, time: pressure.time_ms, value, quality }
    }
}

impl TryFrom<Reading<'_>> for Pressure {
    type Error = String;

    fn try_from(reading: Reading<'_>) -> Result<Self, String> {
        let bar = match reading.value {
            _ if quality::is_bad(reading.quality) => None,
            Value::F64(bar) => Some(bar),
            other => return Err(format!("a pressure of {other:?}")),
        };
        Ok(Pressure { press: Press(reading.sensor), time_ms: reading.time, bar })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plant = Plant { presses: vec![Press(3), Press(7)] };
    let measured = [
        Pressure { press: Press(3), time_ms: 1_580_515_200_000, bar: Some(182.5) },
        Pressure { press: Press(3), time_ms: 1_580_515_201_000, bar: None },
        Pressure { press: Press(7), time_ms: 1_580_515_200_500, bar: Some(90.0) },
    ];
    let mut encoder = cbor::Encoder::new(&plant);
    for pressure in &measured {
        encoder.push(&pressure.into())?;
    }
    let bytes = encoder.finish_under(1_000)?;

    let mut received = Vec::new();
    for reading in cbor::decode(&bytes, &Limits::default())? {
        received.push(Pressure::try_from(reading?)?);
    }
    assert_eq!(received, measured);
    for Pressure { press, time_ms, bar } in &received {
        let text = bar.map_or("failed".to_owned(), |bar| format!("{bar} bar"));
        println!("press {} at {time_ms}: {text}", press.0);
    }
    let stranger = Pressure { press: Press(4), time_ms: 0, bar: Some(1.0) };
    match encoder.push(&(&stranger).into()) {
        Err(error) => println!("refused: {error}"),
        Ok(()) => return Err("a press that is not in the registry was taken".into()),
    }
    assert!(encoder.is_empty(), "what is refused is not kept");
    Ok(())
}
