//! Files of one configuration: gateway.toml and those that it includes. Byte offsets run on from file to file, so that one number names a place in
//! any of them, and their tables are merged into one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key_places::KeyPlaces;
use super::named_paths::NamedPaths;

/// Key of the state directory.
pub(super) const STATE: &str = "gateway.state";

/// Most mistakes of one file that are told.
const MISTAKES_MAX: usize = 1_000;
/// Most mistakes of the merge that name the other place, too.
const PLACED_MAX: usize = 100;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Offset of its first byte on the axis of all files.
    start: usize,
}

/// All files, the main one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    main: Source,
    included: Vec<Source>,
    /// Paths in `include`, whose last part may have wildcards.
    pub(crate) patterns: Vec<PathBuf>,
    /// Files that these stood for, readable or not.
    pub(crate) named: Vec<PathBuf>,
    /// The main file, the included ones, and what the keys read so far name.
    pub(crate) paths: NamedPaths,
}

/// Place in one of the files.
pub(super) struct Place<'a> {
    pub(super) file: &'a Path,
    /// Line and column, both counted from 1.
    pub(super) line: usize,
    pub(super) column: usize,
    /// Text of the line.
    pub(super) source: &'a str,
}

/// Tables of all files as one.
pub(super) struct Merged<'a> {
    pub(super) table: DeTable<'a>,
    /// Offset, key and message of each mistake.
    pub(super) mistakes: Vec<(usize, String, String)>,
    /// Cleared if something in a file could not be read as TOML.
    pub(super) is_toml: bool,
}

impl Sources {
    pub(super) fn new(main: &Path, text: &str) -> Self {
        let mut paths = NamedPaths::default();
        paths.add("gateway.toml", main);
        let main = Source { path: main.to_path_buf(), text: text.to_owned(), start: 0 };
        Self { main, included: Vec::new(), patterns: Vec::new(), named: Vec::new(), paths }
    }

    /// Adds an included file behind the others.
    pub(super) fn add(&mut self, path: PathBuf, text: String) {
        let last = self.included.last().unwrap_or(&self.main);
        let start = last.start + last.text.len() + 1;
        self.paths.add("include", &path);
        self.included.push(Source { path, text, start });
    }

    pub(crate) fn main(&self) -> &Source {
        &self.main
    }

    pub(crate) fn included(&self) -> &[Source] {
        &self.included
    }

    /// Returns the text of each file, with the offset of its first byte on the axis of all files.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        std::iter::once(&self.main).chain(&self.included).map(|source| (source.start, source.text.as_str()))
    }

    /// Returns the folder from which relative paths in the main file start.
    pub(super) fn main_folder(&self) -> &Path {
        folder_of(&self.main.path)
    }

    /// Returns the folder from which a relative path at this offset starts: that of the file in which it stands.
    pub(super) fn folder(&self, at: usize) -> &Path {
        folder_of(&self.source(at).path)
    }

    pub(super) fn place(&self, at: usize) -> Place<'_> {
        let Source { path, text, start } = self.source(at);
        let (before, behind) = text.split_at_checked((at - start).min(text.len())).unwrap_or(("", text));
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line_end = behind.find('\n').map_or(text.len(), |end| before.len() + end);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).map_or(0, |tail| tail.chars().count()) + 1;
        let source = text.get(line_start..line_end).unwrap_or_default();
        Place { file: path, line, column, source: source.strip_suffix('\r').unwrap_or(source) }
    }

    /// Returns file and line of a key's value, or else of the nearest table above it; the main file alone if there is none of these.
    pub(crate) fn line_of(&self, key: &str) -> String {
        match KeyPlaces::of(&self.merged().table).at(key).map(|at| self.place(at)) {
            Some(Place { file, line, .. }) => format!("{}:{line}", file.display()),
            None => self.main.path.display().to_string(),
        }
    }

    fn source(&self, at: usize) -> &Source {
        self.included.iter().rfind(|source| source.start <= at).unwrap_or(&self.main)
    }

    /// Merges the files: tables of the same name have the keys of all, arrays of tables are appended in the order of the files, and a key that is
    /// set twice is a mistake, whatever its values.
    pub(super) fn merged(&self) -> Merged<'_> {
        let mut merged = Merged { table: DeTable::new(), mistakes: Vec::new(), is_toml: true };
        for source in std::iter::once(&self.main).chain(&self.included) {
            let (root, errors) = DeTable::parse_recoverable(&source.text);
            merged.is_toml &= errors.is_empty();
            for error in errors.into_iter().take(MISTAKES_MAX) {
                let at = error.span().map_or(0, |span| span.start);
                merged.mistakes.push((source.start + at, "syntax".to_owned(), error.message().to_owned()));
            }
            let is_main = source.start == 0;
            for (name, value) in moved_table(root.into_inner(), source.start) {
                if !is_main && let Some((at, key, message)) = of_main_alone(&name, &value) {
                    merged.mistakes.push((at, key, message.to_owned()));
                    continue;
                }
                self.merge(&mut merged, name, value);
            }
        }
        merged
    }

    fn merge<'a>(&'a self, merged: &mut Merged<'a>, name: Key<'a>, value: Spanned<DeValue<'a>>) {
        let at = value.span().start;
        let Some(known) = merged.table.get_mut(name.get_ref().as_ref()) else {
            merged.table.insert(name, value);
            return;
        };
        let first = known.span().start;
        match (known.get_mut(), value.into_inner()) {
            (DeValue::Array(known), DeValue::Array(more)) => {
                more.into_iter().for_each(|item| known.push(item));
            }
            (DeValue::Table(known), DeValue::Table(more)) => {
                for (key, value) in more {
                    if let Some(other) = known.get(key.get_ref().as_ref()) {
                        let full = format!("{}.{}", name.get_ref(), key.get_ref());
                        // The place of each takes a look through its file.
                        let message = match merged.mistakes.len() < PLACED_MAX {
                            true => self.is_set_twice(other.span().start),
                            false => "set twice".to_owned(),
                        };
                        merged.mistakes.push((value.span().start, full, message));
                    } else {
                        known.insert(key, value);
                    }
                }
            }
            _ => merged.mistakes.push((at, name.get_ref().to_string(), self.is_set_twice(first))),
        }
    }

    fn is_set_twice(&self, first: usize) -> String {
        let Place { file, line, .. } = self.place(first);
        format!("set twice: it stands in {}:{line} too", file.display())
    }
}

type Key<'a> = Spanned<toml::de::DeString<'a>>;

/// Returns offset, key and message if only the main file may have this.
fn of_main_alone(name: &Key<'_>, value: &Spanned<DeValue<'_>>) -> Option<(usize, String, &'static str)> {
    match (name.get_ref().as_ref(), value.get_ref()) {
        ("include", _) => {
            let message = "an included file includes no further ones: name them in the main file";
            Some((value.span().start, "include".to_owned(), message))
        }
        ("gateway", DeValue::Table(table)) => {
            let message = "belongs into the main file: where an included one is missing or has a mistake, it leads to the configuration that was in force last";
            let at = table.get("state")?.span().start;
            Some((at, STATE.to_owned(), message))
        }
        _ => None,
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn moved(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

/// Moves all places in a table to the axis of all files.
fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let span = moved(key.span(), by);
        (Spanned::new(span, key.into_inner()), moved_value(value, by))
    });
    entries.collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = moved(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| moved_value(item, by)).collect())
        }
        other => other,
    };
    Spanned::new(span, value)
}
