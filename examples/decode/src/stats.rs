//! `edge-decode encode --stats`: what each format would take.

use std::io::Write;
use std::sync::Arc;

use edge_codec::Format;
use edge_codec::compact::{Level, Table};

use crate::Failure;
use crate::arguments::Encode;
use crate::encode::{self, Numbers, Source, failed};
use crate::format::NAMES;
use crate::packer::{Packer, Sensors};

const BATCHES: [u32; 4] = [1, 10, 100, 1_000];

/// One line of the table: a format, at every batch size.
struct Line {
    name: String,
    /// True if readings have the table's numbers.
    by_table: bool,
    cells: Vec<Cell>,
    /// The reason why the format cannot carry these readings.
    refused: Option<String>,
}

struct Cell {
    packer: Packer,
    batch: usize,
    bytes: u64,
}

/// All formats and batch sizes at once, in one pass over the input.
pub(crate) fn print(source: &mut Source, options: &Encode, mut out: impl Write) -> Result<(), Failure> {
    let names = source.sensors().clone();
    let Announced { table, numbers, origin } = Announced::of(source, options)?;
    let batches: Vec<u32> = options.batch.map_or(BATCHES.to_vec(), |batch| vec![batch]);
    let mut lines = Vec::new();
    let mut line = |name: String, format, level, sensors: Sensors| {
        let cell = |batch: &u32| {
            let packer = Packer::new(format, level, &names, &sensors)?;
            Some(Cell { packer, batch: *batch as usize, bytes: 0 })
        };
        let by_table = matches!(sensors, Sensors::InTable(_));
        lines.push(Line { name, by_table, cells: batches.iter().filter_map(cell).collect(), refused: None });
    };
    // JSON first: the others are compared with it.
    line("json".to_owned(), Format::Json, Level::Fast, Sensors::InTheBatch);
    for (name, format) in NAMES.into_iter().filter(|(_, f)| !matches!(f, Format::Json | Format::Compact)) {
        line(name.to_owned(), format, Level::Fast, Sensors::InTheBatch);
    }
    for (name, level) in [("fast", Level::Fast), ("small", Level::Small)] {
        line(format!("compact {name}"), Format::Compact, level, Sensors::InTheBatch);
        line(format!("compact {name}, table"), Format::Compact, level, Sensors::InTable(table.clone()));
    }
    let mut readings = 0_u64;
    loop {
        let some = source.next()?;
        if some.is_empty() {
            break;
        }
        readings += some.len() as u64;
        let announced: Vec<_> = some.iter().map(|reading| numbers.reading(reading)).collect();
        for line in &mut lines {
            line.take(if line.by_table { &announced } else { &some })?;
        }
    }
    lines.iter_mut().try_for_each(Line::finish)?;
    let mut text = shown(&lines, &batches, readings, names.len());
    text.push_str(&format!(
        "\nThe session table, {} bytes, is sent once and not in these figures. {origin}\n",
        table.bytes().len()
    ));
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("the output", &error))
}

/// The session table of the lines that have one.
struct Announced {
    table: Arc<Table>,
    numbers: Numbers,
    /// Origin of the table, for the reader.
    origin: String,
}

impl Announced {
    fn of(source: &mut Source, options: &Encode) -> Result<Self, Failure> {
        if let Some(path) = &options.table {
            let (table, numbers) = encode::table(path, source)?;
            return Ok(Self { table, numbers, origin: format!("It is the one in {}.", path.display()) });
        }
        let names = source.sensors().clone();
        let sample = source.sample()?;
        let origin = format!("It was learned from the first {} of the readings.", sample.len());
        let table = Table::learn(1, &names, sample);
        Ok(Self { numbers: Numbers::same(&names), table: Arc::new(table), origin })
    }
}

impl Line {
    /// A format that cannot carry one of the readings says so and takes no more.
    fn take(&mut self, readings: &[edge_codec::Reading<'_>]) -> Result<(), Failure> {
        if self.refused.is_some() {
            return Ok(());
        }
        for cell in &mut self.cells {
            for reading in readings {
                if let Err(error) = cell.packer.push(reading) {
                    self.refused = Some(error.to_string());
                    return Ok(());
                }
                if cell.packer.len() >= cell.batch {
                    cell.finish()?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.cells.iter_mut().try_for_each(Cell::finish)
    }
}

impl Cell {
    fn finish(&mut self) -> Result<(), Failure> {
        while let Some(payload) = self.packer.finish().map_err(|error| failed(&error))? {
            self.bytes += payload.len() as u64;
        }
        Ok(())
    }
}

fn shown(lines: &[Line], batches: &[u32], readings: u64, sensors: usize) -> String {
    let heads: String =
        batches.iter().map(|batch| format!("{:>18}", format!("batches of {batch}"))).collect();
    let mut text = format!(
        "{readings} readings of {sensors} sensors. Bytes per reading, and how often it goes into JSON's:\n\n"
    );
    text.push_str(&format!("{:<22}{heads}\n", ""));
    let per = |bytes: u64| bytes as f64 / readings.max(1) as f64;
    let json: Vec<u64> =
        lines.first().map(|line| line.cells.iter().map(|cell| cell.bytes).collect()).unwrap_or_default();
    for line in lines {
        text.push_str(&format!("{:<22}", line.name));
        if let Some(why) = &line.refused {
            text.push_str(&format!("  cannot: {why}\n"));
            continue;
        }
        for (cell, json) in line.cells.iter().zip(&json) {
            let times = *json as f64 / cell.bytes.max(1) as f64;
            text.push_str(&format!("{:>10.2} {:>6.1}x", per(cell.bytes), times));
        }
        text.push('\n');
    }
    text
}
