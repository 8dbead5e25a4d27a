//! `edge-decode encode`.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use edge_codec::compact::Table;
use edge_codec::{BatchEncoder, EncodeError, Format, Reading, SensorTable};
use edge_csv::{CsvError, Lines, Recording, Row};

use crate::arguments::Encode;
use crate::packer::{self, Sensors};
use crate::{Failure, Outcome, frames, input, stats, tell};

/// Most lines from which a table learns, because some hundred readings of each sensor are enough.
const SAMPLE_ROWS: usize = 400;
const SAMPLE_READINGS: usize = 65_536;
const BATCH_DEFAULT: u32 = 1_000;
const SAMPLE: &str = include_str!("../data/compressor.csv");

/// Readings of the input: the first ones again, then the rest, row by row.
pub(crate) struct Source {
    recording: Recording,
    sensors: SensorTable<'static>,
    /// Readings of the present line.
    line: Vec<Row>,
    /// Read ahead; what is left of it comes first.
    ahead: Vec<Reading<'static>>,
}

impl Source {
    fn open(options: &Encode) -> Result<Self, Failure> {
        let mut recording = open(options)?;
        if recording.is_open_ended() {
            // A line per reading: the whole file says which sensors there are.
            if options.input.is_none() {
                let what = "standard input: a line per reading is read from a file (--in), twice";
                return Err(Failure::Usage(what.to_owned()));
            }
            let mut line = Vec::new();
            while recording.next_line(&mut line).map_err(|error| wrong(&error))? {
                line.clear();
            }
        }
        let mut sensors = SensorTable::new();
        for (column, number) in recording.columns().iter().zip(0..) {
            sensors.insert(number, column.name.clone(), column.unit.clone());
        }
        if recording.is_open_ended() {
            recording = open(options)?;
        }
        Ok(Self { recording, sensors, line: Vec::new(), ahead: Vec::new() })
    }

    pub(crate) fn sensors(&self) -> &SensorTable<'static> {
        &self.sensors
    }

    /// The first rows, which stay in the source.
    pub(crate) fn sample(&mut self) -> Result<&[Reading<'static>], Failure> {
        let (mut rows, mut more) = (0, true);
        while more && rows < SAMPLE_ROWS && self.ahead.len() < SAMPLE_READINGS {
            more = self.row()?;
            rows += 1;
        }
        Ok(&self.ahead)
    }

    /// The readings of the first rows, of a short input those of its first half; they leave the source.
    fn take_sample(&mut self) -> Result<Vec<Reading<'static>>, Failure> {
        let mut ends = Vec::new();
        while ends.len() < 2 * SAMPLE_ROWS && self.ahead.len() < 2 * SAMPLE_READINGS && self.row()? {
            ends.push(self.ahead.len());
        }
        let taken = ends.len().checked_div(2).and_then(|half| ends.get(half.checked_sub(1)?));
        let rest = self.ahead.split_off(taken.copied().unwrap_or(0));
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// The readings of some rows; none at the end.
    pub(crate) fn next(&mut self) -> Result<Vec<Reading<'static>>, Failure> {
        while self.ahead.is_empty() && self.row()? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Says how many lines were passed over.
    fn finish(&self) {
        if let Some(skipped) = self.recording.skipped() {
            tell(skipped);
        }
    }

    fn row(&mut self) -> Result<bool, Failure> {
        let more = self.recording.next_line(&mut self.line).map_err(|error| wrong(&error))?;
        for Row { column, time, value, quality } in self.line.drain(..) {
            let sensor = u32::try_from(column).unwrap_or(u32::MAX);
            self.ahead.push(Reading { sensor, time, value, quality });
        }
        Ok(more)
    }
}

fn open(options: &Encode) -> Result<Recording, Failure> {
    let lines = match &options.input {
        _ if options.sample => Lines::new("the sample", Box::new(Cursor::new(SAMPLE))),
        None => Lines::new("standard input", input::open(None)?),
        Some(path) => Lines::new(path.display().to_string(), input::open(Some(path))?),
    };
    let lines = lines.map(|lines| lines.time_unit(options.time_unit));
    let recording = lines.and_then(Recording::new).map_err(|error| wrong(&error))?;
    Ok(recording.skip_bad(options.skip_bad))
}

fn wrong(error: &CsvError) -> Failure {
    Failure::Failed(error.to_string())
}

