//! Tables of the redb file, and the changes of a commit to the table of rows: new rows in, done rows out.

use redb::{ReadableTable, Table, TableDefinition};

use super::panic_fence::Trouble;
use super::value::{Head, Totals, decode_row, encode_row};
use crate::row::{Seq, StoredRow};

pub(super) const ROWS: TableDefinition<'_, (u8, u64), &[u8]> = TableDefinition::new("rows");
pub(super) const HEAD: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("head");

pub(super) type RowTable<'txn> = Table<'txn, (u8, u64), &'static [u8]>;

pub(super) fn insert_rows(
    table: &mut RowTable<'_>,
    rows: &[StoredRow],
    next: &mut Head,
) -> Result<(), Trouble> {
    for row in rows {
        let Some((seq, totals)) = next.written.get_mut(usize::from(row.lane.0)) else { continue };
        totals.rows = totals.rows.saturating_add(1);
        totals.weight = totals.weight.saturating_add(row.weight.into());
        *seq = row.seq;
        table
            .insert((row.lane.0, row.seq), encode_row(row, *totals).as_slice())
            .map_err(redb::Error::from)?;
    }
    Ok(())
}

/// Removes a lane's rows below `below`, keeps the totals at the last of them in `removed`, and returns their bytes.
pub(super) fn remove_below(
    table: &mut RowTable<'_>,
    lane: u8,
    below: Seq,
    removed: &mut Totals,
) -> Result<u64, Trouble> {
    let first = {
        let mut range = table.range((lane, 0)..(lane, below)).map_err(redb::Error::from)?;
        range.next().transpose().map_err(redb::Error::from)?.map(|(key, _)| key.value())
    };
    if first.is_none() {
        return Ok(0);
    }
    let mut bytes = 0;
    let keep = |(of, seq): (u8, u64), value: &[u8]| {
        match decode_row(value) {
            Ok(found) if found.row.lane.0 == lane && found.row.seq < below => *removed = found.totals,
            // A damaged page led here. Nobody gave this row up.
            Ok(_) => return true,
            Err(_) if of != lane || seq >= below => return true,
            Err(_) => removed.rows = removed.rows.saturating_add(1),
        }
        bytes += value.len() as u64;
        false
    };
    table.retain_in((lane, 0)..(lane, below), keep).map_err(redb::Error::from)?;
    Ok(bytes)
}
