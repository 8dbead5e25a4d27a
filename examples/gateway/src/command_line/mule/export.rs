//! `edge-gateway mule export`: a file on the stick, whole or not there, named after the gateway and a number that is free on the stick and, as a
//! time, on other sticks.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a command: a socket, a file")]

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::super::answer_in_pieces::pieces;
use super::super::control_client::{Failed, StateArguments, open, tell};
use super::super::export_file::{ExportFile, check_whole};
use super::{EXPORT, RECEIPT};
use crate::mule::export_head::ExportHead;
use crate::run::status::outputs::terminal::printable;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Directory of the stick
    #[arg(value_name = "STICK")]
    stick: PathBuf,
    #[command(flatten)]
    gateway: StateArguments,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let state = arguments.gateway.dir().map_err(|text| (text, 2));
    tell(state.and_then(|state| export(&state, &arguments.stick).map_err(Failed::with_code)))
}

fn export(state: &Path, stick: &Path) -> Result<String, Failed> {
    let mut answer = pieces(open(state)?, "mule")?;
    let failed = |path: &Path, error: io::Error| Failed::Answer(format!("{}: {error}", path.display()));
    let mut first = Vec::new();
    answer.next(&mut first)?;
    let head = ExportHead::read(&mut first.as_slice());
    let head = head.map_err(|error| Failed::Answer(format!("the gateway's answer: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let path = free_name(stick, head.gateway(), now).map_err(|error| failed(stick, error))?;
    let mut file = ExportFile::create(&path).map_err(|error| failed(&path, error))?;
    file.write_all(&first).map_err(|error| failed(&path, error))?;
    while answer.next(&mut file)? {}
    file.sync().and_then(check).map_err(|error| failed(&path, error))?;
    file.finish().map_err(|error| failed(&path, error))?;
    Ok(format!("{} to {}; nothing is released before its receipt\n", printable(&answer.done), path.display()))
}

/// Returns a path on the stick of which neither the export nor the receipt is there. Its number is that of the second, so that the receipt of another
/// stick's export is not taken for the receipt of this one; where the clock says less, that behind the last one.
fn free_name(stick: &Path, gateway: u64, now_s: u64) -> io::Result<PathBuf> {
    let mut last = 0;
    for entry in fs::read_dir(stick)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| {
            let rest = name.strip_prefix(&format!("mule-{gateway:016x}-"))?;
            let (number, ending) = rest.split_once('.')?;
            number.parse::<u32>().ok().filter(|_| [EXPORT, RECEIPT].contains(&ending))
        });
        last = last.max(number.unwrap_or(0));
    }
    let next = last.checked_add(1).ok_or_else(|| io::Error::other("no number is free"))?;
    let number = next.max(u32::try_from(now_s).unwrap_or(next));
    Ok(stick.join(format!("mule-{gateway:016x}-{number}.{EXPORT}")))
}

/// Reads the export to its end.
///
/// # Errors
/// It is not whole.
fn check(path: &Path) -> io::Result<()> {
    let mut input = BufReader::new(File::open(path)?);
    ExportHead::read(&mut input)?;
    check_whole(input, "export")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_on_the_stick_and_another_one_on_another_stick() {
        let stick = tempfile::tempdir().unwrap();
        let name = |now_s| {
            let path = free_name(stick.path(), 0xab, now_s).unwrap();
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        let there = |name: &str| fs::write(stick.path().join(name), "").unwrap();
        assert_eq!(name(0), "mule-00000000000000ab-1.edgm", "a clock that was never set");
        assert_eq!(name(1_700_000_000), "mule-00000000000000ab-1700000000.edgm");
        there("mule-00000000000000ab-1700000000.receipt");
        assert_eq!([0, 1_700_000_000].map(name), ["mule-00000000000000ab-1700000001.edgm"; 2]);
        assert_eq!(name(u64::MAX), "mule-00000000000000ab-1700000001.edgm");
        there("mule-00000000000000ac-1800000000.edgm");
        assert_eq!(name(0), "mule-00000000000000ab-1700000001.edgm", "another gateway's");
        there(&format!("mule-00000000000000ab-{}.edgm", u32::MAX));
        assert!(free_name(stick.path(), 0xab, 0).is_err());
    }
}
