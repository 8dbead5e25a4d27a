//! One filter of a case file over a CSV file, for a comparison with another program.
//!
//! Filters see what they are given: no time guard, no normalising before them. Sensors are filtered apart from each
//! other; the rows of the output are in the order of the input.

mod alarm;
mod batch;
mod case;
mod flags;
mod kept;
mod pid;
mod rows;
mod windows;

use crate::error::Error;
use crate::refuse_to_overwrite;
use case::Case;
use std::fmt::Write as _;
use std::path::Path;

pub(crate) fn run(case: &Path, input: &Path, output: &Path) -> Result<(), Error> {
    refuse_to_overwrite(output, &[(input, "the recording"), (case, "the case")])?;
    let case = Case::load(case)?;
    let table = table(&case, input)?;
    case.warn_about_unknown_keys();
    std::fs::write(output, table).map_err(|error| Error::io(output, "write it", &error))
}

fn table(case: &Case, input: &Path) -> Result<String, Error> {
    let config = case.config();
    let kind = config.text("type")?;
    case.expect_kind(match kind {
        "deadband" | "on_change" | "jump_reject" | "swinging_door" | "lttb" | "minmaxlttb" | "m4" | "minmax" => {
            &["kept", "property"]
        }
        "qartod" | "hampel" => &["flags"],
        "window" => &["series"],
        "limit_alarm" => &["alarm"],
        "pid" => &["pid"],
        _ => {
            return Err(config.wrong(
                "type",
                "deadband, on_change, jump_reject, swinging_door, lttb, minmaxlttb, m4, minmax, qartod, hampel, window, \
                 limit_alarm or pid",
            ));
        }
    })?;
    Ok(match kind {
        "lttb" | "minmaxlttb" | "m4" | "minmax" => {
            index_column(batch::kept(kind, &config, &rows::read(input)?)?)
        }
        "qartod" => flag_columns(&flags::qartod(&config, &rows::read(input)?)?),
        "hampel" => flag_columns(&flags::hampel(&config, &rows::read(input)?)?),
        "window" => windows::table(&config, &rows::read(input)?)?,
        "limit_alarm" => alarm::table(&config, &rows::read(input)?)?,
        "pid" => pid::table(&config, input)?,
        _ => index_column(kept::kept(kind, &config, &rows::read(input)?)?),
    })
}

fn index_column(mut kept: Vec<usize>) -> String {
    kept.sort_unstable();
    let mut table = String::from("idx\n");
    for index in kept {
        let _ = writeln!(table, "{index}");
    }
    table
}

fn flag_columns(flags: &[u8]) -> String {
    let mut table = String::from("idx,flag\n");
    for (index, flag) in flags.iter().enumerate() {
        let _ = writeln!(table, "{index},{flag}");
    }
    table
}
