//! Files whose content is a secret: a warning if others may read them.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::Findings;
use super::section::Placed;

/// Warns if others than the owner may read the file at `key`. `secret`: word for its content.
pub(super) fn warn_if_open(file: &Placed<PathBuf>, key: &str, secret: &str, findings: &mut Findings) {
    // One that cannot be read is told by whoever reads it.
    let Ok(about) = std::fs::metadata(&file.value) else { return };
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = file.value.display();
        let message = format!("{path}: mode {mode:04o}, others may read the {secret}: chmod 600");
        findings.warning(file.at, key, message);
    }
}
