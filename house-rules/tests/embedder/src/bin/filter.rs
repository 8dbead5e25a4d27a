//! A pipeline from TOML, and one stage alone.

use edge_filter::reduce::{Deadband, DeadbandState};
use edge_filter::{Emit, Outcome, Pipeline, Quality, Reading, Value};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now_ms = 1_580_515_200_000;
    let mut out: Vec<Emit> = Vec::new();

    let mut p = Pipeline::from_toml(include_str!("../rules.toml"))?;
    let sensor = p.intern("line2/temp");
    for (step, value) in [20.0, 20.1, 21.0].into_iter().enumerate() {
        let (time, value, quality) = (now_ms + step as i64, Value::F64(value), Quality::GOOD);
        match p.process(Reading { sensor, time, value, quality }, now_ms, &mut |e| out.push(e)) {
            Outcome::Emit(e) => out.push(e),
            Outcome::Held | Outcome::Drop(_) => {}
        }
    }
    assert_eq!(out.len(), 2, "20.1 is inside the deadband");

    let db = Deadband::absolute(0.5)?;
    let mut state = DeadbandState::default();
    let mut reported = Vec::new();
    for (time, value) in [(0, 20.0), (1, 20.2), (2, 21.0)] {
        if let Some(why) = db.check(&mut state, Value::F64(value), Quality::GOOD, time) {
            reported.push((time, why));
        }
    }
    assert_eq!(reported.len(), 2);
    println!("filter: ok");
    Ok(())
}
