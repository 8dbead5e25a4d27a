//! Quarantine: damaged bytes are kept as files in `bad/`, so that the store can go on without destroying them.
#![deny(clippy::indexing_slicing)]

use std::io;

use super::layout::{PAGE, READ_BYTES};
use super::page_reader::Pages;
use crate::medium::{Dir, Medium};

/// Most files and bytes that one run quarantines, so that a dying disk does not fill itself with copies of its damage.
const FILES_MAX: u32 = 64;
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Counts of quarantined bytes and files.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    files: u32,
    bytes: u64,
}

impl Quarantine {
    /// Creates a quarantine that keeps nothing, for an inspection.
    pub(super) fn nowhere() -> Quarantine {
        Quarantine { files: FILES_MAX, bytes: 0 }
    }

    /// Writes `bytes` to `bad/NAME`, as far as limits and disk allow. Best effort: a failure is ignored.
    pub(super) fn keep(&mut self, dir: &dyn Dir, name: &str, bytes: &[u8]) {
        let len = bytes.len() as u64;
        if self.room().is_some_and(|room| len <= room) {
            self.write(dir, name, len, |file| file.write_at(0, bytes));
        }
    }

    /// Copies a slot to `bad/NAME`, unless that is there, as far as limits and disk allow: of one that is too large the begin. Each open finds such a
    /// slot until it is used again. Best effort, as [`Quarantine::keep`].
    pub(super) fn keep_slot(&mut self, dir: &dyn Dir, name: &str, pages: &Pages<'_>, slot: u32) {
        let len = u64::from(pages.geometry.segment_bytes).min(self.room().unwrap_or(0));
        if len == 0 || dir.open(&format!("bad/{name}")).is_ok() {
            return;
        }
        self.write(dir, name, len, |file| {
            let mut piece = vec![0; READ_BYTES];
            for (at, page) in (0..len).step_by(READ_BYTES).zip((0u32..).step_by(READ_BYTES / PAGE)) {
                piece.truncate(usize::try_from(len - at).unwrap_or(READ_BYTES));
                pages.read(slot, page, &mut piece);
                file.write_at(at, &piece)?;
            }
            Ok(())
        });
    }

    /// Bytes that one more file may have; `None` if there may be none.
    fn room(&self) -> Option<u64> {
        (self.files < FILES_MAX).then_some(BYTES_MAX.saturating_sub(self.bytes))
    }

    /// Makes the file `bad/NAME` of `len` bytes durably.
    fn write(
        &mut self,
        dir: &dyn Dir,
        name: &str,
        len: u64,
        fill: impl FnOnce(&mut dyn Medium) -> io::Result<()>,
    ) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(len);
        let written = dir.create(&format!("bad/{name}")).and_then(|mut file| {
            fill(file.as_mut())?;
            file.sync()
        });
        if written.is_ok() {
            let _ = dir.sync();
        }
    }
}

/// Moves a file that cannot be used to `bad/NAME.n` and returns that name.
pub(super) fn move_file(dir: &dyn Dir, name: &str) -> io::Result<String> {
    let mut to = String::new();
    for n in 1..10_000 {
        to = format!("bad/{name}.{n}");
        match dir.open(&to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            _ => {}
        }
    }
    dir.rename(name, &to)?;
    dir.sync()?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medium::Call;
    use crate::testing::{Fault, FaultError, Outcome, SimDir};

    #[test]
    fn copies_of_damage_end_at_sixty_four_files_or_sixteen_mebibytes() {
        let (dir, mut quarantine) = (SimDir::new(), Quarantine::default());
        (0..100).for_each(|n| quarantine.keep(&dir, &format!("{n}"), &[1]));
        assert_eq!(dir.names().len(), 64);
        let (dir, mut quarantine) = (SimDir::new(), Quarantine::default());
        quarantine.keep(&dir, "half", &vec![1; 8 << 20]);
        quarantine.keep(&dir, "too large", &vec![1; (8 << 20) + 1]);
        quarantine.keep(&dir, "other half", &vec![1; 8 << 20]);
        quarantine.keep(&dir, "one byte too many", &[1]);
        assert_eq!(dir.names(), ["bad/half", "bad/other half"]);
        let dir = SimDir::new();
        Quarantine::nowhere().keep(&dir, "a trace", &[1]);
        assert!(dir.names().is_empty());
    }

    #[test]
    fn a_copy_of_damage_survives_a_power_cut() {
        let dir = SimDir::new();
        Quarantine::default().keep(&dir, "page", b"damaged");
        let mut copy = [0; 7];
        dir.crash(Outcome::Lost, 1).open("bad/page").unwrap().read_at(0, &mut copy).unwrap();
        assert_eq!(&copy, b"damaged");
    }

    #[test]
    fn no_file_that_was_set_aside_is_replaced_not_even_one_that_cannot_be_opened() {
        let dir = SimDir::new();
        ["bad/it.1", "it"].iter().for_each(|name| drop(dir.create(name).unwrap()));
        dir.fail(Fault { call: Call::Open, after: 0, error: FaultError::Io, sticky: false });
        assert_eq!(move_file(&dir, "it").unwrap(), "bad/it.2");
        assert_eq!(dir.names(), ["bad/it.1", "bad/it.2"]);
    }
}
