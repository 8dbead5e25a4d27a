//! Session tables in a folder, bounded in bytes; the least recently used leave first.
//!
//! A file's name is made of hashes: of the topic, the table's own, and of its bytes. No topic can name a file outside, and what
//! was not written by this program, or is damaged, is not taken for a table.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file per table")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use edge_codec::compact::Table;
use edge_state::operator_file;
use sha2::{Digest, Sha256};

use super::private_files;
use super::table_cache::TableKey;
use crate::{Failure, frames, input, tell};

const SUFFIX: &str = ".table";
/// Length of a hash in a file's name, in bytes.
const HASH_BYTES: usize = 16;
/// A file takes a block of a disk at least.
const BLOCK_BYTES: u64 = 4096;

/// The folder, and what is in it.
#[derive(Debug)]
pub(super) struct TableFiles {
    dir: PathBuf,
    max_bytes: u64,
    bytes: u64,
    uses: u64,
    /// Files by topic and table; more than one are a conflict.
    files: HashMap<String, Vec<FileEntry>>,
}

#[derive(Debug)]
struct FileEntry {
    name: String,
    bytes: u64,
    used: u64,
    /// Set while the log has said that it cannot be read.
    is_told: bool,
}

/// Reason why a file gives no table.
#[derive(Debug)]
enum Trouble {
    /// It cannot be read now, and may be sound.
    Io(io::Error),
    /// It is no table, or another one.
    Damaged(String),
}

impl TableFiles {
    pub(super) fn open(dir: &Path, max_bytes: u64) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::io(dir.display(), &error);
        private_files::create_dir(dir).map_err(failed)?;
        let mut found: Vec<(SystemTime, String, u64)> = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let meta = entry.metadata().map_err(failed)?;
            if meta.is_file() && stem(&name).is_some() {
                found.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), name, meta.len()));
            }
        }
        found.sort();
        let dir = dir.to_owned();
        let mut files = Self { dir, max_bytes, bytes: 0, uses: 0, files: HashMap::new() };
        for (_, name, bytes) in found {
            files.note(name, bytes);
        }
        files.make_room(0);
        Ok(files)
    }

    /// Reads the tables under this name, each with its path: more than one are a conflict. A damaged one is told and removed. None, if one
    /// cannot be read now: it stays, and without it a conflict would not be seen.
    pub(super) fn load(&mut self, key: &TableKey) -> Vec<(String, Table)> {
        self.uses += 1;
        let (uses, dir) = (self.uses, &self.dir);
        let Some(entries) = self.files.get_mut(&stem_of(key)) else { return Vec::new() };
        let (mut tables, mut all_read) = (Vec::new(), true);
        entries.retain_mut(|entry| {
            entry.used = uses;
            let path = dir.join(&entry.name);
            match read(&path, &entry.name, key) {
                Ok(table) => {
                    entry.is_told = false;
                    tables.push((path.display().to_string(), table));
                }
                Err(Trouble::Io(error)) => {
                    all_read = false;
                    if !std::mem::replace(&mut entry.is_told, true) {
                        tell(format_args!("{}: {error}: not used", path.display()));
                    }
                }
                Err(Trouble::Damaged(why)) => {
                    tell(format_args!("{}: {why}: removed", path.display()));
                    let _ = fs::remove_file(&path);
                    self.bytes = self.bytes.saturating_sub(entry.bytes);
                    return false;
                }
            }
            true
        });
        if all_read { tables } else { Vec::new() }
    }

    /// Keeps a table.
    pub(super) fn save(&mut self, key: &TableKey, table: &Table) -> Result<(), Failure> {
        let name = format!("{}-{}{SUFFIX}", stem_of(key), hash(table.bytes()));
        self.uses += 1;
        let known = self.files.get_mut(&stem_of(key)).and_then(|all| all.iter_mut().find(|e| e.name == name));
        if let Some(entry) = known {
            entry.used = self.uses;
            return Ok(());
        }
        let bytes = table.bytes().len() as u64;
        if on_disk(bytes) > self.max_bytes {
            return Ok(());
        }
        self.make_room(on_disk(bytes));
        private_files::write(&self.dir, &name, table.bytes())
            .map_err(|error| Failure::io(self.dir.join(&name).display(), &error))?;
        touch(&self.dir.join(&name));
        self.note(name, bytes);
        Ok(())
    }

    fn note(&mut self, name: String, bytes: u64) {
        let Some(stem) = stem(&name).map(str::to_owned) else { return };
        self.uses += 1;
        self.bytes += on_disk(bytes);
        let entry = FileEntry { name, bytes: on_disk(bytes), used: self.uses, is_told: false };
        self.files.entry(stem).or_default().push(entry);
    }

    /// Tables in conflict leave together: one of them alone would be used.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes + bytes > self.max_bytes {
            let used = |entries: &[FileEntry]| entries.iter().map(|entry| entry.used).max();
            let oldest =
                self.files.iter().min_by_key(|(_, entries)| used(entries)).map(|(stem, _)| stem.clone());
            let Some(entries) = oldest.and_then(|stem| self.files.remove(&stem)) else { return };
            for entry in entries {
                self.bytes = self.bytes.saturating_sub(entry.bytes);
                if let Err(error) = fs::remove_file(self.dir.join(&entry.name)) {
                    tell(format_args!("{}: {error}", self.dir.join(&entry.name).display()));
                }
            }
        }
    }
}

fn on_disk(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_BYTES).max(1) * BLOCK_BYTES
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

fn stem_of(key: &TableKey) -> String {
    format!("{}-{:016x}", hash(key.topic.as_bytes()), key.id)
}

