//! Completions for the shells, each where the shell looks for it.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::Files;

/// Returns the path of the program's completions for `bash`.
pub(crate) fn bash(program: &Command) -> String {
    format!("bash-completion/completions/{}", program.get_name())
}

/// Adds the completions of a program to `files`.
pub(crate) fn all(program: &Command, files: &mut Files) {
    let name = program.get_name();
    let shells = [
        (Shell::Bash, bash(program)),
        (Shell::Zsh, format!("zsh/site-functions/_{name}")),
        (Shell::Fish, format!("fish/vendor_completions.d/{name}.fish")),
    ];
    for (shell, path) in shells {
        let mut text = Vec::new();
        generate(shell, &mut program.clone(), name, &mut text);
        files.insert(path, String::from_utf8_lossy(&text).into_owned());
    }
}
