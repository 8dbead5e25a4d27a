//! `edge-decode decode`.

use std::io::Write;

use edge_codec::{DecodeError, Format};

use crate::arguments::Decode;
use crate::format_name::{Kind, Payload};
use crate::frames::Frames;
use crate::print::{Printer, RawMessage};
use crate::tables::TableArguments;
use crate::{Failure, Outcome, input, tell};

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
        match payload(&frame.payload, options.content_type, &tables, &mut printer)? {
            Ok(()) => {}
            Err(error) => {
                tell(format_args!(
                    "frame {} at byte {}: {error}{}",
                    frame.number,
                    frame.offset,
                    hint(&error)
                ));
                all_read = false;
            }
        }
    }
    printer.finish()?;
    Ok(all_read)
}

fn payload(
    payload: &[u8],
    content_type: Option<Payload>,
    tables: &TableArguments,
    printer: &mut Printer<impl Write>,
) -> Result<Result<(), DecodeError>, Failure> {
    let kind = match content_type {
        None => Kind(Format::Compact),
        Some(Payload::Batch(kind)) => kind,
        Some(Payload::Raw) => return raw(payload, printer).map(Ok),
    };
    match tables.decode(kind, payload) {
        // Short texts, as `under`, may be Protobuf of fields that a batch passes over. The keys of those that it has are control characters.
        Ok(batch)
            if batch.len() == 0 && content_type.is_none() && !payload.is_empty() && is_text(payload) =>
        {
            raw(payload, printer).map(Ok)
        }
        Ok(batch) => {
            let skipped = batch.skipped();
            let printed = printer.batch(batch, None)?;
            if skipped > 0 {
                tell(format_args!("values passed over that are doubtful or none of ours: {skipped}"));
            }
            Ok(printed)
        }
        // A damaged batch is hardly ever text, for its lengths and tags are control characters.
        Err(_) if content_type.is_none() && is_text(payload) => raw(payload, printer).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}

/// Prints a message of a raw route as it came.
fn raw(payload: &[u8], printer: &mut Printer<impl Write>) -> Result<(), Failure> {
    printer.raw(&RawMessage { topic: None, id: None, pd: false, content_type: None, payload })
}

fn is_text(payload: &[u8]) -> bool {
    std::str::from_utf8(payload)
        .is_ok_and(|text| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')))
}

fn hint(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Table { .. } => ": give it by --table FILE",
        _ => "",
    }
}
