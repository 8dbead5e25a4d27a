//! Lines and cells of a CSV file; every error names file, line and column.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use edge_codec::json;
use flate2::bufread::MultiGzDecoder;

use crate::{CsvError, TimeUnit};

/// Most bytes of a line, which are enough for thousands of sensors.
const LINE_MAX: usize = 1 << 20;
/// First bytes of a gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Most characters of a cell that an error shows.
const SHOWN: usize = 40;

/// The lines of a file, read one at a time.
pub struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    number: u64,
    line: String,
    separator: char,
    /// The present line is given out once more.
    is_kept: bool,
    /// Unit of times that the caller names.
    time_unit: Option<TimeUnit>,
    /// Set until a time has been read.
    is_untimed: std::cell::Cell<bool>,
}

/// Cell of a line, with its place.
pub struct Cell<'a> {
    /// Text of the cell, without quotes.
    pub text: Cow<'a, str>,
    column: &'a str,
    lines: Place<'a>,
}

/// Place of a cell's line, and what the whole file has in common.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: u64,
    file: &'a str,
    separator: char,
    time_unit: Option<TimeUnit>,
    is_untimed: &'a std::cell::Cell<bool>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of {}", self.number, self.name)
    }
}

impl Lines {
    /// Opens a file, plain or gzip.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(file: &Path) -> Result<Self, CsvError> {
        let name = file.display().to_string();
        let opened = File::open(file).map_err(|error| unreadable(&name, &error))?;
        Self::new(name, Box::new(BufReader::new(opened)))
    }

    /// Reads a stream, plain or gzip. `name` is for errors.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(name: impl Into<String>, mut reader: Box<dyn BufRead>) -> Result<Self, CsvError> {
        let name = name.into();
        let start = reader.fill_buf().map_err(|error| unreadable(&name, &error))?;
        if start.starts_with(&GZIP_MAGIC) {
            reader = Box::new(BufReader::new(MultiGzDecoder::new(reader)));
        }
        Ok(Self {
            name,
            reader,
            number: 0,
            line: String::new(),
            separator: ',',
            is_kept: false,
            time_unit: None,
            is_untimed: std::cell::Cell::new(true),
        })
    }

    /// Names the unit of times that are numbers. It wins over the column's name, and numbers of any size are taken; `None` leaves it to the name.
    #[must_use]
    pub fn time_unit(mut self, unit: Option<TimeUnit>) -> Self {
        self.time_unit = unit;
        self
    }

    /// Returns the first line's cells, and from them on knows what separates cells. A line `sep=;` before it, as Excel reads and some programs
    /// write it, says so itself.
    ///
    /// # Errors
    /// There is no line, it is no text, or `sep=` names no comma, semicolon or tab.
    pub fn header(&mut self) -> Result<Vec<String>, CsvError> {
        if !self.advance()? {
            return Err(CsvError::file(&self.name, "empty: a header is missing"));
        }
        if let Some(text) = self.line.strip_prefix('\u{feff}') {
            self.line = text.to_owned();
        }
        self.separator = match named_separator(&self.line) {
            None => separator(&self.line),
            Some(Some(named)) => {
                if !self.advance()? {
                    return Err(CsvError::file(&self.name, "a header is missing behind sep="));
                }
                named
            }
            Some(None) => {
                let what = format!("sep= must name a comma, a semicolon or a tab, found \"{}\"", self.line);
                return Err(CsvError::file(self.place(), what));
            }
        };
        Ok(split(&self.line, self.separator).iter().map(|name| name.trim().to_owned()).collect())
    }

    /// The present line is the next one, too: what was read as a header was none.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// The cells of the next line that is not empty, one for each of `columns`; `None` at the end.
    ///
    /// # Errors
    /// The line is no text, has another number of cells, or cannot be read.
    pub fn cells<'a>(&'a mut self, columns: &'a [String]) -> Result<Option<Vec<Cell<'a>>>, CsvError> {
        if !self.advance()? {
            return Ok(None);
        }
        let place = self.shared();
        let texts = split(&self.line, self.separator);
        if texts.len() != columns.len() {
            let (expected, found) = (columns.len(), texts.len());
            let what = format!("{expected} cells expected, as in the header, found {found}");
            return Err(CsvError::line(self.place(), what));
        }
        let cells = texts.into_iter().zip(columns);
        Ok(Some(cells.map(|(text, column)| Cell { text, column, lines: place }).collect()))
    }

    /// A cell of the header, read as one of the data.
    pub(crate) fn cell<'a>(&'a self, text: &'a str) -> Cell<'a> {
        Cell { text: Cow::Borrowed(text), column: "", lines: self.shared() }
    }

    fn shared(&self) -> Place<'_> {
        Place {
            line: self.number,
            file: &self.name,
            separator: self.separator,
            time_unit: self.time_unit,
            is_untimed: &self.is_untimed,
        }
    }

    /// File and line of the present line.
    pub(crate) fn place(&self) -> String {
        format!("{} line {}", self.name, self.number)
    }

    fn advance(&mut self) -> Result<bool, CsvError> {
        if std::mem::take(&mut self.is_kept) {
            return Ok(true);
        }
        loop {
            self.number += 1;
            let mut bytes = std::mem::take(&mut self.line).into_bytes();
            bytes.clear();
            let read = self.reader.by_ref().take(LINE_MAX as u64 + 1).read_until(b'\n', &mut bytes);
            let read =
                read.map_err(|error| CsvError::file(self.place(), format!("cannot read it: {error}")))?;
            if read > LINE_MAX {
                return Err(CsvError::file(self.place(), format!("longer than {LINE_MAX} bytes")));
            }
            self.line = String::from_utf8(bytes)
                .map_err(|error| CsvError::line(self.place(), format!("no UTF-8: {}", error.utf8_error())))?;
            if read == 0 {
                return Ok(false);
            }
            self.line.truncate(self.line.trim_end_matches(['\r', '\n']).len());
            if !self.line.trim().is_empty() {
                return Ok(true);
            }
        }
    }
}

