//! Receipt of an ingest: text of a line for the gateway, a line for each range of identities that got their PUBACK, and a checksum.
//!
//! ```text
//! edge-mule-receipt 1
//! gateway 00000000000000ab
//! acked 1 7 1 500
//! acked 1 7 503 900
//! end 898 0f3c5a7e9b1d2468
//! ```
//! `acked LANE EPOCH FIRST LAST`, decimal; `end IDENTITIES CHECKSUM`, of all bytes before this line: the first 64 bits of their SHA-256.
//!
//! A receipt may be mailed: lines may end with CR LF, which count as LF, and what stands behind the line `end`, such as a signature, is not read.
#![deny(clippy::indexing_slicing)]

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use edge_queue::{AckIdsError, IdRange, Lane, RowId};

use super::export_head::MAGIC as EXPORT_MAGIC;
use super::identities::{Identities, RANGES_MAX};
use super::{checksum, number};
use crate::config::operator_file;

const MAGIC: &str = "edge-mule-receipt 1";
/// Largest receipt in bytes, as of every file that an operator hands over: that of the most ranges is smaller.
pub(crate) const RECEIPT_BYTES_MAX: u64 = operator_file::BYTES_MAX;

/// Identities of one gateway that a hub acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) gateway: u64,
    pub(crate) ranges: Vec<IdRange>,
}

/// Reads a whole receipt from its file. Returns its text as it was written, without what a mail made of it.
///
/// # Errors
/// It is an export, cannot be read, or is none; in words.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    // An export is larger than any receipt, and no text behind its first line.
    let mut start = Vec::new();
    let opened = operator_file::open(path)
        .and_then(|file| file.take(EXPORT_MAGIC.len() as u64).read_to_end(&mut start));
    opened.map_err(|error| error.to_string())?;
    if start == EXPORT_MAGIC.as_bytes() {
        return Err("this is an export, no receipt: `edge-gateway mule ingest` at the hub's side publishes it, and writes the receipt".to_owned());
    }
    let text = operator_file::read_text(path).map_err(|error| error.to_string())?;
    Receipt::parse(&text).map(|receipt| receipt.to_text())
}

impl Receipt {
    pub(crate) fn new(gateway: u64, acked: &Identities) -> Self {
        Self { gateway, ranges: acked.ranges(gateway).collect() }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{MAGIC}\ngateway {:016x}\n", self.gateway);
        for IdRange { first, last } in &self.ranges {
            // A string takes all.
            let _ = writeln!(text, "acked {} {} {} {last}", first.lane.0, first.epoch, first.seq);
        }
        let sum = checksum(&text);
        let _ = writeln!(text, "end {} {sum}", self.ids());
        text
    }

    /// Returns whether the hub acknowledged this row, as the receipt says.
    pub(crate) fn has(&self, id: RowId) -> bool {
        let behind = self.ranges.partition_point(|range| range.first <= id);
        let range = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
        range.is_some_and(|range| id <= RowId { seq: range.last, ..range.first })
    }

    /// Returns the ranges for the gateway that is to release them. A receipt without a range is one of its gateway, too.
    ///
    /// # Errors
    /// It is a receipt of another gateway.
    pub(crate) fn ranges_of(self, own: u64) -> Result<Vec<IdRange>, AckIdsError> {
        if self.gateway == own {
            Ok(self.ranges)
        } else {
            Err(AckIdsError::OtherGateway { found: self.gateway, own })
        }
    }

    fn ids(&self) -> u64 {
        self.ranges.iter().fold(0, |ids, range| ids.saturating_add(range.ids()))
    }

