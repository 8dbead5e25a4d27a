//! The peers' part of the speed figures: everything is prepared as an application would have it in memory.

use edge_codec::Reading;

use super::peers::{OwnedRow, Row, arrow, bincode, minicbor, pco, prost};
use super::sets::Set;
use super::speed::{candidate, each};
use crate::measure::Candidate;

/// After those of `speed`, in the order in which they are measured; each is there as encoder and as decoder.
pub(super) const NAMES: [&str; 7] =
    ["serde_json_zstd3", "minicbor", "bincode", "prost_rows", "prost_columns", "arrow", "pco"];

/// Inputs of the encoders, and of the decoders.
pub(super) struct Peers<'a> {
    rows: &'a [Vec<Row<'a>>],
    minicbor: Vec<Vec<minicbor::Row<'a>>>,
    prost_rows: Vec<prost::Rows>,
    prost_columns: Vec<prost::Columns>,
    pco: Vec<pco::Columns>,
    json_zstd: Vec<Vec<u8>>,
    minicbor_bytes: Vec<Vec<u8>>,
    bincode_bytes: Vec<Vec<u8>>,
    arrow_bytes: Vec<Vec<u8>>,
    prost_rows_bytes: Vec<Vec<u8>>,
    prost_columns_bytes: Vec<Vec<u8>>,
    pco_bytes: Vec<pco::Chunks>,
}

impl<'a> Peers<'a> {
    pub(super) fn new(
        set: &Set,
        batches: &[&[Reading<'static>]],
        rows: &'a [Vec<Row<'a>>],
    ) -> Result<Self, String> {
        let minicbor: Vec<_> = rows.iter().map(|rows| minicbor::rows(rows)).collect();
        let prost_rows: Vec<_> =
            batches.iter().map(|b| prost::rows(b, &set.sensors)).collect::<Result<_, _>>()?;
        let prost_columns: Vec<_> =
            batches.iter().map(|b| prost::columns(b, &set.sensors)).collect::<Result<_, _>>()?;
        let pco: Vec<_> = batches.iter().map(|b| pco::Columns::of(b)).collect();
        Ok(Self {
            rows,
            json_zstd: rows.iter().map(|rows| json_zstd(rows)).collect::<Result<_, _>>()?,
            minicbor_bytes: minicbor.iter().map(|rows| minicbor::encode(rows)).collect::<Result<_, _>>()?,
            bincode_bytes: rows.iter().map(|rows| bincode::encode(rows)).collect::<Result<_, _>>()?,
            arrow_bytes: rows.iter().map(|rows| arrow::encode(rows)).collect::<Result<_, _>>()?,
            prost_rows_bytes: prost_rows.iter().map(prost::encode).collect(),
            prost_columns_bytes: prost_columns.iter().map(prost::encode).collect(),
            pco_bytes: pco.iter().map(pco::Columns::encode).collect::<Result<_, _>>()?,
            minicbor,
            prost_rows,
            prost_columns,
            pco,
        })
    }

    pub(super) fn encoders(&self) -> [Candidate<'_>; NAMES.len()] {
        [
            candidate("encode.serde_json_zstd3", || each(self.rows, |rows| json_zstd(rows))),
            candidate("encode.minicbor", || each(&self.minicbor, |rows| minicbor::encode(rows))),
            candidate("encode.bincode", || each(self.rows, |rows| bincode::encode(rows))),
            candidate("encode.prost_rows", || each(&self.prost_rows, |batch| Ok(prost::encode(batch)))),
            candidate("encode.prost_columns", || each(&self.prost_columns, |batch| Ok(prost::encode(batch)))),
            candidate("encode.arrow", || each(self.rows, |rows| arrow::encode(rows))),
            candidate("encode.pco", || each(&self.pco, pco::Columns::encode)),
        ]
    }

    pub(super) fn decoders(&self) -> [Candidate<'_>; NAMES.len()] {
        [
            candidate("decode.serde_json_zstd3", || each(&self.json_zstd, |bytes| json_unzstd(bytes))),
            candidate("decode.minicbor", || {
                each(&self.minicbor_bytes, |bytes| minicbor::decode(bytes).map(drop))
            }),
            candidate("decode.bincode", || each(&self.bincode_bytes, |bytes| bincode::decode_owned(bytes))),
            candidate("decode.prost_rows", || {
                each(&self.prost_rows_bytes, |bytes| prost::decode::<prost::Rows>(bytes))
            }),
            candidate("decode.prost_columns", || {
                each(&self.prost_columns_bytes, |bytes| prost::decode::<prost::Columns>(bytes))
            }),
            candidate("decode.arrow", || each(&self.arrow_bytes, |bytes| arrow::decode(bytes))),
            candidate("decode.pco", || each(&self.pco_bytes, pco::decode)),
        ]
    }
}

fn json_zstd(rows: &[Row<'_>]) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(rows).map_err(|error| error.to_string())?;
    zstd::bulk::compress(&json, 3).map_err(|error| error.to_string())
}

fn json_unzstd(bytes: &[u8]) -> Result<Vec<OwnedRow>, String> {
    let json = zstd::stream::decode_all(bytes).map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}