fn unreadable(name: &str, error: &std::io::Error) -> CsvError {
    CsvError::file(name, format!("cannot read it: {error}"))
}

/// Separator that a line `sep=;` names: `None` if it is no such line, `Some(None)` if that is no separator.
fn named_separator(line: &str) -> Option<Option<char>> {
    let bare = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(line);
    let (key, named) = bare.split_at_checked(4)?;
    // A header `sep=x,y` is none that is known either, and is told as such.
    let is_short = named.chars().count() <= 1;
    let named = || named.chars().next().filter(|c| matches!(c, ',' | ';' | '\t'));
    (key.eq_ignore_ascii_case("sep=") && is_short).then(named)
}

/// The first of comma, semicolon and tab outside of quotes.
fn separator(line: &str) -> char {
    let mut quoted = false;
    let found = line.chars().find(|c| {
        quoted ^= *c == '"';
        !quoted && matches!(c, ',' | ';' | '\t')
    });
    found.unwrap_or(',')
}

/// Splits a line at separators outside of double quotes. Quotes around a cell are taken off, and of two within it one.
fn split(line: &str, separator: char) -> Vec<Cow<'_, str>> {
    let mut quoted = false;
    let cells = line.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    });
    let bare = |cell: &'_ str| -> Option<Cow<'_, str>> {
        let text = cell.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some(Cow::Owned(text.replace("\"\"", "\"")))
    };
    cells.map(|cell| bare(cell).unwrap_or(Cow::Borrowed(cell))).collect()
}

