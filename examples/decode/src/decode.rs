//! `edge-decode decode`.

use std::io::Write;

use edge_codec::DecodeError;

use crate::arguments::Decode;
use crate::format::Kind;
use crate::frames::Frames;
use crate::print::Printer;
use crate::tables::TableArguments;
use crate::{Failure, Outcome, input};

/// A frame that cannot be read is told and passed over; the exit code says so at the end.
pub(crate) fn run(options: &Decode) -> Outcome {
    let mut tables = TableArguments::default();
    for path in &options.tables {
        let table = input::table(path)?;
        tables
            .add(path, table.ok_or_else(|| Failure::Failed(format!("{}: no such file", path.display())))?)?;
    }
    let mut frames = Frames::new(input::unpacked(input::open(options.input.as_deref())?)?);
    let mut printer = Printer::new(input::create(None)?, options.to);
    let mut all_read = true;
    loop {
        let frame = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                eprintln!("edge-decode: {error}");
                all_read = false;
                break;
            }
        };
        match payload(&frame.payload, options.content_type, &tables, &mut printer)? {
            Ok(()) => {}
            Err(error) => {
                eprintln!(
                    "edge-decode: frame {} at byte {}: {error}{}",
                    frame.number,
                    frame.offset,
                    hint(&error)
                );
                all_read = false;
            }
        }
    }
    printer.finish()?;
    Ok(all_read)
}

fn payload(
    payload: &[u8],
    kind: Kind,
    tables: &TableArguments,
    printer: &mut Printer<impl Write>,
) -> Result<Result<(), DecodeError>, Failure> {
    match tables.decode(kind, payload) {
        Ok(batch) => printer.batch(batch, None),
        Err(error) => Ok(Err(error)),
    }
}

fn hint(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Table { .. } => ": give it by --table FILE",
        _ => "",
    }
}
