//! Directory of a queue on this system.

use std::path::Path;

use crate::error::OpenError;
use crate::medium::Dir;

/// Opens the directory, and creates it where it is missing. The error names it.
pub(crate) fn open_dir(path: &Path) -> Result<Box<dyn Dir>, OpenError> {
    os_dir(path).map_err(|error| {
        let source = std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        OpenError::Io { op: "open the directory", source }
    })
}

#[cfg(unix)]
fn os_dir(path: &Path) -> std::io::Result<Box<dyn Dir>> {
    Ok(Box::new(crate::medium::os::OsDir::new(path)?))
}

#[cfg(not(unix))]
fn os_dir(_path: &Path) -> std::io::Result<Box<dyn Dir>> {
    Err(std::io::ErrorKind::Unsupported.into())
}
