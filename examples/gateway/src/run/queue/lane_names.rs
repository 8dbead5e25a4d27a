//! Names of the queue's lanes at the last start, in the file `lanes`. The queue knows a lane only by its index, so with another list of names the
//! waiting messages would belong to other lanes.

use std::io;
use std::path::Path;

use crate::run::error::RunError;
use edge_state::checksummed as checksummed_file;

const FILE: &str = "lanes";
const VERSION: &str = "edge-gateway lanes 1 ";
const BYTES_MAX: u64 = 64 * 1024;

/// Returns whether an earlier start kept names, readable or not: there was a queue.
///
/// # Errors
/// The directory cannot be read.
pub(in crate::run) fn are_kept(state: &Path) -> io::Result<bool> {
    state.join(FILE).try_exists()
}

/// Returns the names of the last start, if they differ.
///
/// # Errors
/// The names cannot be read.
pub(in crate::run) fn others(state: &Path, names: &[String]) -> io::Result<Option<Vec<String>>> {
    Ok(read(state)?.filter(|kept| kept != names))
}

/// Reads the kept names; `None` in a state directory of an earlier version.
fn read(state: &Path) -> io::Result<Option<Vec<String>>> {
    match checksummed_file::read(state, FILE, VERSION, BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        kept => Ok(Some(serde_json::from_slice(&kept?)?)),
    }
}

/// Returns the names as the note of a copy of the backlog.
pub(in crate::run) fn to_note(names: &[String]) -> Vec<u8> {
    serde_json::to_vec(names).unwrap_or_default()
}

/// Returns the names in the note of a copy; `None` in one of an earlier version, or of a queue of another program.
pub(crate) fn of_note(note: &[u8]) -> Option<Vec<String>> {
    serde_json::from_slice(note.get(..BYTES_MAX as usize).unwrap_or(note)).ok()
}

/// Checks that no message waits in the lanes if their names changed.
///
/// # Errors
/// [`RunError::QueueLanes`]: messages wait; the text names both lists.
pub(in crate::run) fn check(kept: &[String], names: &[String], waiting: u64) -> Result<(), RunError> {
    if waiting == 0 {
        return Ok(());
    }
    let waiting =
        if waiting == 1 { "1 message waits".to_owned() } else { format!("{waiting} messages wait") };
    Err(RunError::QueueLanes(format!(
        "queue.lanes: {waiting} in the lanes {kept:?}, which go by their places: start with these, let the queue drain, then change them to {names:?}"
    )))
}

/// Writes the names.
///
/// # Errors
/// The disk refused.
pub(crate) fn keep(state: &Path, names: &[String]) -> io::Result<()> {
    if read(state).is_ok_and(|kept| kept.is_some_and(|kept| kept == names)) {
        return Ok(());
    }
    let written = serde_json::to_vec(names)
        .map_err(io::Error::other)
        .and_then(|body| checksummed_file::replace(state, FILE, VERSION, &body));
    written.map_err(|error| io::Error::new(error.kind(), format!("{FILE}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_while_nothing_waits_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (two, three) = (names(&["alarm", "telemetry"]), names(&["urgent", "alarm", "telemetry"]));
        assert_eq!(others(dir.path(), &two).unwrap(), None, "a store of before has no names");
        keep(dir.path(), &two).unwrap();
        assert_eq!(others(dir.path(), &two).unwrap(), None);
        for changed in [&three, &names(&["alarm", "other"]), &names(&["telemetry"])] {
            assert_eq!(others(dir.path(), changed).unwrap(), Some(two.clone()));
            let error = check(&two, changed, 7).unwrap_err();
            let said = "queue.lanes: 7 messages wait in the lanes [\"alarm\", ";
            assert!(matches!(&error, RunError::QueueLanes(why) if why.starts_with(said)), "{error:?}");
            check(&two, changed, 0).unwrap();
        }
        keep(dir.path(), &three).unwrap();
        assert_eq!(others(dir.path(), &two).unwrap(), Some(three.clone()));
        std::fs::write(dir.path().join(FILE), "damaged").unwrap();
        others(dir.path(), &two).unwrap_err();
        keep(dir.path(), &three).unwrap();
        assert_eq!(others(dir.path(), &three).unwrap(), None, "whole again");
    }
}
