//! Amount of what the files of a configuration hold together: one that holds too much is refused before it is parsed. Pure.

use edge_state::toml_amount::{Amount, Arrays, Excess, Tables};

use super::{Findings, TABLES_MAX};

/// Tables of a configuration. A thousand each of routes, their fields, commands and cases of tests are 4 000.
const TABLES: Tables = Tables { all: 5_000, arrays: Arrays::Each(&["route", "command", "test"], TABLES_MAX) };

/// Reports the first limit that the files exceed together. Returns whether they exceed one: then they are not to be parsed.
pub(super) fn is_too_much(findings: &mut Findings) -> bool {
    let mut amount = Amount::new(TABLES);
    let excess = findings.sources().texts().find_map(|(start, text)| {
        let Excess { at, key, message } = amount.add(text)?;
        Some((start + at, key, message))
    });
    let Some((at, key, message)) = excess else { return false };
    findings.error(at, &key, message);
    true
}

/// Returns the beginning of a text that is within the limits: all of it, unless it exceeds one.
pub(super) fn within(text: &str) -> &str {
    let end = Amount::new(TABLES).add(text).map_or(text.len(), |excess| excess.at);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_within_the_limits_up_to_what_exceeds_one() {
        for (one, most) in [
            ("[[route]]\n", TABLES_MAX),
            ("[[ \"test\" ]] # x\n", TABLES_MAX),
            ("[a]\n", 5_000),
            ("\n", 50_000),
        ] {
            let text = one.repeat(most);
            assert_eq!(within(&text), text);
            assert_eq!(within(&one.repeat(most + 1)), text, "{one:?}");
        }
    }
}