    /// Reads a receipt.
    ///
    /// # Errors
    /// The line that is wrong, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.replace("\r\n", "\n");
        if !text.contains('\n') {
            return Err("the receipt has no end: it was cut off".to_owned());
        }
        let (before, end) = text.find("\nend ").map_or((text.as_str(), ""), |at| text.split_at(at + 1));
        let mut lines = (1..).zip(before.lines());
        let mut next = || lines.next().unwrap_or((1, ""));
        if next().1 != MAGIC {
            return Err("line 1: no receipt of a data mule, or one of a newer version".to_owned());
        }
        let end = end.split_once('\n').map(|(end, _behind)| end);
        let mut words = end.ok_or("the receipt has no line \"end\": it was cut off")?.split(' ').skip(1);
        let told =
            words.next().and_then(|ids| number(ids, 10)).ok_or("the receipt's line \"end\" has no number")?;
        if words.next() != Some(checksum(before).as_str()) || words.next().is_some() {
            return Err("the receipt is damaged: its checksum is wrong".to_owned());
        }
        let (_, line) = next();
        let gateway = line.strip_prefix("gateway ").filter(|id| id.len() == 16);
        let gateway = gateway.and_then(|id| number(id, 16)).ok_or("line 2: no gateway id")?;
        let mut receipt = Self { gateway, ranges: Vec::new() };
        for (at, line) in lines {
            let range = range(gateway, line).filter(|range| follows(receipt.ranges.last(), range));
            let range = range.ok_or_else(|| format!("line {at}: no range, or not behind the one before"))?;
            if receipt.ranges.len() >= RANGES_MAX {
                return Err(format!("line {at}: more than {RANGES_MAX} ranges"));
            }
            receipt.ranges.push(range);
        }
        if receipt.ids() == told { Ok(receipt) } else { Err("the receipt's ranges do not add up".to_owned()) }
    }
}

fn range(gateway: u64, line: &str) -> Option<IdRange> {
    let mut words = line.strip_prefix("acked ")?.split(' ');
    let mut next = || words.next().and_then(|word| number(word, 10));
    let (lane, epoch, seq, last) = (next()?, next()?, next()?, next()?);
    let lane = Lane(u8::try_from(lane).ok()?);
    let first = RowId { gateway, lane, epoch: u32::try_from(epoch).ok()?, seq };
    (words.next().is_none() && seq <= last).then_some(IdRange { first, last })
}

/// Returns whether a range comes behind the one before, so that none is named twice.
fn follows(before: Option<&IdRange>, range: &IdRange) -> bool {
    before.is_none_or(|before| RowId { seq: before.last, ..before.first } < range.first)
}

#[cfg(test)]
mod tests {
    use edge_bridge::bridge::spool::Identity;

    use super::*;

    fn receipt() -> Receipt {
        let mut acked = Identities::default();
        for (lane, seq) in [(1, 1), (1, 2), (1, 9), (0, 4)] {
            acked.add(Identity { gateway: 0xab, lane, epoch: 7, seq });
        }
        Receipt::new(0xab, &acked)
    }

    #[test]
    fn a_receipt_is_read_as_it_was_written() {
        let text = receipt().to_text();
        assert!(
            text.starts_with("edge-mule-receipt 1\ngateway 00000000000000ab\nacked 0 7 4 4\nacked 1 7 1 2\n")
        );
        assert_eq!(Receipt::parse(&text), Ok(receipt()));
    }

    #[test]
    fn the_largest_receipt_is_read_and_one_range_more_is_not() {
        let mut receipt = Receipt { gateway: u64::MAX, ranges: Vec::new() };
        for n in 0..RANGES_MAX as u64 {
            let seq = u64::MAX - 2 * (RANGES_MAX as u64 - n);
            let first = RowId { gateway: u64::MAX, lane: Lane(u8::MAX), epoch: u32::MAX, seq };
            receipt.ranges.push(IdRange { first, last: seq });
        }
        let text = receipt.to_text();
        assert!(text.len() as u64 <= RECEIPT_BYTES_MAX, "{}", text.len());
        assert_eq!(Receipt::parse(&text).as_ref(), Ok(&receipt));
        let first = RowId { seq: u64::MAX, ..receipt.ranges[0].first };
        receipt.ranges.push(IdRange { first, last: u64::MAX });
        let error = Receipt::parse(&receipt.to_text()).unwrap_err();
        assert_eq!(error, format!("line {}: more than {RANGES_MAX} ranges", RANGES_MAX + 3));
    }

