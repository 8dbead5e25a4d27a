//! Checks of finished pages and completions: nothing is missing, and `man` would warn of nothing.

use std::process::Command as Process;

use clap::{Arg, Command};

use crate::{Files, PAGES, completions, page_name, shown};

/// Macros of man(7) that pages may use, and requests of roff.
const MACROS: [&str; 10] = ["TH", "SH", "PP", "TP", "IP", "RS", "RE", "sp", "ie", "el"];
/// Escapes: fonts, a minus, a bullet, apostrophes (two, and what stands for one), a backslash, and nothing (before a dot), as they are written at all.
const ESCAPES: [&str; 10] = ["fB", "fI", "fR", "-", "(bu", "*(Aq", "(aq", "n(.g", "\\", "&"];

/// Returns what is wrong with the files of a program.
pub(crate) fn find(program: &Command, files: &Files) -> Vec<String> {
    let mut found = Vec::new();
    of_command(program, files, &mut found);
    of_completions(program, files, &mut found);
    found
}

fn of_command(command: &Command, files: &Files, found: &mut Vec<String>) {
    let name = page_name(command);
    match files.get(&format!("{PAGES}/{name}.1")) {
        Some(page) => of_page(command, page, &mut |text| found.push(format!("{name}: {text}"))),
        None => found.push(format!("{name}: no page")),
    }
    shown(command).for_each(|below| of_command(below, files, found));
}

fn of_page(command: &Command, page: &str, found: &mut dyn FnMut(String)) {
    roff(page, found);
    let text = plain(page);
    for title in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
        if section(&text, title).is_none_or(str::is_empty) {
            found(format!("nothing in {title}"));
        }
    }
    if command.get_about().is_none() {
        found("no word about it".to_owned());
    }
    let options = section(&text, "OPTIONS").unwrap_or_default();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        if !options.contains(&written(argument)) {
            found(format!("{} is not in OPTIONS", written(argument)));
        }
        if argument.get_help().is_none_or(|help| help.to_string().is_empty()) {
            found(format!("no word about {}", written(argument)));
        }
    }
    for below in shown(command) {
        if !text.contains(&format!("{}(1)", page_name(below))) {
            found(format!("does not name {}", page_name(below)));
        }
    }
}

/// Returns how an argument stands in a page.
fn written(argument: &Arg) -> String {
    match (argument.get_long(), argument.get_short(), argument.get_value_names()) {
        (Some(long), ..) => format!("--{long}"),
        (None, Some(short), _) => format!("-{short}"),
        (None, None, Some([name, ..])) => name.to_string(),
        _ => argument.get_id().to_string(),
    }
}

/// Finds what `man --warnings` and `mandoc -Tlint` would say.
fn roff(page: &str, found: &mut dyn FnMut(String)) {
    let (mut depth, mut paragraph_is_due) = (0_i32, false);
    for line in page.lines() {
        if let Some(request) = line.strip_prefix(['.', '\'']) {
            let name = request.split(' ').next().unwrap_or_default();
            if !MACROS.contains(&name) {
                found(format!("unknown macro: {line}"));
            }
            depth += i32::from(name == "RS") - i32::from(name == "RE");
            if depth < 0 || paragraph_is_due && name == "TP" {
                found(format!("out of place: {line}"));
            }
            paragraph_is_due = name == "TP";
        } else {
            paragraph_is_due = false;
        }
        if line.trim_end() != line || line.is_empty() || line.chars().any(char::is_control) {
            found(format!("an empty line, blanks at its end, or control characters: {line:?}"));
        }
        let mut rest = line;
        while let Some((_, escape)) = rest.split_once('\\') {
            match ESCAPES.iter().find_map(|known| escape.strip_prefix(known)) {
                Some(behind) => rest = behind,
                None => {
                    found(format!("unknown escape: {line}"));
                    break;
                }
            }
        }
    }
    if depth != 0 {
        found("indented until the end".to_owned());
    }
}

/// Returns a page without fonts and escapes.
fn plain(page: &str) -> String {
    let mut text = page.to_owned();
    for font in ["\\fB", "\\fI", "\\fR", "\\&"] {
        text = text.replace(font, "");
    }
    text.replace("\\-", "-").replace("\\*(Aq", "'")
}

/// Returns the text of a section.
fn section<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\n.SH {title}\n"))?;
    Some(rest.split_once("\n.SH ").map_or(rest, |(inside, _)| inside).trim())
}