impl Cell<'_> {
    /// Milliseconds since 1970.
    ///
    /// # Errors
    /// It is no time, or by its size one of another unit than it would be read in.
    pub fn time(&self) -> Result<i64, CsvError> {
        let unit = self.unit();
        self.check_size(unit)?;
        let time = self.number_as_time(unit).or_else(|| self.calendar()).ok_or_else(|| {
            let kind = if unit == TimeUnit::Seconds { "a" } else { "a whole" };
            self.must_be(&format!("{unit} since 1970 as {kind} number, or a time as 2020-02-01T00:00:00Z"))
        })?;
        self.lines.is_untimed.set(false);
        Ok(time)
    }

    /// Returns whether it is a time, of whatever unit.
    pub(crate) fn is_time(&self) -> bool {
        self.is_number() && !self.text.trim().is_empty() || self.calendar().is_some()
    }

    /// Returns whether it is empty or a number, even one that is too large.
    pub(crate) fn is_number(&self) -> bool {
        let text = self.text.trim();
        text.is_empty() || number(text, self.lines.separator).is_some()
    }

    fn unit(&self) -> TimeUnit {
        let named = || TimeUnit::split_name(self.column).0;
        self.lines.time_unit.or_else(named).unwrap_or(TimeUnit::Milliseconds)
    }

    /// Refuses a number that is far from our times in the unit that it would be read in. A smaller one than is plausible may stand far behind a
    /// start at 0: it is refused where nothing stands before it.
    fn check_size(&self, unit: TimeUnit) -> Result<(), CsvError> {
        if self.lines.time_unit.is_some() {
            return Ok(());
        }
        let text = self.text.trim();
        let is_first = self.lines.is_untimed.get();
        let guessed = number(text, self.lines.separator).and_then(TimeUnit::of_size);
        let Some(guess) = guessed.filter(|guess| *guess > unit || *guess < unit && is_first) else {
            return Ok(());
        };
        let what = format!(
            "{text} looks like {guess} since 1970 and would be read as {unit}: say --time-unit {}, or --time-unit {} if it is that",
            guess.symbol(),
            unit.symbol()
        );
        // A first line speaks for the file; later ones may be broken alone.
        Err(if is_first { CsvError::file(self.place(), what) } else { CsvError::line(self.place(), what) })
    }

    fn number_as_time(&self, unit: TimeUnit) -> Option<i64> {
        let text = self.text.trim();
        let whole = text.parse::<i64>().ok().and_then(|time| unit.whole_to_ms(time));
        whole.or_else(|| {
            let ms = (number(text, self.lines.separator)? * 1000.0).round();
            // 2^63 as a double.
            (unit == TimeUnit::Seconds && ms.abs() < 9_223_372_036_854_775_808.0).then_some(ms as i64)
        })
    }

    fn calendar(&self) -> Option<i64> {
        let text = self.text.trim();
        json::rfc3339_ms(text).or_else(|| json::rfc3339_ms(&format!("{text}Z")))
    }

    /// A number; an empty cell is NaN.
    ///
    /// # Errors
    /// The cell is neither empty nor a status code.
    pub fn number(&self) -> Result<f64, CsvError> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(f64::NAN);
        }
        let number =
            number(text, self.lines.separator).ok_or_else(|| self.must_be("a number, nan, inf or -inf"))?;
        // Of the infinities only those in words are meant.
        match number.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) {
            true => Err(self.must_be("a number that a double holds, 1.8e308 at most")),
            false => Ok(number),
        }
    }

    /// An OPC UA status code; an empty cell is good.
    ///
    /// # Errors
    /// The cell is neither empty nor a status code.
    pub fn quality(&self) -> Result<u32, CsvError> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| self.must_be("an OPC UA status code, 0 to 4294967295"))
    }

    /// The error of a cell that is something else.
    #[must_use]
    pub fn must_be(&self, what: &str) -> CsvError {
        let shown: String = self.text.chars().take(SHOWN).collect();
        CsvError::line(self.place(), format!("must be {what}, found \"{shown}\""))
    }

    pub(crate) fn place(&self) -> String {
        format!("{} line {}, column {}", self.lines.file, self.lines.line, self.column)
    }
}

/// Reads a number, with a decimal comma where the comma does not separate cells.
fn number(text: &str, separator: char) -> Option<f64> {
    let plain = text.parse().ok();
    plain.or_else(|| {
        (separator != ',' && !text.contains('.')).then(|| text.replacen(',', ".", 1).parse().ok())?
    })
}

/// The place of each wanted column.
///
/// # Errors
/// One is missing.
pub fn places<const N: usize>(
    lines: &Lines,
    header: &[String],
    wanted: [&str; N],
) -> Result<[usize; N], CsvError> {
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(wanted) {
        *place = header.iter().position(|column| column == name).ok_or_else(|| {
            CsvError::file(lines.place(), format!("column {name} is missing, found {}", header.join(",")))
        })?;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_do_not_split_and_what_is_quoted_reads_back() {
        assert_eq!(split("1,\"a,b\",2,", ','), ["1", "a,b", "2", ""]);
        assert_eq!(split("1", ','), ["1"]);
        for name in ["a", "a,b", "\"a\"", "the \"b\", c", "\"", ",", " a "] {
            assert_eq!(split(&format!("1,{},2", crate::Field::new(name)), ','), ["1", name, "2"]);
        }
        assert_eq!(["a,b;c", "a;b", "\"a;b\"\tc", "a"].map(separator), [',', ';', '\t', ',']);
    }

    #[test]
    fn numbers_have_a_point_or_where_it_does_not_separate_a_comma() {
        for (text, separator, expected) in [
            ("1.5", ',', Some(1.5)),
            ("1,5", ';', Some(1.5)),
            ("-1,5e3", '\t', Some(-1500.0)),
            ("1,5", ',', None),
            ("1.234,5", ';', None),
            ("1,2,3", ';', None),
        ] {
            assert_eq!(number(text, separator), expected, "{text}");
        }
    }
}
