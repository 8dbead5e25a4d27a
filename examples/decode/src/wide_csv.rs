//! Wide CSV: one row per instant, one column per sensor.
//!
//! ```text
//! ts_ms,TP2:f64:bar,starts:int:,on:bool:
//! 1580515200000,-0.012,,1
//! ```
//! Kinds are `f64`, `int` and `bool` (0, 1, false, true). An empty cell is no reading at that instant. Nothing is quoted:
//! names and units have no comma; a name may have colons.

use std::io::{BufRead, Read};

use edge_codec::{Reading, SensorTable, Value};

/// Of one line: thousands of sensors.
const LINE_BYTES_MAX: usize = 1 << 20;
const FIRST_COLUMN: &str = "ts_ms";

/// Error in a CSV file, with its place.
#[derive(Debug, thiserror::Error)]
#[error("line {line}{}: {what}", column.as_ref().map(|name| format!(", {name}")).unwrap_or_default())]
pub(crate) struct CsvError {
    line: u64,
    column: Option<String>,
    what: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    F64,
    Int,
    Bool,
}

/// Reads row by row: its memory is that of one line.
pub(crate) struct WideCsv<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    cells: Vec<Cell>,
    sensors: SensorTable<'static>,
}

impl<R: BufRead> WideCsv<R> {
    /// Reads the header: sensor n is column n + 1.
    pub(crate) fn new(input: R) -> Result<Self, CsvError> {
        let sensors = SensorTable::new();
        let mut csv = Self { input, line: Vec::new(), number: 0, cells: Vec::new(), sensors };
        if !csv.read_line()? {
            return Err(csv.wrong(None, "there is no header"));
        }
        let line = std::mem::take(&mut csv.line);
        let text = csv.text(&line)?;
        let mut columns = text.split(',');
        if columns.next() != Some(FIRST_COLUMN) {
            return Err(csv.wrong(None, "the header does not begin with ts_ms"));
        }
        for (column, sensor) in columns.zip(0..) {
            let mut parts = column.rsplitn(3, ':');
            let (unit, kind, name) = (parts.next(), parts.next(), parts.next());
            let cell = match kind {
                Some("f64") => Cell::F64,
                Some("int") => Cell::Int,
                Some("bool") => Cell::Bool,
                _ => return Err(csv.wrong(Some(column), "not NAME:KIND:UNIT with the kind f64, int or bool")),
            };
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                return Err(csv.wrong(Some(column), "a sensor without a name"));
            };
            csv.cells.push(cell);
            csv.sensors.insert(sensor, name.to_owned(), unit.unwrap_or("").to_owned());
        }
        Ok(csv)
    }

    pub(crate) fn sensors(&self) -> &SensorTable<'static> {
        &self.sensors
    }

    /// Appends the readings of the next row; `false` at the end.
    pub(crate) fn row(&mut self, out: &mut Vec<Reading<'static>>) -> Result<bool, CsvError> {
        if !self.read_line()? {
            return Ok(false);
        }
        let line = std::mem::take(&mut self.line);
        let text = self.text(&line)?;
        let mut fields = text.split(',');
        let time = fields.next().and_then(|time| time.parse::<i64>().ok());
        let Some(time) = time else { return Err(self.wrong(Some(FIRST_COLUMN), "not a whole number of ms")) };
        let mut cells = self.cells.iter().zip(0_u32..);
        for field in fields {
            let Some((cell, sensor)) = cells.next() else {
                return Err(
                    self.wrong(None, format!("more than the header's {} columns", self.cells.len() + 1))
                );
            };
            if field.is_empty() {
                continue;
            }
            let Some(value) = value(*cell, field) else {
                let name = self.sensors.get(sensor).map_or("", |sensor| &sensor.name);
                return Err(self.wrong(Some(name), format!("\"{field}\" is not of the kind {cell:?}")));
            };
            out.push(Reading { sensor, time, value, quality: 0 });
        }
        if cells.next().is_some() {
            return Err(self.wrong(None, format!("less than the header's {} columns", self.cells.len() + 1)));
        }
        self.line = line;
        Ok(true)
    }

    fn read_line(&mut self) -> Result<bool, CsvError> {
        self.line.clear();
        self.number += 1;
        let read = self.input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.line);
        read.map_err(|error| self.wrong(None, error.to_string()))?;
        if self.line.len() > LINE_BYTES_MAX {
            return Err(self.wrong(None, format!("over the limit of {LINE_BYTES_MAX} bytes")));
        }
        let end = self.line.trim_ascii_end().len();
        self.line.truncate(end);
        Ok(end > 0)
    }

    fn text<'a>(&self, line: &'a [u8]) -> Result<&'a str, CsvError> {
        std::str::from_utf8(line).map_err(|error| self.wrong(None, error.to_string()))
    }

    fn wrong(&self, column: Option<&str>, what: impl Into<String>) -> CsvError {
        CsvError { line: self.number, column: column.map(str::to_owned), what: what.into() }
    }
}

fn value(cell: Cell, field: &str) -> Option<Value<'static>> {
    match cell {
        Cell::F64 => field.parse().ok().map(Value::F64),
        Cell::Int => field.parse().map(Value::I64).or_else(|_| field.parse().map(Value::U64)).ok(),
        Cell::Bool => match field {
            "1" | "true" => Some(Value::Bool(true)),
            "0" | "false" => Some(Value::Bool(false)),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Reading<'static>>, String> {
        let mut csv = WideCsv::new(text.as_bytes()).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        while csv.row(&mut out).map_err(|error| error.to_string())? {}
        Ok(out)
    }

    #[test]
    fn cells_become_readings_and_empty_ones_none() {
        let readings =
            read("ts_ms,a:x:f64:bar,n:int:,on:bool:\r\n5,-0.0,,1\n6,,18446744073709551615,\n").unwrap();
        let values: Vec<_> = readings.iter().map(|r| (r.sensor, r.time, r.value.clone())).collect();
        let expected = [(0, 5, Value::F64(-0.0)), (2, 5, Value::Bool(true)), (1, 6, Value::U64(u64::MAX))];
        assert_eq!(values, expected);
        let csv = WideCsv::new("ts_ms,a:x:f64:bar\n".as_bytes()).unwrap();
        assert_eq!(csv.sensors().get(0).map(|s| (s.name.as_ref(), s.unit.as_ref())), Some(("a:x", "bar")));
    }

    #[test]
    fn every_mistake_has_its_line_and_its_column() {
        for (text, said) in [
            ("", "line 1: there is no header"),
            ("time,a:f64:\n", "line 1: the header does not begin with ts_ms"),
            ("ts_ms,a:f32:\n", "line 1, a:f32:: not NAME:KIND:UNIT"),
            ("ts_ms,:f64:\n", "line 1, :f64:: a sensor without a name"),
            ("ts_ms,a:int:\n1,2\n1.5,2\n", "line 3, ts_ms: not a whole number"),
            ("ts_ms,a:int:\n1,2.5\n", "line 2, a: \"2.5\" is not of the kind Int"),
            ("ts_ms,a:int:\n1,2,3\n", "line 2: more than the header's 2 columns"),
            ("ts_ms,a:int:,b:int:\n1,2\n", "line 2: less than the header's 3 columns"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        let long = format!("ts_ms,a:int:\n{}", "1".repeat(LINE_BYTES_MAX + 1));
        assert!(read(&long).unwrap_err().contains("over the limit"));
    }
}
