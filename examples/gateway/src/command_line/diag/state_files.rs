//! List of what is in a state directory: sizes, modes and ages, no contents.

#![allow(clippy::disallowed_methods, reason = "a command: it looks at a directory")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use edge_bridge::escape::Escaped;

const DEPTH_MAX: usize = 4;
const FILES_MAX: usize = 1_000;

/// Returns a line for each file. Links are named, not followed.
pub(super) fn list(dir: &Path, unix_s: u64) -> String {
    let (mut text, mut count) =
        (format!("{:<6} {:>14} {:>14} {:>9}  name\n", "mode", "bytes", "on disk", "age in s"), 0);
    walk(dir, dir, DEPTH_MAX, unix_s, &mut text, &mut count);
    if count > FILES_MAX {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{} more", count - FILES_MAX);
    }
    text
}

fn walk(top: &Path, dir: &Path, depth: usize, unix_s: u64, text: &mut String, count: &mut usize) {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) => {
            let _ = writeln!(text, "{}: {error}", Escaped(&dir.to_string_lossy()));
            return;
        }
    };
    let mut paths: Vec<_> = read.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        *count += 1;
        if *count > FILES_MAX {
            continue;
        }
        let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
        match fs::symlink_metadata(&path) {
            Ok(about) => {
                let age = unix_s.saturating_sub(u64::try_from(about.mtime()).unwrap_or(0));
                let (mode, disk) = (about.mode(), about.blocks() * 512);
                let _ =
                    writeln!(text, "{mode:06o} {:>14} {disk:>14} {age:>9}  {}", about.len(), Escaped(&name));
                if about.is_dir() && depth > 1 {
                    walk(top, &path, depth - 1, unix_s, text, count);
                }
            }
            Err(error) => {
                let _ = writeln!(text, "{}: {error}", Escaped(&name));
            }
        }
    }
}
