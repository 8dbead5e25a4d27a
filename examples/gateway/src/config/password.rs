//! Password file of one line, read at the start and again before each connection to the hub.

use std::path::PathBuf;

pub(crate) use edge_state::password_file::read;

use super::section::Placed;
use super::{Findings, secret_file};

/// Reads the file that `key` names, and reports its mistakes.
pub(super) fn checked(file: &Placed<PathBuf>, key: &str, findings: &mut Findings) -> Option<Vec<u8>> {
    let path = file.value.display();
    let password = match read(&file.value) {
        Ok(password) => password,
        Err(problem) => {
            findings.error(file.at, key, format!("{path}: {problem}"));
            return None;
        }
    };
    secret_file::warn_if_open(file, key, "password", findings);
    Some(password)
}
