//! The drill's working folder: configuration, state and log of the gateway, kept as evidence after a failure.

#![allow(clippy::disallowed_methods, reason = "the drill is a shell: it removes what it has made")]

use std::io;
use std::path::Path;

pub(crate) const CONFIGURATION_FILE: &str = "gateway.toml";
/// Holds the command line of a gateway of somebody else's.
pub(crate) const COMMAND_FILE: &str = "command.txt";
/// First line of every file that the drill writes for others to read.
pub(crate) const MARK: &str = "# Written by the drill.";

/// Puts the path before an error of it, since people choose where a drill writes.
pub(crate) fn naming(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Makes a folder, and those above it.
///
/// # Errors
/// With its name.
pub(crate) fn make(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir).map_err(naming(dir))
}

/// Writes a whole file.
///
/// # Errors
/// With its name.
pub(crate) fn write(file: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    std::fs::write(file, content).map_err(naming(file))
}

/// Removes a folder with all that is in it.
///
/// # Errors
/// With its name.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(dir).map_err(naming(dir))
}

/// Removes what an earlier drill left in `dir`.
///
/// # Errors
/// The folder holds something that no drill has made: its name alone does not make it ours.
pub(crate) fn clear(dir: &Path) -> io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    let is_marked = |file| std::fs::read_to_string(dir.join(file)).is_ok_and(|text| text.starts_with(MARK));
    if ![CONFIGURATION_FILE, COMMAND_FILE].into_iter().any(is_marked) {
        let text = format!("{} exists and was not made by a drill: choose another --report", dir.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    remove(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = make(&file.join("work")).unwrap_err().to_string();
        assert!(error.starts_with(&file.join("work").display().to_string()), "{error}");
    }

    /// By what root cannot do either.
    #[test]
    fn what_cannot_be_written_or_removed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for done in [write(dir.path(), "text"), remove(&dir.path().join("none"))] {
            let error = done.unwrap_err().to_string();
            assert!(error.starts_with(&dir.path().display().to_string()), "{error}");
        }
    }

    #[test]
    fn only_what_a_drill_has_made_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        clear(&work).unwrap();
        std::fs::create_dir(&work).unwrap();
        std::fs::write(work.join("thesis.txt"), "mine").unwrap();
        std::fs::write(work.join(CONFIGURATION_FILE), "[gateway]").unwrap();
        assert!(clear(&work).unwrap_err().to_string().contains("was not made by a drill"));
        assert!(work.join("thesis.txt").exists());
        for file in [CONFIGURATION_FILE, COMMAND_FILE] {
            std::fs::create_dir_all(&work).unwrap();
            std::fs::write(work.join(file), format!("{MARK}\n")).unwrap();
            clear(&work).unwrap();
            assert!(!work.exists());
        }
    }
}