    #[test]
    fn a_receipt_is_its_gateways_alone() {
        assert_eq!(receipt().ranges_of(0xab).unwrap(), receipt().ranges);
        let none = Receipt { ranges: Vec::new(), ..receipt() };
        for receipt in [receipt(), none] {
            let error = receipt.ranges_of(0xac).unwrap_err().to_string();
            assert!(error.contains("00000000000000ab") && error.contains("00000000000000ac"), "{error}");
        }
    }

    #[test]
    fn a_receipt_has_exactly_the_rows_of_its_ranges() {
        let has = |gateway, lane, epoch, seq| receipt().has(RowId { gateway, lane: Lane(lane), epoch, seq });
        for (lane, seq) in [(0, 4), (1, 1), (1, 2), (1, 9)] {
            assert!(has(0xab, lane, 7, seq), "{lane} {seq}");
            assert!(
                !has(0xac, lane, 7, seq) && !has(0xab, lane, 6, seq) && !has(0xab, lane, 8, seq),
                "{lane} {seq}"
            );
        }
        for (lane, seq) in [(0, 0), (0, 3), (0, 5), (1, 0), (1, 3), (1, 8), (1, 10), (2, 1)] {
            assert!(!has(0xab, lane, 7, seq), "{lane} {seq}");
        }
    }

    #[test]
    fn a_mailed_receipt_is_read_with_other_ends_of_lines_and_a_signature() {
        let text = receipt().to_text();
        let signed = format!("{text}\n-- \nShift lead, line 2\nend of shift\n");
        for mailed in [text.replace('\n', "\r\n"), signed.clone(), signed.replace('\n', "\r\n")] {
            assert_eq!(Receipt::parse(&mailed), Ok(receipt()), "{mailed:?}");
        }
        let cut = text.replace("end ", "and ");
        assert!(Receipt::parse(&cut).is_err_and(|error| error.contains("cut off")), "without its end");
    }

    #[test]
    fn a_file_is_read_as_what_was_written_and_an_export_in_its_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mule.edgm");
        std::fs::write(&file, [EXPORT_MAGIC.as_bytes(), b"ab {}\n\xff\xfe"].concat()).unwrap();
        assert!(read(&file).is_err_and(|error| error.contains("export")), "{:?}", read(&file));
        std::fs::write(&file, receipt().to_text().replace('\n', "\r\n") + "\r\n-- \r\n\r\n").unwrap();
        assert_eq!(read(&file), Ok(receipt().to_text()));
    }

    #[test]
    fn any_damage_and_any_cut_is_refused() {
        let text = receipt().to_text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).unwrap();
            assert!(Receipt::parse(&damaged).is_err(), "{at}: {damaged}");
            assert!(Receipt::parse(&text[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn the_line_that_is_wrong_is_named() {
        let sealed = |body: &str, ids: u64| format!("{body}end {ids} {}\n", checksum(body));
        let head = "edge-mule-receipt 1\ngateway 00000000000000ab\n";
        for (lines, ids, said) in [
            ("acked 1 7 1 2\nacked 1 7 2 3\n", 4, "line 4"),
            ("acked 1 7 5 2\n", 0, "line 3"),
            ("acked 300 7 1 2\n", 2, "line 3"),
            ("acked 1 7 1\n", 1, "line 3"),
            ("acked 1 7 1 2\n", 9, "add up"),
        ] {
            let error = Receipt::parse(&sealed(&format!("{head}{lines}"), ids)).unwrap_err();
            assert!(error.contains(said), "{lines}: {error}");
        }
    }
}
