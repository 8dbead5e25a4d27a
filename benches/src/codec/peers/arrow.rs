//! Apache Arrow: a record batch with names and units as dictionaries, as one IPC stream, which carries schema and dictionaries.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, StringDictionaryBuilder, UInt32Builder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;

use super::Row;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// From rows to bytes: the columns are part of it, since the rows come one by one.
pub(in super::super) fn encode(rows: &[Row<'_>]) -> Result<Vec<u8>, String> {
    let mut times = Int64Builder::with_capacity(rows.len());
    let mut values = Float64Builder::with_capacity(rows.len());
    let mut qualities = UInt32Builder::with_capacity(rows.len());
    let mut sensors = StringDictionaryBuilder::<Int32Type>::new();
    let mut units = StringDictionaryBuilder::<Int32Type>::new();
    for row in rows {
        times.append_value(row.ts);
        values.append_value(row.value);
        qualities.append_value(row.quality);
        sensors.append(row.sensor).map_err(text)?;
        units.append(row.unit).map_err(text)?;
    }
    let columns: [(&str, ArrayRef); 5] = [
        ("ts", Arc::new(times.finish())),
        ("sensor", Arc::new(sensors.finish())),
        ("value", Arc::new(values.finish())),
        ("unit", Arc::new(units.finish())),
        ("quality", Arc::new(qualities.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(text)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(text)?;
    writer.write(&batch).and_then(|()| writer.finish()).map_err(text)?;
    writer.into_inner().map_err(text)
}

/// Columns, as a program that works on arrays takes them: no row is made.
pub(in super::super) fn decode(bytes: &[u8]) -> Result<Vec<RecordBatch>, String> {
    StreamReader::try_new(bytes, None).and_then(Iterator::collect).map_err(text)
}
