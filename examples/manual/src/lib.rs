#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "for tests and packages: it writes files and asks bash")]
//! Manual pages and shell completions of a program, made of the definition of its command line.
//!
//! A test of each program calls [`make`], so that no program links this. With `EDGE_WRITE_MANUAL=DIR` the files are written as well, below
//! `DIR/PROGRAM/share`, in the folders in which `man` and the shells look for them below `/usr` and `/usr/local`: `packaging/manual` does it.

mod completions;
mod exit_codes;
mod faults;
mod page;

use std::collections::BTreeMap;
use std::path::Path;

use clap::Command;

/// Names the directory to write to.
const WRITE: &str = "EDGE_WRITE_MANUAL";
/// Folder of the pages.
const PAGES: &str = "man/man1";

/// Texts of a program by the path below `share`.
type Files = BTreeMap<String, String>;

/// Makes the pages and completions of a program, and writes them where `EDGE_WRITE_MANUAL` says so. Returns what is wrong with them; nothing if they
/// are fit to be packed.
#[must_use]
pub fn make(program: Command) -> Vec<String> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let (mut files, mut found) = (Files::new(), Vec::new());
    page::all(&program, &mut files, &mut found);
    completions::all(&program, &mut files);
    found.extend(faults::find(&program, &files));
    if let Some(dir) = std::env::var_os(WRITE).filter(|_| found.is_empty()) {
        let share = Path::new(&dir).join(program.get_name()).join("share");
        if let Err(error) = write(&share, &files) {
            found.push(format!("{}: {error}", share.display()));
        }
    }
    found
}

/// Writes the files. What an earlier version of the program had is removed.
fn write(share: &Path, files: &Files) -> std::io::Result<()> {
    if share.exists() {
        std::fs::remove_dir_all(share)?;
    }
    for (path, text) in files {
        let path = share.join(path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Returns the subcommands that are shown.
fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

/// Returns the name of a command's page, as `edge-gateway-run`.
fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}
