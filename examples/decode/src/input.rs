//! Files and standard streams.

#![allow(clippy::disallowed_methods, reason = "a shell: the files of the command line")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use edge_codec::Limits;
use edge_codec::compact::Table;
use edge_state::operator_file;
use flate2::bufread::MultiGzDecoder;

use crate::{Failure, frames};

/// First bytes of a gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Returns what every payload is held to.
pub(crate) fn limits() -> Limits {
    Limits::default().bytes(frames::PAYLOAD_BYTES_MAX)
}

/// A file, or standard input.
pub(crate) fn open(path: Option<&Path>) -> Result<Box<dyn BufRead>, Failure> {
    match path {
        None => Ok(Box::new(BufReader::new(io::stdin()))),
        Some(path) => {
            let file = File::open(path).map_err(|error| Failure::io(path.display(), &error))?;
            Ok(Box::new(BufReader::new(file)))
        }
    }
}

/// The same, unpacked if it is gzip by its first bytes.
pub(crate) fn unpacked(mut input: Box<dyn BufRead>) -> Result<Box<dyn BufRead>, Failure> {
    let start = input.fill_buf().map_err(|error| Failure::io("the input", &error))?;
    if start.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(input))));
    }
    Ok(input)
}

/// A file, or standard output.
pub(crate) fn create(path: Option<&Path>) -> Result<Box<dyn Write>, Failure> {
    match path {
        None => Ok(Box::new(BufWriter::new(io::stdout()))),
        Some(path) => {
            let file = File::create(path).map_err(|error| Failure::io(path.display(), &error))?;
            Ok(Box::new(BufWriter::new(file)))
        }
    }
}

/// Refuses an output that is one of the files which are read: it is emptied before the first line of it is read.
pub(crate) fn refuse_to_overwrite<'a>(
    mut read: impl Iterator<Item = &'a PathBuf>,
    output: Option<&Path>,
) -> Result<(), Failure> {
    let Some(output) = output else { return Ok(()) };
    match read.any(|read| read == output || operator_file::is_same_file(read, output)) {
        true => Err(Failure::Usage(format!("{}: is read: write elsewhere", output.display()))),
        false => Ok(()),
    }
}

/// Reads a table; `None` if there is no such file.
pub(crate) fn table(path: &Path) -> Result<Option<Table>, Failure> {
    let bytes = match operator_file::read_within(path, frames::PAYLOAD_BYTES_MAX as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(path.display(), &error)),
    };
    let table = Table::decode(&bytes, &limits());
    table.map(Some).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// Refuses a table that [`table`] would not read: frames that refer to it could not be read either.
pub(crate) fn check_table(path: &Path, table: &Table) -> Result<(), Failure> {
    let read = Table::decode(table.bytes(), &limits());
    let failed =
        |error| Failure::Failed(format!("{}: no reader takes such a table: {error}", path.display()));
    read.map(drop).map_err(failed)
}

/// Saves a table. It is written beside the old one and renamed, so that there is never half a table; no other file is written to.
pub(crate) fn save_table(path: &Path, table: &Table) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let saved = File::create_new(&new).and_then(|mut file| {
        let written = file.write_all(table.bytes()).and_then(|()| fs::rename(&new, path));
        written.inspect_err(|_| drop(fs::remove_file(&new)))
    });
    saved.map_err(|error| Failure::io(path.display(), &error))
}
