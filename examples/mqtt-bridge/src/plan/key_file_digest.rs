//! Digest of a connection's key files, by which renewed files under the same names are noticed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use edge_bridge::net::signer_socket;
use edge_state::operator_file;

use crate::findings::Place;
use crate::section::TlsFiles;

/// Digests of CA, certificate and key; `None` for a missing one. Compares plans within a process and protects nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([Option<u64>; 3]);

impl Digest {
    pub(super) fn of(files: &TlsFiles) -> Self {
        Self([&files.ca, &files.cert, &files.key].map(|file| digest(&file.as_ref()?.1)))
    }
}

/// Returns the first file that cannot be read, with its line and the error.
pub(super) fn unreadable(files: &TlsFiles) -> Option<(Place, String)> {
    let words =
        [("bridge_cafile", &files.ca), ("bridge_certfile", &files.cert), ("bridge_keyfile", &files.key)];
    words.into_iter().find_map(|(word, file)| {
        let (place, file) = file.as_ref()?;
        if signer_socket(file).is_some() {
            return None;
        }
        let error = operator_file::read(file).err()?;
        Some((place.clone(), format!("{word}: {}: {error}", file.display())))
    })
}

/// Hashes a file. An error is reported where the keys are loaded.
fn digest(file: &Path) -> Option<u64> {
    let bytes = operator_file::read(file).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}
