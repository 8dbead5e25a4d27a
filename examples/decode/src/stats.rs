//! `edge-decode encode --stats`: bytes per reading of each format, as a gateway would send the input: with an identity in
//! each batch, and the session table's bytes counted.

use std::io::Write;
use std::sync::Arc;

use edge_codec::compact::{Level, Table};
use edge_codec::json::{self, NonFinite};
use edge_codec::{BatchEncoder, BatchId, Format, Reading};

use crate::Failure;
use crate::arguments::Encode;
use crate::encode::{self, Numbers, Source, failed};
use crate::format_name::NAMES;
use crate::packer::{self, Sensors};

const BATCHES: [u32; 4] = [1, 10, 100, 1_000];
/// Numbers as long as those of a gateway that has run for a while.
const IDENTITY: BatchId = BatchId { gateway: 0x0123_4567_89ab_cdef, lane: 1, epoch: 3, first_seq: 100_000 };
const DAY_MS: f64 = 86_400_000.0;

/// One line of the table: a format, at every batch size.
struct Line {
    name: String,
    /// Set if readings have the table's numbers.
    by_table: bool,
    cells: Vec<Cell>,
    /// Bytes of the session table that fall to these readings.
    announced: u64,
    /// The reason why the format cannot carry these readings.
    refused: Option<String>,
}

struct Cell {
    encoder: Box<dyn BatchEncoder>,
    batch: usize,
    bytes: u64,
}

/// Prints the table of all formats and batch sizes, in one pass over the input.
pub(crate) fn print(source: &mut Source, options: &Encode, mut out: impl Write) -> Result<(), Failure> {
    let names = source.sensors().clone();
    let Announced { table, numbers, origin } = Announced::of(source, options)?;
    let batches: Vec<u32> = options.batch.map_or(BATCHES.to_vec(), |batch| vec![batch]);
    let mut lines = Vec::new();
    let mut line = |name: String, format, level, sensors: Sensors| {
        let cell = |batch: &u32| {
            let mut encoder: Box<dyn BatchEncoder> = match format {
                // As a gateway writes it: a number that JSON has not is null.
                Format::Json => Box::new(json::Encoder::new(names.clone()).non_finite(NonFinite::Null)),
                _ => packer::encoder(format, level, &names, &sensors).ok()?,
            };
            encoder.set_id(IDENTITY);
            Some(Cell { encoder, batch: *batch as usize, bytes: 0 })
        };
        let by_table = matches!(sensors, Sensors::InTable(_));
        let cells = batches.iter().filter_map(cell).collect();
        lines.push(Line { name, by_table, cells, announced: 0, refused: None });
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
    let (mut readings, mut span) = (0_u64, Span::default());
    loop {
        let some = source.next()?;
        if some.is_empty() {
            break;
        }
        readings += some.len() as u64;
        some.iter().for_each(|reading| span.add(reading));
        let announced: Vec<_> = some.iter().map(|reading| numbers.reading(reading)).collect();
        for line in &mut lines {
            line.take(if line.by_table { &announced } else { &some })?;
        }
    }
    lines.iter_mut().try_for_each(Line::finish)?;
    let announced = (table.bytes().len() as f64 * span.days()).round() as u64;
    lines.iter_mut().filter(|line| line.by_table).for_each(|line| line.announced = announced);
    let mut text = shown(&lines, &batches, readings, names.len());
    text.push_str(&format!(
        "\nEach batch has an identity, where its format has a place for one, as a gateway's have. The session table,\n\
         {} bytes, is counted once per day of the readings. {origin}\n",
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
            let mut learned = false;
            let (table, numbers) = encode::table(path, source, |source| {
                learned = true;
                encode::learn_apart(source)
            })?;
            let mut origin = format!("It is the one in {}.", path.display());
            origin.push_str(match learned {
                true => " It was learned from the rows before these.",
                false => " If it was learned from these readings, the figures\nare too small.",
            });
            return Ok(Self { table, numbers, origin });
        }
        let table = encode::learn_apart(source)?;
        let origin = "It was learned from the rows before these.".to_owned();
        Ok(Self { numbers: Numbers::same(source.sensors()), table: Arc::new(table), origin })
    }
}

/// The first and the last time of the readings.
#[derive(Default)]
struct Span(Option<(i64, i64)>);

impl Span {
    fn add(&mut self, reading: &Reading<'_>) {
        let (first, last) = self.0.unwrap_or((reading.time, reading.time));
        self.0 = Some((first.min(reading.time), last.max(reading.time)));
    }

    /// Returns 1 where all readings have one time.
    fn days(&self) -> f64 {
        match self.0 {
            Some((first, last)) if first < last => last.abs_diff(first) as f64 / DAY_MS,
            _ => 1.0,
        }
    }
}

impl Line {
    /// A format that cannot carry one of the readings says so and takes no more.
    fn take(&mut self, readings: &[Reading<'_>]) -> Result<(), Failure> {
        if self.refused.is_some() {
            return Ok(());
        }
        for cell in &mut self.cells {
            for reading in readings {
                if let Err(error) = cell.encoder.push(reading) {
                    self.refused = Some(error.to_string());
                    return Ok(());
                }
                if cell.encoder.len() >= cell.batch {
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
        while let Some(payload) = packer::finish(&mut *self.encoder).map_err(|error| failed(&error))? {
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
    // After a refusal a line has the bytes of some of the readings: nothing can be compared with it.
    let json = lines.first().filter(|line| line.refused.is_none());
    for line in lines {
        text.push_str(&format!("{:<22}", line.name));
        if let Some(why) = &line.refused {
            text.push_str(&format!("  cannot: {why}\n"));
            continue;
        }
        for (place, cell) in line.cells.iter().enumerate() {
            let bytes = cell.bytes + line.announced;
            let json = json.and_then(|json| json.cells.get(place));
            let times = json.map(|json| format!("{:.1}x", json.bytes as f64 / bytes.max(1) as f64));
            text.push_str(&format!("{:>10.2} {:>7}", per(bytes), times.as_deref().unwrap_or("-")));
        }
        text.push('\n');
    }
    text
}
