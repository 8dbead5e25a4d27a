//! Layouts of recordings: a line per reading, or a line per instant with a column per sensor.
//!
//! ```text
//! ts_ms,sensor,value,quality       a line per reading; `unit`, `kind` and `quality` may be missing; without `kind`: numbers, true or false;
//!                                  a name with another unit is another sensor, and an empty unit is one, too
//! ts_ms,TP2:f64:bar,on:bool        a line per instant: name, kind and unit; an empty cell is no reading
//! ts_ms,TP2:bar                    without kinds: numbers, true or false
//! ts_ms,sensor,unit,kind,value,quality,id,topic,gateway
//!                                  as `edge-decode subscribe` writes it: a sensor of two topics or gateways is refused
//! ts_ms,sensor,value,quality,reason
//!                                  as `filter-lab` writes it, and as `edge-decode` its own: escapes in names are undone
//! time,value                       one sensor
//! 1580515200000,0.5                without a header: `value`, or `value1`, `value2`, …
//! ```

use std::borrow::Cow;
use std::collections::HashMap;

use edge_codec::Value;

use crate::origins::Origins;
use crate::written_cell::unescaped;
use crate::{Cell, CsvError, Lines, TimeUnit};

/// Names of a time's column; `_ms`, `_s`, `_us` or `_ns` may follow.
const TIMES: [&str; 7] = ["ts", "t", "time", "timestamp", "date", "datetime", "date_time"];

/// A sensor of the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Unit; empty if the file names none.
    pub unit: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Integer,
    Boolean,
    /// Kind that the file does not name: a value is a float, or `true` or `false`.
    Open,
}

/// A reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Index of its [`Column`].
    pub column: usize,
    /// Milliseconds since 1970.
    pub time: i64,
    /// Value of the reading.
    pub value: Value<'static>,
    /// OPC UA status code, 0 = good.
    pub quality: u32,
}

/// A recording, read line by line: its memory is that of one line, and of the names.
#[derive(Debug)]
pub struct Recording {
    lines: Lines,
    header: Vec<String>,
    layout: Layout,
    columns: Vec<Column>,
    skip_bad: bool,
    skipped: u64,
    first_skipped: Option<CsvError>,
}

#[derive(Debug)]
enum Layout {
    /// A line per reading. Sensors are numbered as they come: `numbers` has those of each name, one for each unit.
    Long { places: LongPlaces, numbers: HashMap<String, Vec<usize>>, origins: Origins },
    /// A line per instant.
    Wide,
}

/// Headers of files whose texts are [`Field`](crate::Field)s: those of `edge-decode`, from files and from a hub, and of `filter-lab`. A backslash of other
/// programs is one.
const OURS: [&str; 3] =
    ["ts_ms,sensor,unit,kind,value,quality,id", FROM_A_HUB, "ts_ms,sensor,value,quality,reason"];

/// The one whose lines come from several gateways.
const FROM_A_HUB: &str = "ts_ms,sensor,unit,kind,value,quality,id,topic,gateway";

#[derive(Clone, Copy, Debug)]
struct LongPlaces {
    time: usize,
    sensor: usize,
    value: usize,
    unit: Option<usize>,
    kind: Option<usize>,
    quality: Option<usize>,
    /// Set if names and units are escaped.
    is_escaped: bool,
}

