//! Names of the queue's lanes as of the last start, in the file `lanes`: the queue itself knows a lane by its place, and gives each place its limit. Another
//! name in a place would have what waits there.

use std::io;
use std::path::Path;

use super::checksummed_file;
use super::error::RunError;
use super::store::NotOpened;

const FILE: &str = "lanes";
const VERSION: &str = "edge-gateway lanes 1 ";
const BYTES_MAX: u64 = 64 * 1024;

/// Keeps the names, unless there are others and messages wait under them.
///
/// # Errors
/// Messages wait, which is told with both lists; or the disk refused, for now.
pub(super) fn keep(state: &Path, names: &[String], waiting: u64) -> Result<(), NotOpened> {
    let kept = checksummed_file::read(state, FILE, VERSION, BYTES_MAX);
    // One that cannot be read is as none: of a gateway of before it was written.
    let kept: Option<Vec<String>> = kept.ok().and_then(|body| serde_json::from_slice(&body).ok());
    match kept {
        Some(kept) if kept == names => return Ok(()),
        Some(kept) if waiting > 0 => {
            let message = format!(
                "queue.lanes: {waiting} messages wait in the lanes {kept:?}, which go by their places: start with these, let the queue drain, then change them to {names:?}"
            );
            return Err(NotOpened::ForGood(RunError::Configuration(message)));
        }
        _ => {}
    }
    let written = serde_json::to_vec(names)
        .map_err(io::Error::other)
        .and_then(|body| checksummed_file::replace(state, FILE, VERSION, &body));
    written.map_err(|error| NotOpened::ForNow(format!("{FILE}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_while_nothing_waits_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (two, three) = (names(&["alarm", "telemetry"]), names(&["urgent", "alarm", "telemetry"]));
        keep(dir.path(), &two, 7).unwrap_or_else(|_| panic!("a store of before has no names"));
        for others in [&three, &names(&["alarm", "other"]), &names(&["telemetry"])] {
            match keep(dir.path(), others, 7) {
                Err(NotOpened::ForGood(error)) => {
                    assert!(error.to_string().starts_with("queue.lanes: 7 messages wait"));
                }
                _ => panic!("{others:?}"),
            }
        }
        keep(dir.path(), &two, 7).unwrap_or_else(|_| panic!("the same"));
        keep(dir.path(), &three, 0).unwrap_or_else(|_| panic!("nothing waits"));
        assert!(matches!(keep(dir.path(), &two, 1), Err(NotOpened::ForGood(_))));
    }
}
