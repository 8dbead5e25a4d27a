//! Digest of the files with the keys of a connection: tells renewed ones under the same names.

#![allow(clippy::disallowed_methods, reason = "a shell: it reads its keys")]

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;

use crate::findings::Place;
use crate::section::TlsFiles;

/// Bytes of a file that count: keys are far shorter.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Digests of CA, certificate and key; `None` of one that is not there. It compares plans of one process and guards nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([Option<u64>; 3]);

impl Digest {
    pub(super) fn of(files: &TlsFiles) -> Self {
        Self([&files.ca, &files.cert, &files.key].map(|file| digest(&file.as_ref()?.1)))
    }
}

/// The first file that cannot be opened, at its line, and why.
pub(super) fn unreadable(files: &TlsFiles) -> Option<(Place, String)> {
    let words =
        [("bridge_cafile", &files.ca), ("bridge_certfile", &files.cert), ("bridge_keyfile", &files.key)];
    words.into_iter().find_map(|(word, file)| {
        let (place, file) = file.as_ref()?;
        let error = File::open(file).err()?;
        Some((place.clone(), format!("{word}: {}: {error}", file.display())))
    })
}

/// An error is told where the keys are taken.
fn digest(file: &Path) -> Option<u64> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}