fn of_completions(program: &Command, files: &Files, found: &mut Vec<String>) {
    let options: Vec<_> = program.get_opts().filter_map(|option| option.get_long()).collect();
    for (path, text) in files.iter().filter(|(path, _)| !path.starts_with(PAGES)) {
        for name in shown(program).map(Command::get_name).chain(options.iter().copied()) {
            if !text.contains(name) {
                found.push(format!("{path}: does not know {name}"));
            }
        }
    }
    let Some(text) = files.get(&completions::bash(program)) else {
        found.push("no completions for bash".to_owned());
        return;
    };
    if shown(program).next().is_none() {
        return;
    }
    match offered(program.get_name(), text) {
        Ok(offered) => {
            let missing =
                shown(program).map(Command::get_name).filter(|name| !offered.iter().any(|o| o == name));
            found.extend(missing.map(|name| format!("bash does not offer {name}")));
        }
        Err(error) => found.push(format!("completions in bash: {error}")),
    }
}

/// Asks bash what it offers behind the program's name.
fn offered(program: &str, completions: &str) -> Result<Vec<String>, String> {
    let ask = format!(
        "{completions}\nCOMP_WORDS=({program} '') COMP_CWORD=1\nf=$(complete -p {program}); f=${{f##*-F }}\n${{f%% *}} {program} '' {program}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    let output = Process::new("bash").args(["--norc", "-c", &ask]).output();
    let output = output.map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.is_empty() {
        return Err(format!("{}, {errors}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(page: &str) -> Vec<String> {
        let mut said = Vec::new();
        roff(page, &mut |text| said.push(text));
        said
    }

    #[test]
    fn what_man_would_warn_of_is_found() {
        assert_eq!(said(".TH A 1\n.SH NAME\na \\- b\\fB\\-\\-c\\fR\n.RS 14\n.IP \\(bu 2\nd\n.RE\n"), [""; 0]);
        for page in
            [".foo\n", "'foo\n", "a \\q b\n", ".RS\n", ".RE\n.RS\n", ".TP\n.TP\na\n", "a\tb\n", "\n", "a \n"]
        {
            assert_eq!(said(page).len(), 1, "{page:?}: {:?}", said(page));
        }
    }

    fn program() -> Command {
        let sub = Command::new("go").about("Go").arg(clap::arg!(--far <N> "How far"));
        let mut program = Command::new("edge-queue").about("A").disable_help_subcommand(true).subcommand(sub);
        program.build();
        program
    }

    /// Returns the faults that are found in sound files after `change`.
    fn without(change: impl Fn(&str, &mut String)) -> Vec<String> {
        let (program, mut files, mut found) = (program(), Files::new(), Vec::new());
        crate::page::all(&program, &mut files, &mut found);
        completions::all(&program, &mut files);
        files.iter_mut().for_each(|(path, text)| change(path, text));
        files.retain(|_, text| !text.is_empty());
        found.extend(find(&program, &files));
        found
    }

    #[test]
    fn what_a_page_lacks_is_found() {
        assert_eq!(without(|_, _| ()), [""; 0]);
        let in_page = |from: &'static str, to: &'static str| {
            without(move |path, text| {
                if path.ends_with("go.1") {
                    *text = text.replace(from, to);
                }
            })
        };
        assert_eq!(in_page("far", "near"), ["edge-queue-go: --far is not in OPTIONS"]);
        assert_eq!(in_page("SH DESCRIPTION\n", "PP\n"), ["edge-queue-go: nothing in DESCRIPTION"]);
        let gone = without(|path, text| {
            if path.ends_with("go.1") {
                text.clear();
            }
        });
        assert_eq!(gone, ["edge-queue-go: no page"]);
        let unnamed = without(|path, text| {
            if path.ends_with("queue.1") {
                *text = text.replace("\\-go", "");
            }
        });
        assert_eq!(unnamed, ["edge-queue: does not name edge-queue-go"]);
    }

    #[test]
    fn completions_that_offer_less_or_are_no_script_are_found() {
        let in_bash = |change: fn(&mut String)| {
            without(move |path, text| {
                if path.starts_with("bash") {
                    change(text);
                }
            })
        };
        assert_eq!(in_bash(|text| *text = text.replace("--help go", "--help")), ["bash does not offer go"]);
        assert!(in_bash(|text| text.push_str("\nif"))[0].starts_with("completions in bash: exit status"));
        let in_fish = without(|path, text| {
            if path.starts_with("fish") {
                *text = text.replace("go", "");
            }
        });
        assert_eq!(in_fish.len(), 1, "{in_fish:?}");
    }

    #[test]
    fn a_command_without_exit_codes_is_found() {
        let mut unknown = Command::new("unknown").about("A").disable_help_subcommand(true);
        unknown.build();
        let (mut files, mut found) = (Files::new(), Vec::new());
        crate::page::all(&unknown, &mut files, &mut found);
        assert_eq!(found, ["unknown: docs/reference/exit-codes.md has no row for it"]);
    }
}