impl Recording {
    /// Reads the header.
    ///
    /// # Errors
    /// The layout is none of those that are known.
    pub fn new(mut lines: Lines) -> Result<Self, CsvError> {
        let mut header = lines.header()?;
        let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
        let mut columns = Vec::new();
        let layout = if let (Some(sensor), Some(value)) = (place("sensor"), place("value")) {
            let time =
                header.iter().position(|name| is_time(name)).ok_or_else(|| no_layout(&lines, &header))?;
            let (unit, kind, quality) = (place("unit"), place("kind"), place("quality"));
            let header = header.join(",");
            let is_escaped = OURS.contains(&header.as_str());
            let origins = Origins::new(header == FROM_A_HUB);
            let places = LongPlaces { time, sensor, value, unit, kind, quality, is_escaped };
            Layout::Long { places, numbers: HashMap::new(), origins }
        } else {
            if lines.is_data(&header) {
                lines.keep();
                let names = header.len();
                let name = |n: usize| if names == 2 { "value".to_owned() } else { format!("value{n}") };
                header = (0..names).map(|n| if n == 0 { "time".to_owned() } else { name(n) }).collect();
            }
            columns = wide(&lines, &header)?;
            Layout::Wide
        };
        Ok(Self { lines, header, layout, columns, skip_bad: false, skipped: 0, first_skipped: None })
    }

    /// Passes over lines that cannot be read, and counts them.
    #[must_use]
    pub fn skip_bad(mut self, on: bool) -> Self {
        self.skip_bad = on;
        self
    }

    /// The sensors; in a file with a line per reading, those that have come so far.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns whether sensors can come that no header names.
    #[must_use]
    pub fn is_open_ended(&self) -> bool {
        matches!(self.layout, Layout::Long { .. })
    }

    /// Lines that were passed over, in words; `None` if there were none.
    #[must_use]
    pub fn skipped(&self) -> Option<String> {
        let first = self.first_skipped.as_ref()?;
        Some(format!("lines passed over that could not be read: {}; the first: {first}", self.skipped))
    }

    /// Appends the readings of the next line; `false` at the end.
    ///
    /// # Errors
    /// A cell is not what its column says, or the file cannot be read.
    pub fn next_line(&mut self, out: &mut Vec<Row>) -> Result<bool, CsvError> {
        loop {
            let before = out.len();
            match self.line(out) {
                Err(error) if self.skip_bad && error.is_line => {
                    out.truncate(before);
                    self.skipped += 1;
                    self.first_skipped.get_or_insert(error);
                }
                other => return other,
            }
        }
    }

    fn line(&mut self, out: &mut Vec<Row>) -> Result<bool, CsvError> {
        let Some(cells) = self.lines.cells(&self.header)? else { return Ok(false) };
        match &mut self.layout {
            Layout::Long { places, numbers, origins } => {
                let row = long_row(&cells, *places, numbers, &mut self.columns)?;
                if let Some(row) = &row {
                    origins.check(row.column, &cells)?;
                }
                out.extend(row);
            }
            Layout::Wide => {
                let Some((time, cells)) = cells.split_first() else { return Ok(true) };
                let time = time.time()?;
                for (column, (cell, Column { kind, .. })) in cells.iter().zip(&self.columns).enumerate() {
                    if !cell.text.trim().is_empty() {
                        out.push(Row { column, time, value: kind.value(cell)?, quality: 0 });
                    }
                }
            }
        }
        Ok(true)
    }
}

impl Lines {
    /// Returns whether the first line is a time and numbers, hence no header.
    fn is_data(&self, header: &[String]) -> bool {
        let cells: Vec<Cell<'_>> = header.iter().map(|text| self.cell(text)).collect();
        let [time, values @ ..] = cells.as_slice() else { return false };
        !values.is_empty() && time.is_time() && values.iter().all(Cell::is_number)
    }
}

