//! `edge-decode encode`.

use std::io::{BufRead, Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use edge_codec::compact::Table;
use edge_codec::{EncodeError, Format, Reading, SensorTable};

use crate::arguments::Encode;
use crate::packer::{Packer, Sensors};
use crate::wide_csv::WideCsv;
use crate::{Failure, Outcome, frames, input, stats};

/// Some hundred readings of each sensor are what a table learns from.
const SAMPLE_ROWS: usize = 400;
const SAMPLE_READINGS: usize = 65_536;
const BATCH_DEFAULT: u32 = 1_000;
const SAMPLE: &str = include_str!("../data/compressor.csv");

/// Readings of the input: the first ones again, then the rest, row by row.
pub(crate) struct Source {
    csv: WideCsv<Box<dyn BufRead>>,
    /// Read ahead; what is left of it comes first.
    ahead: Vec<Reading<'static>>,
    name: String,
}

impl Source {
    fn open(options: &Encode) -> Result<Self, Failure> {
        let (name, input): (_, Box<dyn BufRead>) = match &options.input {
            _ if options.sample => ("the sample".to_owned(), Box::new(Cursor::new(SAMPLE))),
            None => ("standard input".to_owned(), input::open(None)?),
            Some(path) => (path.display().to_string(), input::open(Some(path))?),
        };
        let csv = WideCsv::new(input::unpacked(input)?);
        let csv = csv.map_err(|error| Failure::Failed(format!("{name}: {error}")))?;
        Ok(Self { csv, ahead: Vec::new(), name })
    }

    pub(crate) fn sensors(&self) -> &SensorTable<'static> {
        self.csv.sensors()
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

    /// The readings of some rows; none at the end.
    pub(crate) fn next(&mut self) -> Result<Vec<Reading<'static>>, Failure> {
        while self.ahead.is_empty() && self.row()? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn row(&mut self) -> Result<bool, Failure> {
        self.csv.row(&mut self.ahead).map_err(|error| Failure::Failed(format!("{}: {error}", self.name)))
    }
}

pub(crate) fn run(options: &Encode) -> Outcome {
    if options.table.is_some() && options.format.0 != Format::Compact {
        return Err(Failure::Usage("--table is for --format compact".to_owned()));
    }
    let mut source = Source::open(options)?;
    let out = input::create(options.output.as_deref())?;
    if options.stats {
        return stats::print(&mut source, options, out).map(|()| true);
    }
    encode(options, source, out).map(|()| true)
}

fn encode(options: &Encode, mut source: Source, mut out: impl Write) -> Result<(), Failure> {
    let names = source.sensors().clone();
    let (sensors, numbers) = match &options.table {
        None => (Sensors::InTheBatch, Numbers::same(&names)),
        Some(path) => {
            let (table, numbers) = table(path, &mut source)?;
            (Sensors::InTable(table), numbers)
        }
    };
    let packer = Packer::new(options.format.0, options.level.codec(), &names, &sensors);
    let mut packer = packer.ok_or_else(|| Failure::Usage("this format cannot be written".to_owned()))?;
    let batch = options.batch.unwrap_or(BATCH_DEFAULT) as usize;
    let written = |error: &std::io::Error| Failure::io("the output", error);
    loop {
        let readings = source.next()?;
        for reading in &readings {
            packer.push(&numbers.reading(reading)).map_err(|error| failed(&error))?;
            if packer.len() >= batch {
                flush(&mut packer, &mut out)?;
            }
        }
        if readings.is_empty() {
            flush(&mut packer, &mut out)?;
            return out.flush().map_err(|error| written(&error));
        }
    }
}

fn flush(packer: &mut Packer, out: &mut impl Write) -> Result<(), Failure> {
    while let Some(payload) = packer.finish().map_err(|error| failed(&error))? {
        frames::write(out, &payload).map_err(|error| Failure::io("the output", &error))?;
    }
    Ok(())
}

/// The table in the file, without a file one that is made of the first rows, and written; and its numbers.
pub(crate) fn table(path: &Path, source: &mut Source) -> Result<(Arc<Table>, Numbers), Failure> {
    let names = source.sensors().clone();
    let table = match input::table(path)? {
        Some(table) => table,
        None => {
            let table = Table::learn(1, &names, source.sample()?);
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
