//! Batches of one sensor each, where pco is at its best.

use edge_codec::Reading;
use edge_codec::compact::Level;

use super::sets::Set;
use super::sizes::{pco, print, with_table};
use crate::measure::{Figure, geomean};

const SIZE: usize = 1_000;
const OURS: &str = "codec.bytes.compact.fast.table.series.b1000";

/// A sensor's bytes per reading, ours and pco's.
struct Series {
    name: String,
    readings: usize,
    ours: f64,
    pco: f64,
}

/// Per set, and the sensor that does worst beside pco.
pub(super) fn run(sets: &[Set]) -> Result<(), String> {
    let (mut ours, mut pcos, mut worst) = (Vec::new(), Vec::new(), Vec::new());
    for set in sets {
        let series = measure(set)?;
        let readings: f64 = series.iter().map(|s| s.readings as f64).sum();
        let per_reading = |of: fn(&Series) -> f64| {
            series.iter().map(|s| of(s) * s.readings as f64).sum::<f64>() / readings.max(1.0)
        };
        ours.push(per_reading(|s| s.ours));
        pcos.push(per_reading(|s| s.pco));
        worst.extend(series.into_iter().max_by(|a, b| (a.ours / a.pco).total_cmp(&(b.ours / b.pco))));
    }
    print("codec.bytes.pco.series.b1000", sets, &pcos, "pco", &pcos);
    print(OURS, sets, &ours, "pco", &pcos);
    let figure = |set: &str, value: f64, ratio: f64, baseline: String| Figure {
        figure: format!("{OURS}.worst.{set}"),
        value,
        unit: "B/reading",
        baseline,
        ratio: Some(ratio),
        runs: 1,
    };
    for (set, of) in sets.iter().zip(&worst) {
        figure(set.name, of.ours, of.ours / of.pco, format!("pco, {}", of.name)).print();
    }
    let (ours, pcos): (Vec<f64>, Vec<f64>) = worst.iter().map(|s| (s.ours, s.pco)).unzip();
    figure("geomean", geomean(&ours), geomean(&ours) / geomean(&pcos), "pco".to_owned()).print();
    Ok(())
}

fn measure(set: &Set) -> Result<Vec<Series>, String> {
    let mut all = Vec::new();
    for sensor in &set.sensors {
        // A set of a few hundred rows has no batch of a thousand of one sensor: what there is, then.
        let batches = set.series(sensor.id, SIZE);
        let batches: Vec<&[Reading<'static>]> = batches.iter().map(Vec::as_slice).collect();
        let readings: usize = batches.iter().map(|batch| batch.len()).sum();
        if readings > 0 {
            let per = |bytes: usize| bytes as f64 / readings as f64;
            let ours = per(with_table(set, &batches, Level::Fast)?);
            all.push(Series { name: sensor.name.to_string(), readings, ours, pco: per(pco(set, &batches)?) });
        }
    }
    Ok(all)
}