fn long_row(
    cells: &[Cell<'_>],
    places: LongPlaces,
    numbers: &mut HashMap<String, Vec<usize>>,
    columns: &mut Vec<Column>,
) -> Result<Option<Row>, CsvError> {
    let at = |place: usize| cells.get(place);
    let (Some(time), Some(name), Some(value)) = (at(places.time), at(places.sensor), at(places.value)) else {
        return Ok(None);
    };
    let kind = match places.kind.and_then(at) {
        None => Kind::Open,
        Some(cell) => Kind::named(&cell.text).ok_or_else(|| cell.must_be("f64, int or bool"))?,
    };
    let quality = places.quality.and_then(at).map_or(Ok(0), Cell::quality)?;
    let (time, value) = (time.time()?, kind.value(value)?);
    let text = |text| if places.is_escaped { unescaped(text) } else { Cow::Borrowed(text) };
    let name = text(name.text.as_ref());
    let unit = text(places.unit.and_then(at).map_or("", |cell| cell.text.trim()));
    let has_unit = |column: &&usize| columns.get(**column).is_some_and(|column| column.unit == unit);
    let known = numbers.get(name.as_ref()).and_then(|named| named.iter().find(has_unit).copied());
    let column = known.unwrap_or_else(|| {
        let (name, unit) = (name.into_owned(), unit.into_owned());
        numbers.entry(name.clone()).or_default().push(columns.len());
        columns.push(Column { name, unit, kind });
        columns.len() - 1
    });
    Ok(Some(Row { column, time, value, quality }))
}

fn is_time(name: &str) -> bool {
    let (_, bare) = TimeUnit::split_name(name);
    TIMES.iter().any(|time| bare.eq_ignore_ascii_case(time))
}

fn no_layout(lines: &Lines, header: &[String]) -> CsvError {
    let what = format!(
        "no layout that is known: a header is ts_ms,NAME:KIND:UNIT,... with the kinds f64, int and bool, or time,value, or \
         ts_ms,sensor,value,quality; found \"{}\"",
        header.join(",")
    );
    CsvError::file(lines.place(), what)
}

fn wide(lines: &Lines, header: &[String]) -> Result<Vec<Column>, CsvError> {
    let (time, columns) = header.split_first().ok_or_else(|| no_layout(lines, header))?;
    if columns.is_empty() || !is_time(time) {
        return Err(no_layout(lines, header));
    }
    columns.iter().map(|text| column(lines, text)).collect()
}

/// `NAME`, `NAME:UNIT`, `NAME:KIND` or `NAME:KIND:UNIT`; with a kind and a unit the name may have colons.
fn column(lines: &Lines, text: &str) -> Result<Column, CsvError> {
    let place = || format!("{}, column {text}", lines.place());
    let parts: Vec<&str> = text.rsplitn(3, ':').collect();
    let (name, kind, unit) = match parts[..] {
        [unit, kind, name] => {
            let known = Kind::named(kind);
            let what = "not NAME:KIND:UNIT with the kind f64, int or bool";
            (name, known.ok_or_else(|| CsvError::file(place(), what))?, unit)
        }
        [last, name] => match Kind::named(last) {
            Some(kind) => (name, kind, ""),
            None => (name, Kind::Open, last),
        },
        _ => (text, Kind::Open, ""),
    };
    if name.is_empty() {
        return Err(CsvError::file(place(), "a sensor without a name"));
    }
    Ok(Column { name: name.to_owned(), unit: unit.to_owned(), kind })
}

impl Kind {
    fn named(text: &str) -> Option<Self> {
        match text.trim() {
            "f64" => Some(Self::Float),
            "int" => Some(Self::Integer),
            "bool" => Some(Self::Boolean),
            _ => None,
        }
    }

    fn value(self, cell: &Cell<'_>) -> Result<Value<'static>, CsvError> {
        let text = cell.text.trim();
        match self {
            Self::Float => cell.number().map(Value::F64),
            Self::Integer => {
                let value = text.parse().map(Value::I64).or_else(|_| text.parse().map(Value::U64));
                value.map_err(|_| cell.must_be("an integer of 64 bits"))
            }
            Self::Boolean => boolean(text)
                .or_else(|| Some(text == "1").filter(|_| matches!(text, "0" | "1")))
                .map(Value::Bool)
                .ok_or_else(|| cell.must_be("true, false, 1 or 0")),
            Self::Open => boolean(text).map_or_else(|| cell.number().map(Value::F64), |v| Ok(Value::Bool(v))),
        }
    }
}

fn boolean(text: &str) -> Option<bool> {
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests;
