//! Files for this user alone, complete or not there at all.

#![allow(clippy::disallowed_methods, reason = "a shell: small files")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder, and those above it, with mode 0700. One that is there stays as it is.
pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a file with mode 0600: beside it, synced, then renamed. `name` is a plain file name.
pub(super) fn write(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // `create_new` follows no link.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| {
        fs::rename(&new, dir.join(name))?;
        File::open(dir)?.sync_all()
    });
    if written.is_err() {
        // Whatever is left of it is in the way of the next one only.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Opens a file to read it and to write at its end, with mode 0600 if it is new.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}
