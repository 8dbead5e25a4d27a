//! `include`: further files of a configuration. Bounded in number and bytes, and one level deep, so that no link or name can make a circle.

#![allow(clippy::disallowed_methods, reason = "reads the files of a configuration")]

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use edge_state::file::folder_of;
use toml::de::DeTable;

use super::section::{Placed, Section, World};
use super::{Findings, Severity, operator_file};

/// Most files that are included, and most bytes of all of them.
const FILES_MAX: usize = 100;
const BYTES_MAX: u64 = 1 << 20;
/// Most entries of a folder in which files are looked for.
const ENTRIES_MAX: usize = 10_000;

/// Reads the files that the main one includes into the findings' sources, and reports what is wrong with them. `kept`: paths and texts of the files, if
/// they are not to be read from the disk.
pub(super) fn read(findings: &mut Findings, kept: Option<&[(PathBuf, String)]>, world: &World<'_>) {
    let patterns = patterns(findings, world);
    findings.sources.patterns = patterns.iter().map(|pattern| pattern.value.clone()).collect();
    if let Some(kept) = kept {
        for (path, text) in kept {
            findings.sources.add(path.clone(), text.clone());
        }
        return;
    }
    let mut room = Room { files: FILES_MAX, bytes: BYTES_MAX, known: HashSet::new() };
    room.is_new(&findings.sources.main().path);
    for Placed { value: pattern, at } in patterns {
        let files = match files_of(&pattern) {
            Ok(files) => files,
            Err(error) => {
                let folder = pattern.parent().unwrap_or(&pattern);
                findings.error(at, "include", format!("{}: {error}", folder.display()));
                continue;
            }
        };
        if files.is_empty() {
            findings.warning(at, "include", format!("{}: there is no such file", pattern.display()));
        }
        findings.sources.named.extend(files.iter().cloned());
        for path in files {
            if room.files == 0 {
                findings.error(at, "include", format!("at most {FILES_MAX} files"));
                break;
            }
            match room.read(&path) {
                Ok(text) => findings.sources.add(path, text),
                Err(error) => findings.error(at, "include", format!("{}: {error}", path.display())),
            }
        }
    }
}

/// Returns the paths that the main file names, each with the place of its name there.
fn patterns(findings: &mut Findings, world: &World<'_>) -> Vec<Placed<PathBuf>> {
    let text = findings.sources.main().text.clone();
    let (root, _) = DeTable::parse_recoverable(&text);
    let top = Section::new("", 0, Some(root.get_ref()), world);
    let named = top.placed_strings("include", findings).map(|list| list.value).unwrap_or_default();
    let mut patterns = Vec::new();
    for Placed { value, at } in named {
        let path = findings.sources.main_folder().join(&value);
        let has_star = |part: &Path| part.as_os_str().as_encoded_bytes().contains(&b'*');
        if value.is_empty() {
            findings.error(at, "include", "an empty path");
        } else if path.parent().is_some_and(has_star) {
            let help = Some("write one entry for each folder".to_owned());
            findings.add(Severity::Error, at, "include", "`*` may stand in the name of the file alone", help);
        } else {
            patterns.push(Placed { value: path, at });
        }
    }
    patterns
}

/// Returns the files that a path of `include` stands for now, sorted by name. One without wildcards stands for itself, whether it is there or not.
///
/// # Errors
/// The folder cannot be read, or has too many entries.
pub(crate) fn files_of(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(name) = pattern.file_name().and_then(|name| name.to_str()).filter(|name| name.contains('*'))
    else {
        return Ok(vec![pattern.to_owned()]);
    };
    let mut names = Vec::new();
    for (count, entry) in fs::read_dir(folder_of(pattern))?.enumerate() {
        if count >= ENTRIES_MAX {
            return Err(io::Error::other(format!("more than {ENTRIES_MAX} entries")));
        }
        // Others than UTF-8 cannot be meant.
        names.extend(entry?.file_name().into_string().ok().filter(|found| is_match(name, found)));
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| pattern.with_file_name(name)).collect())
}

/// Compares a file's name with a pattern in which each `*` stands for any characters. No wildcard matches a name that begins with a dot,
/// such as an editor's backup or `..data` of a ConfigMap.
fn is_match(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Room that is left for files, and those that were read.
struct Room {
    files: usize,
    bytes: u64,
    known: HashSet<(u64, u64)>,
}

impl Room {
    /// Adds a file to the known ones. Returns whether it is none of them, whatever its name.
    fn is_new(&mut self, path: &Path) -> bool {
        fs::metadata(path).map_or(true, |found| self.known.insert((found.dev(), found.ino())))
    }

    fn read(&mut self, path: &Path) -> io::Result<String> {
        self.files = self.files.saturating_sub(1);
        operator_file::check(path)?;
        let file = operator_file::open(path)?;
        if !self.is_new(path) {
            return Err(io::Error::other("this file is one of the configuration's already"));
        }
        let mut text = String::new();
        // One byte more shows that there is more.
        file.take(self.bytes + 1).read_to_string(&mut text)?;
        let Some(left) = self.bytes.checked_sub(text.len() as u64) else {
            let message = format!("included files have at most {} MiB together", BYTES_MAX >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        };
        self.bytes = left;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
