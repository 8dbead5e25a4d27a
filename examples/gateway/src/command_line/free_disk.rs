//! Free space for the queue on the disk of the state directory, for `edge-gateway check`.

use std::path::{Path, PathBuf};

use edge_queue::medium::{Dir, os::OsDir};

use crate::config::Config;
use crate::config::units::human_bytes;
use crate::run::queue::store;

/// Returns a warning if the queue of this configuration finds no room on the disk of `state`. `None`: it does, or the disk does not tell.
pub(super) fn warning(config: &Config, state: &Path) -> Option<String> {
    let wanted = store::config(config).disk_bytes();
    let reserved = std::fs::metadata(state.join(store::FILE)).map_or(0, |file| file.len());
    let place = nearest_directory(state)?;
    let free = OsDir::read_only(&place).and_then(|dir| dir.free_bytes()).ok().flatten()?;
    if reserved == wanted || free >= wanted {
        return None;
    }
    let (free, needed) = (human_bytes(free), human_bytes(wanted));
    let (state, place) = (state.display(), place.display());
    let then = match reserved {
        0 => "a start finds no room, and runs without a queue until there is".to_owned(),
        // It is built anew beside the old one.
        before => format!("the present one of {} stays as it is until there is room", human_bytes(before)),
    };
    let looked_at = if place.to_string() == state.to_string() {
        String::new()
    } else {
        format!(", which does not exist yet: {place} is looked at")
    };
    Some(format!(
        "[queue] max_bytes: the queue reserves {needed} in {state}{looked_at}, and the disk has {free} free: {then}"
    ))
}

/// Returns the directory, or the nearest above it that exists.
pub(super) fn nearest_directory(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find(|dir| dir.is_dir()).map(Path::to_owned)
}
