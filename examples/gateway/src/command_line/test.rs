//! `edge-gateway test`: runs the cases of a configuration, and prints for each whether it holds.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use edge_bridge::escape::Escaped;

use super::standard_output;
use crate::config::{Config, TestCase};
use crate::test_cases;

#[derive(Args)]
pub(crate) struct Arguments {
    /// gateway.toml with `[[test]]`
    pub(crate) file: PathBuf,
    /// Also print what came of the cases that hold
    #[arg(long)]
    all: bool,
}

/// Runs all cases. The exit code is 1 if a case does not hold, or if there is none.
pub(crate) fn run(arguments: &Arguments, config: &Config) -> ExitCode {
    let (text, holds) = report(config, arguments.all);
    match standard_output::print(&text) {
        Err(code) => code,
        Ok(()) if holds => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
    }
}

/// Returns the report, and whether all cases hold.
fn report(config: &Config, all: bool) -> (String, bool) {
    let (mut text, mut failed) = (String::new(), 0);
    // Writing to a text does not fail.
    for case in &config.cases {
        let name = Escaped(&case.name);
        match test_cases::run(&config.routes, case) {
            Ok(outcome) => {
                let _ = writeln!(text, "{} {name}", if outcome.holds { "ok    " } else { "FAILED" });
                failed += usize::from(!outcome.holds);
                if all || !outcome.holds {
                    beside(&mut text, case, &outcome.got);
                }
            }
            Err(why) => {
                let _ = writeln!(text, "FAILED {name}: {why}");
                failed += 1;
            }
        }
    }
    let count = config.cases.len();
    let _ = match count {
        0 => writeln!(text, "no [[test]] in the file"),
        _ => writeln!(text, "{} of {count} hold", count - failed),
    };
    (text, failed == 0 && count > 0)
}

fn beside(text: &mut String, case: &TestCase, got: &[String]) {
    for (title, lines) in [("expected", &case.expect[..]), ("got", got)] {
        let _ = writeln!(text, "  {title}{}", if lines.is_empty() { " nothing" } else { "" });
        for line in lines {
            let _ = writeln!(text, "    {}", Escaped(line));
        }
    }
}