pub(crate) fn run(options: &Encode) -> Outcome {
    if options.table.is_some() && options.format.0 != Format::Compact {
        return Err(Failure::Usage("--table is for --format compact".to_owned()));
    }
    let read = [&options.input, &options.table].into_iter().flatten();
    input::refuse_to_overwrite(read, options.output.as_deref())?;
    let mut source = Source::open(options)?;
    let out = input::create(options.output.as_deref())?;
    match options.stats {
        true => stats::print(&mut source, options, out)?,
        false => encode(options, &mut source, out)?,
    }
    source.finish();
    Ok(true)
}

fn encode(options: &Encode, source: &mut Source, mut out: impl Write) -> Result<(), Failure> {
    let names = source.sensors().clone();
    let (sensors, numbers) = match &options.table {
        None => (Sensors::InTheBatch, Numbers::same(&names)),
        Some(path) => {
            let (table, numbers) = table(path, source, learn)?;
            (Sensors::InTable(table), numbers)
        }
    };
    let encoder = packer::encoder(options.format.0, options.level.codec(), &names, &sensors);
    let mut encoder = encoder.map_err(|error| Failure::Usage(error.to_string()))?;
    let batch = options.batch.unwrap_or(BATCH_DEFAULT) as usize;
    let written = |error: &std::io::Error| Failure::io("the output", error);
    loop {
        let readings = source.next()?;
        for reading in &readings {
            encoder.push(&numbers.reading(reading)).map_err(|error| failed(&error))?;
            if encoder.len() >= batch {
                flush(&mut *encoder, &mut out)?;
            }
        }
        if readings.is_empty() {
            flush(&mut *encoder, &mut out)?;
            return out.flush().map_err(|error| written(&error));
        }
    }
}

fn flush(encoder: &mut dyn BatchEncoder, out: &mut impl Write) -> Result<(), Failure> {
    while let Some(payload) = packer::finish(encoder).map_err(|error| failed(&error))? {
        frames::write(out, &payload).map_err(|error| Failure::io("the output", &error))?;
    }
    Ok(())
}

/// Makes a table of the first rows, which are encoded too.
fn learn(source: &mut Source) -> Result<Table, Failure> {
    let names = source.sensors().clone();
    Ok(Table::learn(1, &names, source.sample()?))
}

/// Makes a table of the first rows, and leaves to the source what the table has not seen.
pub(crate) fn learn_apart(source: &mut Source) -> Result<Table, Failure> {
    let sample = source.take_sample()?;
    Ok(Table::learn(1, source.sensors(), &sample))
}

/// The table in the file, without a file one that is learned, and written; and its numbers.
pub(crate) fn table(
    path: &Path,
    source: &mut Source,
    learn: impl FnOnce(&mut Source) -> Result<Table, Failure>,
) -> Result<(Arc<Table>, Numbers), Failure> {
    let names = source.sensors().clone();
    let table = match input::table(path)? {
        Some(table) => table,
        None => {
            let table = learn(source)?;
            input::check_table(path, &table)?;
            input::save_table(path, &table)?;
            table
        }
    };
    let numbers = Numbers::of(&names, &table);
    let numbers = numbers.map_err(|what| Failure::Failed(format!("{}: {what}", path.display())))?;
    Ok((Arc::new(table), numbers))
}

/// Number of each column's sensor in a batch.
pub(crate) struct Numbers(Vec<u32>);

impl Numbers {
    /// The columns' own.
    pub(crate) fn same(names: &SensorTable<'_>) -> Self {
        Self(names.iter().map(|sensor| sensor.id).collect())
    }

    fn of(names: &SensorTable<'_>, table: &Table) -> Result<Self, String> {
        let number = |wanted: &edge_codec::Sensor<'_>| {
            let found = table.sensors().find(|s| s.name == wanted.name && s.unit == wanted.unit);
            found
                .map(|s| s.id)
                .ok_or_else(|| format!("the table has no sensor {} in {:?}", wanted.name, wanted.unit))
        };
        names.iter().map(number).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn reading<'a>(&self, reading: &Reading<'a>) -> Reading<'a> {
        let sensor = self.0.get(reading.sensor as usize).copied().unwrap_or(u32::MAX);
        Reading { sensor, ..reading.clone() }
    }
}

pub(crate) fn failed(error: &EncodeError) -> Failure {
    Failure::Failed(error.to_string())
}
