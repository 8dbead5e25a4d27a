//! `edge-gateway test`: runs the cases of a configuration, and prints for each whether it holds.

use std::fmt::{self, Write};
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
            let _ = writeln!(text, "    {}", Pasted(line));
        }
    }
}

/// Line that can be copied into `expect`: between single quotes as it stands, or, where TOML or a terminal needs escapes, as a text with its
/// double quotes.
struct Pasted<'a>(&'a str);

impl fmt::Display for Pasted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_shown = |c: char| matches!(c, '"' | '\\' | '\'') || c.escape_debug().len() == 1;
        if self.0.chars().all(|c| c != '\'' && is_shown(c)) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                _ if is_shown(c) => f.write_char(c)?,
                _ => write!(f, "\\U{:08X}", u32::from(c))?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Report of a case with this raw message and these expected lines, as TOML has them.
    fn report_of(payload: &str, expect: &str) -> (String, bool) {
        let text = format!(
            "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"r/#\"\nto=\"raw/\"\n\
             [[test]]\ninput = [{payload}]\nexpect = [{expect}]\n"
        );
        let (config, _) = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap();
        report(&config, true)
    }

    #[test]
    fn a_payload_is_compared_as_it_is() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200));
        for payload in [r#"{"a":1}"#, r"C:\temp", &long] {
            let (said, holds) = report_of(&format!("'0s r/x {payload}'"), &format!("'raw/r/x {payload}'"));
            assert!(holds && said.contains(&format!("\n    raw/r/x {payload}\n")), "{said}");
        }
        assert!(
            !report_of(r#"'0s r/x {"a":1}'"#, r#"'raw/r/x {\"a\":1}'"#).1,
            "an escape is another payload"
        );
    }

    /// Also of what a literal string cannot hold, or what would steer a terminal.
    #[test]
    fn a_printed_line_can_be_pasted() {
        for (payload, printed) in [
            (r#"'0s r/x {"a":1}'"#, r#"raw/r/x {"a":1}"#),
            (r#""0s r/x it's \"\\""#, r#""raw/r/x it's \"\\""#),
            (r#""0s r/x \u001B[2J\u202E""#, r#""raw/r/x \U0000001B[2J\U0000202E""#),
        ] {
            let (said, _) = report_of(payload, "");
            let got = said.lines().skip_while(|line| *line != "  got").nth(1).unwrap().trim_start();
            assert_eq!(got, printed, "{said}");
            let pasted = if got.starts_with('"') { got.to_owned() } else { format!("'{got}'") };
            assert!(report_of(payload, &pasted).1, "{pasted}");
        }
    }
}
