//! Exit codes of a command, by the table of the reference.

const TABLE: &str = include_str!("../../../docs/reference/exit-codes.md");

/// Returns the codes of a command with their meaning. `called`: as it is typed, such as `edge-gateway parked list`; the row of `edge-gateway parked` is
/// meant for that, too.
pub(crate) fn of(called: &str) -> Option<Vec<(&'static str, &'static str)>> {
    let mut rows = TABLE.lines().filter_map(cells);
    let head = rows.next()?;
    let rows: Vec<_> = rows.collect();
    let mut called = called;
    loop {
        if let Some(row) = rows.iter().find(|row| row.first().is_some_and(|names| names_it(names, called))) {
            let codes = head.iter().zip(row).skip(1);
            return Some(
                codes.filter(|(_, meaning)| !meaning.is_empty()).map(|(code, text)| (*code, *text)).collect(),
            );
        }
        called = called.rsplit_once(' ')?.0;
    }
}

fn cells(line: &'static str) -> Option<Vec<&'static str>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    (!row.starts_with("---")).then(|| row.split('|').map(str::trim).collect())
}

/// Returns whether a cell such as "`edge-gateway check`, `reference`" names the command.
fn names_it(names: &str, called: &str) -> bool {
    let mut program = "";
    names.split(", ").map(|name| name.trim_matches('`')).any(|name| {
        let is_whole = program.is_empty() || name.starts_with(program);
        let whole = if is_whole { name.to_owned() } else { format!("{program} {name}") };
        program = name.split(' ').next().filter(|_| program.is_empty()).unwrap_or(program);
        whole == called
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_that_of_the_command_or_of_the_one_above() {
        let code = |called: &str, code: &str| {
            let codes = of(called)?;
            codes.iter().find(|(found, _)| *found == code).map(|(_, meaning)| *meaning)
        };
        assert_eq!(code("edge-gateway status", "69"), Some("no running gateway answers"));
        assert_eq!(of("edge-gateway parked list"), of("edge-gateway parked"));
        assert_eq!(of("edge-gateway reference"), of("edge-gateway check"));
        assert!(of("edge-queue check").is_some() && of("edge-queue check") != of("edge-gateway check"));
        assert_eq!(code("edge-queue check", "69"), None, "an empty cell is no code");
        assert_eq!(of("edge-gateway"), None);
        assert_eq!(of("reference"), None);
        assert_eq!(of("edge-gateway nothing"), None);
    }
}
