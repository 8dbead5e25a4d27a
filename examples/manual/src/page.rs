//! Page of each command: what clap knows of it, its exit codes, and where to read on.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::{Files, PAGES, exit_codes, page_name, shown};

/// Names the date that the pages show, as 2026-11-27.
const DATE: &str = "EDGE_MANUAL_DATE";
/// Lines that clap_mangen writes before possible values.
const BLANK_LINE: &str = "\n.br\n\n.br\n";
/// Meaning of the string that stands for an apostrophe, for groff and for others.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Adds the pages of a program and all of its commands to `files`, and what they lack to `found`.
pub(crate) fn all(program: &Command, files: &mut Files, found: &mut Vec<String>) {
    one(program, program, None, files, found);
}

fn one(
    program: &Command,
    command: &Command,
    parent: Option<&Command>,
    files: &mut Files,
    found: &mut Vec<String>,
) {
    let name = page_name(command);
    match text(program, command, parent) {
        Ok(text) => {
            files.insert(format!("{PAGES}/{name}.1"), text);
        }
        Err(error) => found.push(format!("{name}: {error}")),
    }
    for below in shown(command) {
        one(program, below, Some(command), files, found);
    }
}

fn text(program: &Command, command: &Command, parent: Option<&Command>) -> Result<String, String> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    let done = [
        man.render_name_section(&mut page),
        man.render_synopsis_section(&mut page),
        man.render_description_section(&mut page),
        man.render_options_section(&mut page),
    ];
    done.into_iter().collect::<Result<(), _>>().map_err(|error| error.to_string())?;
    if shown(command).next().is_some() {
        man.render_subcommands_section(&mut page).map_err(|error| error.to_string())?;
    }
    let mut page = String::from_utf8(page).map_err(|error| error.to_string())?;
    page.push_str(&behind(program, command, parent)?);
    // Each section brought it along.
    let page = page.replace(APOSTROPHE, "").replace(BLANK_LINE, "\n.sp\n");
    let lines: Vec<_> = page.lines().map(str::trim_end).collect();
    Ok(format!("{APOSTROPHE}{}{}\n", title(program, command), lines.join("\n")))
}

/// Returns the line with name, date, version and title. clap_mangen's leaves out what is empty, and shifts the rest.
fn title(program: &Command, command: &Command) -> String {
    let (name, program, version) =
        (page_name(command).to_uppercase(), program.get_name(), program.get_version());
    let date = std::env::var(DATE).unwrap_or_default();
    let version = version.unwrap_or_default();
    format!(".TH {name} 1 \"{date}\" \"{program} {version}\" \"{program} manual\"\n")
}

/// Returns the sections that are ours.
fn behind(program: &Command, command: &Command, parent: Option<&Command>) -> Result<String, String> {
    let mut roff = Roff::new();
    if let Some(notes) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        roff.control("SH", ["NOTES"]);
        for line in notes.to_string().lines() {
            roff.text([roman(line)]);
        }
    }
    let called = command.get_bin_name().unwrap_or_else(|| command.get_name());
    if let Some(codes) = exit_codes::of(called) {
        roff.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in codes {
            roff.control("TP", []);
            roff.text([bold(code)]);
            roff.text(with_code(meaning));
        }
    } else if shown(command).next().is_none() {
        return Err("docs/reference/exit-codes.md has no row for it".to_owned());
    }
    let mut others: Vec<_> = parent.into_iter().chain(shown(command)).map(page_name).collect();
    if parent.is_some() && parent.map(page_name) != Some(program.get_name()) {
        others.insert(0, program.get_name());
    }
    if !others.is_empty() {
        roff.control("SH", ["SEE ALSO"]);
        let last = others.len() - 1;
        let mut line = Vec::new();
        for (n, other) in others.into_iter().enumerate() {
            line.push(bold(other));
            line.push(roman(if n < last { "(1), " } else { "(1)" }));
        }
        roff.text(line);
    }
    Ok(roff.render())
}

/// Returns Markdown of a cell, what stands between backticks in bold.
fn with_code(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 0 { roman(part) } else { bold(part) }).collect()
}
