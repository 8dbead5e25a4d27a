//! Files whose content is a secret, or says who may do what: a warning if others may read them, or write them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use edge_bridge::net::signer_socket;

use super::Findings;
use super::section::Placed;

/// Warns if others than the owner may read the file at `key`, or have the signer there sign. `secret`: word for its content.
pub(super) fn warn_if_open(file: &Placed<PathBuf>, key: &str, secret: &str, findings: &mut Findings) {
    if let Some(socket) = signer_socket(&file.value) {
        let socket = Placed { value: socket.to_owned(), at: file.at };
        // Its group is that of the programs for which it signs.
        warn(&socket, key, 0o002, "others may have everything signed: chmod 660", findings);
        return;
    }
    if !is_shared_with_group(&file.value) {
        warn(file, key, 0o077, &format!("others may read the {secret}: chmod 600"), findings);
    }
}

/// Returns whether root owns the file and lets its group alone read it besides: so the gateway's user gets a secret that it does not own, from a package or
/// by `fsGroup` of Kubernetes.
fn is_shared_with_group(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.uid() == 0 && about.permissions().mode() & 0o077 == 0o040)
}

/// Warns if others than the owner may write the file at `key`, and so give themselves what it gives. `rights`: word for its content.
pub(super) fn warn_if_writable(file: &Placed<PathBuf>, key: &str, rights: &str, findings: &mut Findings) {
    warn(file, key, 0o022, &format!("others may change {rights}: chmod go-w"), findings);
}

/// Warns if the file has one of these bits of a mode.
fn warn(file: &Placed<PathBuf>, key: &str, bits: u32, what: &str, findings: &mut Findings) {
    // One that cannot be read is told by whoever reads it.
    let Ok(about) = std::fs::metadata(&file.value) else { return };
    let mode = about.permissions().mode() & 0o777;
    if mode & bits != 0 {
        findings.warning(file.at, key, format!("{}: mode {mode:04o}, {what}", file.value.display()));
    }
}
