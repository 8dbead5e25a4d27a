//! `edge-decode decode`.

use std::io::Write;

use edge_codec::{DecodeError, Format};

use crate::arguments::{Decode, Lines};
use crate::format_name::{Kind, Payload};
use crate::frames::Frames;
use crate::print::{Printer, RawMessage};
use crate::tables::TableArguments;
use crate::{Failure, Outcome, input, tell};

/// Fate of a message for which CSV has no columns.
const NO_LINE: &str = "no batch, and CSV has no columns for a raw message: --to json prints it";

/// A frame that cannot be read is told and passed over; the exit code says so at the end.
pub(crate) fn run(options: &Decode) -> Outcome {
    let mut tables = TableArguments::default();
    for path in &options.tables {
        let table = input::table(path)?;
        tables
            .add(path, table.ok_or_else(|| Failure::Failed(format!("{}: no such file", path.display())))?)?;
    }
    let mut frames = Frames::new(input::unpacked(input::open(options.input.as_deref())?)?);
    let mut printer = Printer::new(input::create(None)?, options.output);
    let mut all_read = true;
    loop {
        let frame = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(error) => {
                tell(error);
                all_read = false;
                break;
            }
        };
        if let Err(why) = payload(&frame.payload, options, &tables, &mut printer)? {
            tell(format_args!("frame {} at byte {}: {why}", frame.number, frame.offset));
            all_read = false;
        }
    }
    printer.finish()?;
    Ok(all_read)
}

/// Prints a payload. The inner error is the payload's, in words.
fn payload(
    payload: &[u8],
    options: &Decode,
    tables: &TableArguments,
    printer: &mut Printer<impl Write>,
) -> Result<Result<(), String>, Failure> {
    let raw = |printer| raw(payload, options.output.to, printer);
    let content_type = options.content_type;
    let kind = match content_type {
        None => Kind(Format::Compact),
        Some(Payload::Batch(kind)) => kind,
        Some(Payload::Raw) => return raw(printer),
    };
    match tables.decode(kind, payload) {
        // Short texts, as `under`, may be Protobuf of fields that a batch passes over. The keys of those that it has are control characters.
        Ok(batch)
            if batch.len() == 0 && content_type.is_none() && !payload.is_empty() && is_text(payload) =>
        {
            raw(printer)
        }
        Ok(batch) => {
            let skipped = batch.skipped();
            let printed = printer.batch(batch, None)?;
            if skipped > 0 {
                tell(format_args!("values passed over that are doubtful or none of ours: {skipped}"));
            }
            Ok(printed.map_err(|error| in_words(&error)))
        }
        // A damaged batch is hardly ever text, for its lengths and tags are control characters.
        Err(_) if content_type.is_none() && is_text(payload) => raw(printer),
        Err(error) => Ok(Err(in_words(&error))),
    }
}

/// Prints a message of a raw route as it came.
fn raw(payload: &[u8], to: Lines, printer: &mut Printer<impl Write>) -> Result<Result<(), String>, Failure> {
    if to == Lines::Csv {
        return Ok(Err(NO_LINE.to_owned()));
    }
    printer.raw(&RawMessage { topic: None, id: None, pd: false, content_type: None, payload }).map(Ok)
}

fn is_text(payload: &[u8]) -> bool {
    std::str::from_utf8(payload)
        .is_ok_and(|text| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')))
}

fn in_words(error: &DecodeError) -> String {
    let hint = if matches!(error, DecodeError::Table { .. }) { ": give it by --table FILE" } else { "" };
    format!("{error}{hint}")
}
