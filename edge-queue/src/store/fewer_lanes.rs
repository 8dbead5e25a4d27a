//! Check of an open with fewer lanes than before: refused while rows wait in a lane to be removed. Moving them to another lane would change their
//! identity, and a hub that has them would take them for new ones.
#![deny(clippy::indexing_slicing)]

use crate::error::{ConfigError, OpenError};
use crate::row::{LANES_MAX, Lane, Seq};
use crate::state::State;
use crate::store::{ReadLimit, Store, StoreError, StoredChunk};

const READ: ReadLimit = ReadLimit { rows: 4096, bytes: 512 * 1024 };

/// Returns an error if a lane from number `lanes` on still has wanted rows.
pub(super) fn refuse_loss(store: &mut dyn Store, state: &State, lanes: u8) -> Result<(), OpenError> {
    for lane in (lanes..LANES_MAX as u8).map(Lane) {
        let known = state.lane.get(usize::from(lane.0)).map_or(0, |lane| lane.rows);
        let rows = match wanted_rows(|from| store.read(lane, from, READ), state, lane) {
            // A bad sector in a lane without a row must not keep the queue shut.
            Err(_) if known == 0 => wanted_rows(|from| store.read_past_errors(lane, from, READ), state, lane),
            rows => rows,
        };
        let rows = rows.map_err(|error| OpenError::Io {
            op: "read the lanes that go",
            source: std::io::Error::other(error.to_string()),
        })?;
        if rows > 0 {
            let problem = format!(
                "lane {} still holds {rows} rows: deliver them first, or open with at least {} lanes",
                lane.0,
                lane.0 + 1
            );
            return Err(ConfigError { key: "lanes", problem }.into());
        }
    }
    Ok(())
}

fn wanted_rows(
    mut read: impl FnMut(Seq) -> Result<StoredChunk, StoreError>,
    state: &State,
    lane: Lane,
) -> Result<u64, StoreError> {
    let mut rows = 0u64;
    let mut next: Option<Seq> = Some(1);
    while let Some(from) = next {
        let chunk = read(from)?;
        rows += chunk.rows.iter().filter(|row| state.wants(lane, row.seq)).count() as u64;
        next = chunk.next.filter(|next| *next > from);
    }
    Ok(rows)
}
