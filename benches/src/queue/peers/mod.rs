//! The baseline and the stores beside ours, each used the way its documentation says a queue should: one transaction per
//! batch, synced when it returns.

mod fjall;
mod ours;
mod raw;
mod sqlite;

use std::path::Path;

use edge_queue::StoreKind;

use super::peer::Peer;
use fjall::Fjall;
use sqlite::Sqlite;

pub(super) use ours::Ours;
pub(super) use raw::Raw;

/// Names of the peers in the figures, ours first.
pub(super) const NAMES: [&str; 4] = ["ring", "redb", "sqlite_wal_full", "fjall"];

/// All of [`NAMES`], each in a directory of its own. `go_round`: the ring has written its whole file once.
pub(super) fn all(dir: &Path, go_round: bool) -> Result<Vec<Box<dyn Peer>>, String> {
    NAMES.iter().map(|name| one(name, &dir.join(name), go_round)).collect()
}

/// One of them.
pub(super) fn one(name: &str, path: &Path, go_round: bool) -> Result<Box<dyn Peer>, String> {
    Ok(match name {
        "redb" => Box::new(Ours::open(path, StoreKind::Redb)?),
        "sqlite_wal_full" => Box::new(Sqlite::open(path)?),
        "fjall" => Box::new(Fjall::open(path)?),
        _ => {
            let mut ring = Ours::open(path, StoreKind::Ring)?;
            if go_round {
                ring.go_round()?;
            }
            Box::new(ring)
        }
    })
}