/// The first two of the three parts of a name of ours.
fn stem(name: &str) -> Option<&str> {
    let (stem, content) = name.strip_suffix(SUFFIX)?.rsplit_once('-')?;
    let (topic, id) = stem.split_once('-')?;
    let is_hex =
        |text: &str| !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_hash = |text: &str| text.len() == 2 * HASH_BYTES && is_hex(text);
    (is_hash(topic) && is_hash(content) && is_hex(id)).then_some(stem)
}

/// Reads a table and checks that it is the one of its name.
fn read(path: &Path, name: &str, key: &TableKey) -> Result<Table, Trouble> {
    let bytes = operator_file::read_within(path, frames::PAYLOAD_BYTES_MAX as u64);
    let bytes = bytes.map_err(|error| match error.kind() {
        // The latter is one that is too large.
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData => Trouble::Damaged(error.to_string()),
        _ => Trouble::Io(error),
    })?;
    let table = Table::decode(&bytes, &input::limits());
    let table = table.map_err(|error| Trouble::Damaged(error.to_string()))?;
    if table.id() != key.id || !name.ends_with(&format!("-{}{SUFFIX}", hash(table.bytes()))) {
        return Err(Trouble::Damaged("it is not what its name says".to_owned()));
    }
    touch(path);
    Ok(table)
}

/// Notes the use of a file for the next run: in the file system's own time many writes are one. An order that is not quite right
/// costs a fetch.
fn touch(path: &Path) {
    let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use edge_codec::SensorTable;

    use super::*;

    fn table(version: u32) -> Table {
        Table::new(version, &SensorTable::new())
    }

    fn key(topic: &str, table: &Table) -> TableKey {
        TableKey { topic: topic.to_owned(), id: table.id() }
    }

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn tables_come_back_after_a_restart_to_their_own_topic_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/tables");
        let kept = table(1);
        for topic in ["../../../../etc/x", "/", "a\0b", "ü/#", ""] {
            TableFiles::open(&dir, 1 << 20).unwrap().save(&key(topic, &kept), &kept).unwrap();
            let mut again = TableFiles::open(&dir, 1 << 20).unwrap();
            assert_eq!(again.load(&key(topic, &kept)).len(), 1);
            assert_eq!(again.load(&key("other", &kept)).len(), 0);
        }
        assert_eq!(names(&dir).len(), 5, "all in the folder");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert!(names(&dir).iter().all(|name| mode(&dir.join(name)) == 0o600));
        assert_eq!(mode(&dir), 0o700);
    }

    #[test]
    fn the_least_recently_used_file_leaves_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let kept = table(1);
        let mut files = TableFiles::open(dir.path(), 3 * BLOCK_BYTES).unwrap();
        for topic in ["a", "b", "c"] {
            files.save(&key(topic, &kept), &kept).unwrap();
        }
        assert_eq!(files.load(&key("a", &kept)).len(), 1);
        files.save(&key("d", &kept), &kept).unwrap();
        assert_eq!(files.load(&key("b", &kept)).len(), 0);
        let mut files = TableFiles::open(dir.path(), BLOCK_BYTES).unwrap();
        assert_eq!(names(dir.path()).len(), 1);
        assert_eq!(files.load(&key("d", &kept)).len(), 1, "the newest is left");
    }

    #[test]
    fn what_is_damaged_or_foreign_is_no_table() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (table(1), table(2));
        let mut files = TableFiles::open(dir.path(), 1 << 20).unwrap();
        files.save(&key("a", &one), &one).unwrap();
        let name = names(dir.path()).pop().unwrap();
        fs::write(dir.path().join(&name), other.bytes()).unwrap();
        fs::write(dir.path().join("notes.table"), "x").unwrap();
        let mut files = TableFiles::open(dir.path(), 1 << 20).unwrap();
        assert_eq!(files.load(&key("a", &one)).len(), 0);
        assert_eq!(names(dir.path()), ["notes.table"], "the foreign file is left alone");
        assert_eq!(files.bytes, 0);
    }

    /// It was: removed, though the disk or the number of open files was at fault.
    #[test]
    fn a_file_that_cannot_be_read_now_stays_and_is_used_later() {
        let dir = tempfile::tempdir().unwrap();
        let kept = table(1);
        let mut files = TableFiles::open(dir.path(), 1 << 20).unwrap();
        files.save(&key("a", &kept), &kept).unwrap();
        let path = dir.path().join(names(dir.path()).pop().unwrap());
        let aside = dir.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(dir.path(), &path).unwrap();
        for _ in 0..2 {
            assert_eq!(files.load(&key("a", &kept)).len(), 0);
            assert!(path.symlink_metadata().is_ok() && files.bytes > 0, "it stays");
        }
        fs::rename(&aside, &path).unwrap();
        assert_eq!(files.load(&key("a", &kept)).len(), 1);
    }

    #[test]
    fn one_of_two_tables_is_not_used_while_the_other_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (table(1), table(2));
        let mut files = TableFiles::open(dir.path(), 1 << 20).unwrap();
        files.save(&key("a", &one), &one).unwrap();
        let name = names(dir.path()).pop().unwrap();
        // A second one of this name, as a table with the same hash would be.
        let second = format!("{}-{}{SUFFIX}", stem(&name).unwrap(), hash(other.bytes()));
        fs::create_dir(dir.path().join(&second)).unwrap();
        files.note(second, 1);
        assert_eq!(files.load(&key("a", &one)).len(), 0);
        assert_eq!(names(dir.path()).len(), 2, "both stay");
    }
}
