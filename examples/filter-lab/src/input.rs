//! CSV files, plain or gzip, line by line; every error names file, line and column.

use crate::error::Error;
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A longer line is no CSV of ours.
const LINE_MAX: u64 = 1 << 20;

pub(crate) struct Lines {
    file: PathBuf,
    reader: Box<dyn BufRead>,
    number: u64,
    line: String,
}

/// One cell, with its place.
pub(crate) struct Cell<'a> {
    pub(crate) text: Cow<'a, str>,
    column: &'a str,
    line: u64,
    file: &'a Path,
}

impl Lines {
    pub(crate) fn open(file: &Path) -> Result<Self, Error> {
        let unreadable = |error| Error::io(file, "read it", &error);
        let mut reader = BufReader::new(File::open(file).map_err(unreadable)?);
        let gzip = reader.fill_buf().map_err(unreadable)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn BufRead> =
            if gzip { Box::new(BufReader::new(MultiGzDecoder::new(reader))) } else { Box::new(reader) };
        Ok(Lines { file: file.to_owned(), reader, number: 0, line: String::new() })
    }

    /// The header; an empty file has none.
    pub(crate) fn header(&mut self) -> Result<Vec<String>, Error> {
        if !self.advance()? {
            return Err(Error::Data(format!("{}: empty: a header is missing", self.file.display())));
        }
        let names = split(self.line.trim_start_matches('\u{feff}'));
        Ok(names.iter().map(|name| name.trim().to_owned()).collect())
    }

    /// The cells of the next line that is not empty, one for each of `columns`; `None` at the end.
    pub(crate) fn cells<'a>(&'a mut self, columns: &'a [String]) -> Result<Option<Vec<Cell<'a>>>, Error> {
        if !self.advance()? {
            return Ok(None);
        }
        let (line, file) = (self.number, self.file.as_path());
        let texts = split(&self.line);
        if texts.len() != columns.len() {
            let (expected, found) = (columns.len(), texts.len());
            return Err(Error::Data(format!(
                "{} line {line}: {expected} cells expected, as in the header, found {found}",
                file.display()
            )));
        }
        let cells = texts.into_iter().zip(columns).map(|(text, column)| Cell { text, column, line, file });
        Ok(Some(cells.collect()))
    }

    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = self.reader.by_ref().take(LINE_MAX).read_line(&mut self.line);
            let read = read.map_err(|e| Error::io(&self.file, &format!("read line {}", self.number), &e))?;
            if read as u64 == LINE_MAX {
                let (file, line) = (self.file.display(), self.number);
                return Err(Error::Data(format!("{file} line {line}: longer than {LINE_MAX} bytes")));
            }
            self.line.truncate(self.line.trim_end().len());
            if read == 0 {
                return Ok(false);
            }
            if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// At commas outside of double quotes; quotes around a cell are taken off, and of two within it one (RFC 4180).
fn split(line: &str) -> Vec<Cow<'_, str>> {
    let mut quoted = false;
    let cells = line.split(move |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let bare = |cell| match str::strip_prefix(cell, '"').and_then(|cell| cell.strip_suffix('"')) {
        Some(text) if text.contains('"') => Cow::Owned(text.replace("\"\"", "\"")),
        Some(text) => Cow::Borrowed(text),
        None => Cow::Borrowed(cell),
    };
    cells.map(bare).collect()
}

/// `text` as a cell: in quotes if it would not be one cell otherwise.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"']) || text.trim() != text {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

impl Cell<'_> {
    pub(crate) fn time(&self) -> Result<i64, Error> {
        self.text.trim().parse().map_err(|_| self.must_be("epoch milliseconds, an integer of 64 bits"))
    }

    /// A number; an empty cell is NaN.
    pub(crate) fn number(&self) -> Result<f64, Error> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(f64::NAN);
        }
        text.parse().map_err(|_| self.must_be("a number, nan, inf or -inf"))
    }

    /// An OPC UA status code; an empty cell is good.
    pub(crate) fn quality(&self) -> Result<u32, Error> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| self.must_be("an OPC UA status code, 0 to 4294967295"))
    }

    pub(crate) fn must_be(&self, what: &str) -> Error {
        let Cell { text, column, line, file } = self;
        let shown: String = text.chars().take(40).collect();
        Error::Data(format!(
            "{} line {line}, column {column}: must be {what}, found \"{shown}\"",
            file.display()
        ))
    }
}

/// The place of each wanted column.
pub(crate) fn places<const N: usize>(
    file: &Path,
    header: &[String],
    wanted: [&str; N],
) -> Result<[usize; N], Error> {
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(wanted) {
        *place = header.iter().position(|column| column == name).ok_or_else(|| {
            Error::Data(format!(
                "{} line 1: column {name} is missing, found {}",
                file.display(),
                header.join(",")
            ))
        })?;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::{quoted, split};

    #[test]
    fn commas_in_quotes_do_not_split_and_what_is_quoted_reads_back() {
        assert_eq!(split("1,\"a,b\",2,"), ["1", "a,b", "2", ""]);
        assert_eq!(split("1"), ["1"]);
        for name in ["a", "a,b", "\"a\"", "the \"b\", c", "\"", ",", " a "] {
            assert_eq!(split(&format!("1,{},2", quoted(name))), ["1", name, "2"]);
        }
    }
}
