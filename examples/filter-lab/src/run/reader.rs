//! Recorded data, one reading at a time, in either of two layouts.

use crate::error::Error;
use crate::input::{Cell, Lines, places};
use edge_filter::{Quality, Value};
use std::collections::VecDeque;
use std::path::Path;

/// One reading.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) time: i64,
    pub(super) sensor: &'a str,
    /// Empty if the file names none.
    pub(super) unit: &'a str,
    pub(super) value: Value<'static>,
    pub(super) quality: Quality,
}

pub(super) struct Reader {
    lines: Lines,
    header: Vec<String>,
    layout: Layout,
    /// Rest of the line: column, time, value, quality.
    line: VecDeque<(usize, i64, Value<'static>, Quality)>,
    /// The name of the long layout's current line.
    name: String,
}

enum Layout {
    /// `ts_ms,sensor,value,quality`: a line per reading.
    Long([usize; 4]),
    /// `ts_ms,<name>:<kind>:<unit>,...`: a line per instant, an empty cell where there is no reading.
    Wide(Vec<Column>),
}

struct Column {
    name: String,
    kind: Kind,
    unit: String,
}

#[derive(Clone, Copy)]
enum Kind {
    Float,
    Integer,
    Boolean,
}

impl Reader {
    pub(super) fn open(file: &Path) -> Result<Self, Error> {
        let mut lines = Lines::open(file)?;
        let header = lines.header()?;
        let layout = if header.iter().any(|name| name == "sensor") {
            Layout::Long(places(file, &header, ["ts_ms", "sensor", "value", "quality"])?)
        } else {
            Layout::Wide(wide(file, &header)?)
        };
        Ok(Reader { lines, header, layout, line: VecDeque::new(), name: String::new() })
    }

    pub(super) fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        while self.line.is_empty() {
            if !self.advance()? {
                return Ok(None);
            }
        }
        let Some((column, time, value, quality)) = self.line.pop_front() else { return Ok(None) };
        let (sensor, unit) = match &self.layout {
            Layout::Long(_) => (self.name.as_str(), ""),
            Layout::Wide(columns) => {
                columns.get(column).map_or(("", ""), |column| (column.name.as_str(), column.unit.as_str()))
            }
        };
        Ok(Some(Record { time, sensor, unit, value, quality }))
    }

    fn advance(&mut self) -> Result<bool, Error> {
        let Some(cells) = self.lines.cells(&self.header)? else { return Ok(false) };
        match &self.layout {
            Layout::Long(places) => {
                let [Some(time), Some(name), Some(value), Some(quality)] =
                    places.map(|place| cells.get(place))
                else {
                    return Ok(true);
                };
                self.name.clear();
                self.name.push_str(&name.text);
                let reading = (0, time.time()?, Value::F64(value.number()?), Quality(quality.quality()?));
                self.line.push_back(reading);
            }
            Layout::Wide(columns) => {
                let Some((time, cells)) = cells.split_first() else { return Ok(true) };
                let time = time.time()?;
                for (column, (cell, Column { kind, .. })) in cells.iter().zip(columns).enumerate() {
                    if !cell.text.is_empty() {
                        self.line.push_back((column, time, kind.value(cell)?, Quality::GOOD));
                    }
                }
            }
        }
        Ok(true)
    }
}

fn wide(file: &Path, header: &[String]) -> Result<Vec<Column>, Error> {
    let wrong = |found: &str| {
        Error::Data(format!(
            "{} line 1: neither ts_ms,sensor,value,quality nor ts_ms,<name>:<f64|int|bool>:<unit>,...: found \"{found}\"",
            file.display()
        ))
    };
    let Some((time, columns)) = header.split_first().filter(|(_, columns)| !columns.is_empty()) else {
        return Err(wrong(&header.join(",")));
    };
    if time != "ts_ms" {
        return Err(wrong(time));
    }
    let column = |text: &String| {
        let mut parts = text.splitn(3, ':');
        let (name, kind) = (parts.next()?, parts.next()?);
        let kind = match kind {
            "f64" => Kind::Float,
            "int" => Kind::Integer,
            "bool" => Kind::Boolean,
            _ => return None,
        };
        Some(Column { name: name.to_owned(), kind, unit: parts.next().unwrap_or("").to_owned() })
    };
    columns.iter().map(|text| column(text).ok_or_else(|| wrong(text))).collect()
}

impl Kind {
    fn value(self, cell: &Cell<'_>) -> Result<Value<'static>, Error> {
        let text = cell.text.trim();
        match self {
            Kind::Float => cell.number().map(Value::F64),
            Kind::Integer => text.parse().map(Value::I64).map_err(|_| cell.must_be("an integer of 64 bits")),
            Kind::Boolean => match text {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(cell.must_be("true, false, 1 or 0")),
            },
        }
    }
}
