//! Digest of a connection's key files, by which renewed files under the same names are noticed.

#![allow(clippy::disallowed_methods, reason = "a shell: it reads its keys")]

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;

use crate::findings::Place;
use crate::section::TlsFiles;

/// Most bytes of a file that are hashed; keys are far shorter.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Digests of CA, certificate and key; `None` for a missing one. Compares plans within a process and protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([Option<u64>; 3]);

impl Digest {
    pub(super) fn of(files: &TlsFiles) -> Self {
        Self([&files.ca, &files.cert, &files.key].map(|file| digest(&file.as_ref()?.1)))
    }
}

/// Returns the first file that cannot be opened, with its line and the error.
pub(super) fn unreadable(files: &TlsFiles) -> Option<(Place, String)> {
    let words =
        [("bridge_cafile", &files.ca), ("bridge_certfile", &files.cert), ("bridge_keyfile", &files.key)];
    words.into_iter().find_map(|(word, file)| {
        let (place, file) = file.as_ref()?;
        let error = File::open(file).err()?;
        Some((place.clone(), format!("{word}: {}: {error}", file.display())))
    })
}

/// Hashes a file. An error is reported where the keys are loaded.
fn digest(file: &Path) -> Option<u64> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}
