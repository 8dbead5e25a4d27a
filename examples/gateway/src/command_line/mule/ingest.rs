//! `edge-gateway mule ingest`: publishes each export of a stick that has no receipt yet by the link's own core, at QoS 1, and writes its receipt once
//! nothing more of it can be acknowledged. Without a connection to the end, or an acknowledgement, there is no receipt: another ingest begins again,
//! and what comes twice has the same identity.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a command: files, the runtime")]

use std::fs;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use edge_bridge::bridge::Stats;
use edge_bridge::{Bridge, Builder, Link};
use edge_queue::RowId;
use edge_queue::transfer::{Item, Stream};
use tokio::time::{Instant, sleep, timeout};

use super::super::control_client::{UNAVAILABLE, complain, tell};
use super::super::export_file::ExportFile;
use super::super::hub_access::{HubAccess, not_started};
use super::{EXPORT, RECEIPT};
use crate::config::operator_file;
use crate::mule::export_head::ExportHead;
use crate::mule::receipt::Receipt;
use crate::mule::stick_spool::{Account, SharedAccount, StickSpool, lock};
use crate::run::hub::compact::{Compact, EchoedTables, KeptTables};
use crate::run::hub::pack::{BatchPack, RouteEncoder};
use crate::run::status::outputs::terminal::printable;

/// Time without progress after which messages that the hub refuses are left, with the gateway.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// The same without a further answer to a probe, while the hub refuses the link as a whole. The link tries another topic four times a second, and those that
/// were tried at 1, 2, 4, 8, 16 and 32 s; after 30 s a probe ends a refusal of which only tried topics are known, and further rows come.
const LINK_REFUSED_FOR: Duration = Duration::from_secs(35);
/// The same without an acknowledgement: where all is forbidden there is always a further topic to try.
const NOTHING_TAKEN_FOR: Duration = Duration::from_secs(180);
/// Time without progress after which an ingest is given up.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// Time between two looks at the progress.
const LOOK: Duration = Duration::from_millis(50);
/// Time limit of the goodbye to the hub.
const GOODBYE: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Directory of the stick
    #[arg(value_name = "STICK")]
    stick: PathBuf,
    /// The hub: mqtt://HOST:1883, or mqtts://HOST:8883 with --ca
    #[arg(long, value_name = "URL")]
    hub: String,
    #[command(flatten)]
    access: HubAccess,
    /// Client id; default: edge-mule- and the 16 hexadecimal digits of the gateway's queue, as in the receipt
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
}

/// Outcome of one export: text, and the exit code.
type Outcome = (String, u8);

/// The exit code is 0 if each export has its receipt and all of it was acknowledged, 1 if something was refused or damaged, 2 for a wrong
/// command line, 69 if the hub could not be reached to the end.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Found { exports, strange } = match found(&arguments.stick) {
        Ok(found) => found,
        Err(error) => return complain(&format!("{}: {error}", arguments.stick.display()), 1),
    };
    for text in &strange {
        edge_print::complain!("edge-gateway: {}", printable(text));
    }
    let mut code = u8::from(!strange.is_empty());
    if exports.is_empty() && strange.is_empty() {
        return tell(Ok(format!("{}: no export without a receipt\n", arguments.stick.display())));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string(), 1),
    };
    for path in exports {
        if code == UNAVAILABLE {
            break; // Nor for the next one.
        }
        let (text, of_export) = runtime.block_on(ingest(arguments, &path)).unwrap_or_else(|failed| failed);
        code = code.max(of_export);
        let text = printable(&format!("{}: {text}", path.display()));
        if of_export > 0 {
            edge_print::complain!("edge-gateway: {text}");
        } else if let Err(error) = edge_print::print(&format!("{text}\n")) {
            return complain(&error.to_string(), 1);
        }
    }
    ExitCode::from(code)
}

/// Exports of a stick, in the order of their names.
struct Found {
    /// Those that have no receipt.
    exports: Vec<PathBuf>,
    /// Text about each whose receipt is none, or not one of all its rows.
    strange: Vec<String>,
}

fn found(stick: &Path) -> io::Result<Found> {
    let paths = fs::read_dir(stick)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<_> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == EXPORT)).collect();
    paths.sort();
    let mut found = Found { exports: Vec::new(), strange: Vec::new() };
    for path in paths {
        let receipt = path.with_extension(RECEIPT);
        if fs::symlink_metadata(&receipt).is_err() {
            found.exports.push(path);
            continue;
        }
        let receipt_name = receipt.display();
        match without_receipt(&receipt, &path) {
            Ok(Rows { without: 0, are_all: true }) => {}
            Ok(Rows { without: 0, .. }) => found.strange.push(format!(
                "{}: it is damaged or was cut off: what cannot be read of it is not in its receipt, and stays with the gateway",
                path.display()
            )),
            Ok(Rows { without: rows, .. }) => found.strange.push(format!(
                "{}: {rows} of its rows are not in its receipt, and stay with the gateway: move {receipt_name} away to publish the export again",
                path.display()
            )),
            Err(why) => found.strange.push(format!(
                "{receipt_name}: stands in the place of a receipt, and is none: {why}; the export is not published before it is moved away"
            )),
        }
    }
    Ok(found)
}

/// Rows of an export beside its receipt.
struct Rows {
    /// Number of those that are not in it.
    without: u64,
    /// Set if the export could be read to its end.
    are_all: bool,
}

/// Looks for the rows of an export in its receipt. What cannot be read of it is not looked for.
///
/// # Errors
/// The file in the receipt's place is none, or one of another export; in words.
fn without_receipt(receipt: &Path, export: &Path) -> Result<Rows, String> {
    let text = operator_file::read_text(receipt).map_err(|error| error.to_string())?;
    let receipt = Receipt::parse(&text)?;
    let input = operator_file::open(export).map(BufReader::new);
    let head = input.and_then(|mut input| Ok((ExportHead::read(&mut input)?, input)));
    let Ok((head, input)) = head else { return Ok(Rows { without: 0, are_all: false }) };
    if head.gateway() != receipt.gateway {
        return Err("it is of another gateway".to_owned());
    }
    let (mut rows, mut without) = (0_u64, 0_u64);
    let mut stream = Stream::new(input);
    while let Ok(Some(item)) = stream.next_item() {
        let Item::Row(row) = item else { continue };
        let id = RowId { gateway: stream.end().gateway, lane: row.lane, epoch: row.epoch, seq: row.seq };
        rows += 1;
        without += u64::from(!receipt.has(id));
    }
    if rows > 0 && without == rows {
        return Err("it has no row of this export".to_owned());
    }
    Ok(Rows { without, are_all: stream.end().is_whole() })
}

async fn ingest(arguments: &Arguments, path: &Path) -> Result<Outcome, Outcome> {
    let bad = |error: io::Error| (error.to_string(), 1);
    let mut input = BufReader::new(operator_file::open(path).map_err(bad)?);
    let head = ExportHead::read(&mut input).map_err(bad)?;
    let receipt = path.with_extension(RECEIPT);
    let unwritten = |error: io::Error| (format!("{}: {error}", receipt.display()), 1);
    // Before anything is published: a stick may be write-protected.
    let mut file = ExportFile::create(&receipt).map_err(unwritten)?;
    let account = SharedAccount::default();
    let spool = StickSpool::new(input, head.gateway(), &account);
    let compact = Compact::new(&[], "", None, EchoedTables::default(), &KeptTables::default(), &[]);
    let pack = BatchPack::new(RouteEncoder::of_limits(head.limits(), compact)).with_identity(head.identity());
    let builder = builder(arguments, head.gateway()).map_err(|text| (text, 2))?;
    let (link, _task) = builder.start_with(spool, pack).map_err(|error| (not_started(&error), 2))?;
    let reached = published(&link, &account).await;
    let _ = timeout(GOODBYE, link.close()).await;
    let account = lock(&account);
    let rest = reached.map_err(|why| {
        let acked = account.acked.ids();
        (format!("no receipt: {why}; {acked} rows were acknowledged, try again"), UNAVAILABLE)
    })?;
    if account.acked.ids() == 0 && !account.is_clean() {
        return Ok((said(&account, rest, None), 1));
    }
    let text = Receipt::new(head.gateway(), &account.acked).to_text();
    file.write_all(text.as_bytes()).and_then(|()| file.finish()).map_err(unwritten)?;
    Ok((said(&account, rest, Some(&receipt)), u8::from(!account.is_clean())))
}

/// Reason for which rows have no end when an ingest ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    /// Refusal of each of them, where there are any.
    Refused,
    /// Refusal of the link as a whole, so that they wait behind those that were tried.
    Untried,
}

/// Waits until each row has its end, or the hub refuses those that have none.
///
/// # Errors
/// The hub does not answer, in words.
async fn published(link: &Link, account: &SharedAccount) -> Result<Rest, String> {
    let (mut last, mut since) = ((0, 0), Instant::now());
    let (mut last_taken, mut taken_since) = (0, Instant::now());
    loop {
        let stats = link.stats();
        let (now, taken) = {
            let account = lock(account);
            if account.is_done() {
                return Ok(Rest::Refused);
            }
            ((account.ended, probes(&stats)), account.acked.ids() + account.unrecorded)
        };
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if taken != last_taken {
            (last_taken, taken_since) = (taken, Instant::now());
        }
        if let Some(rest) = rest_of(&stats, since.elapsed(), taken_since.elapsed()) {
            return Ok(rest);
        }
        if since.elapsed() >= SILENT_FOR {
            return Err(stats.last_error.unwrap_or_else(|| "the hub does not answer".to_owned()));
        }
        sleep(LOOK).await;
    }
}

/// Returns why what is left has no end, if the hub refuses it and nothing else is to be waited for. `silent`: time without progress; `untaken`: without
/// an acknowledgement.
fn rest_of(stats: &Stats, silent: Duration, untaken: Duration) -> Option<Rest> {
    let (rest, is_over) = match stats.link_refused {
        true => (Rest::Untried, silent >= LINK_REFUSED_FOR || untaken >= NOTHING_TAKEN_FOR),
        false => (Rest::Refused, silent >= REFUSED_FOR),
    };
    (is_over && is_refused(stats)).then_some(rest)
}

/// Returns the number of refusals while the hub refuses the link as a whole, when a refused probe of one topic may lead to one that is taken.
fn probes(stats: &Stats) -> u64 {
    let refusals = stats.refusals.iter().map(|(_, count)| count).sum();
    if stats.link_refused { refusals } else { 0 }
}

/// Returns whether the hub has an answer to everything that was sent to it, and refuses what is left.
fn is_refused(stats: &Stats) -> bool {
    let is_connected = stats.last_error.is_none() && stats.connects > 0;
    let is_held = stats.held > 0 && stats.held == stats.unacknowledged as u64;
    is_connected && (stats.link_refused || is_held)
}

fn said(account: &Account, rest: Rest, receipt: Option<&Path>) -> String {
    let mut text = match receipt {
        Some(receipt) => format!("{} rows acknowledged, receipt {}", account.acked.ids(), receipt.display()),
        None => "no row acknowledged, no receipt".to_owned(),
    };
    let mut add = |rows: u64, what: &str| {
        if rows > 0 {
            text += &format!("; {rows} {what}");
        }
    };
    let (refused, untried) = match rest {
        Rest::Refused => (account.open, 0),
        Rest::Untried => (0, account.open),
    };
    add(account.refused_rows + refused, "refused by the hub, not in the receipt");
    add(untried, "left, since the hub refuses whatever is sent, not in the receipt");
    add(account.expired, "expired on the way, not in the receipt");
    add(account.foreign, "of another gateway, not published");
    add(account.unrecorded, "more acknowledged than a receipt holds: they stay with the gateway");
    match account.end {
        None => text += "; the rest was not sent, not in the receipt",
        Some(end) if end.is_whole() => {}
        Some(end) => {
            add(end.rows_missing, "damaged on the stick, not published");
            text += "; the export is damaged or was cut off";
        }
    }
    for ((topic, reason), rows) in &account.refused {
        text += &format!("; {rows} to \"{topic}\": {reason}");
    }
    if let Some(error) = &account.error {
        text += &format!("; {error}");
    }
    text
}

fn builder(arguments: &Arguments, gateway: u64) -> Result<Builder, String> {
    let client_id = arguments.client_id.clone().unwrap_or_else(|| format!("edge-mule-{gateway:016x}"));
    let builder = Bridge::builder(&arguments.hub).client_id(&client_id).any_version().session_expiry_s(0);
    arguments.access.add_to(builder)
}

#[cfg(test)]
mod tests {
    use edge_bridge::wire::ReasonCode;

    use super::*;

    #[test]
    fn rows_that_were_never_sent_are_not_told_as_refused() {
        let account = Account { refused_rows: 2, open: 5, ..Account::default() };
        let refused = said(&account, Rest::Refused, Some(Path::new("r")));
        assert!(refused.starts_with("0 rows acknowledged, receipt r; 7 refused by the hub"), "{refused}");
        let untried = said(&account, Rest::Untried, None);
        assert!(untried.starts_with("no row acknowledged, no receipt; 2 refused by the hub"), "{untried}");
        assert!(untried.contains("; 5 left, since the hub refuses whatever is sent"), "{untried}");
    }

    /// A hub that refuses one topic after the other may take the next; where it answers nothing more, nothing goes on.
    #[test]
    fn a_refused_probe_is_progress_only_while_the_whole_link_is_refused() {
        let mut stats = Stats::default();
        stats.refusals = vec![(ReasonCode::NOT_AUTHORIZED, 3), (ReasonCode::QUOTA_EXCEEDED, 4)];
        assert_eq!(probes(&stats), 0);
        stats.link_refused = true;
        assert_eq!(probes(&stats), 7);
    }

    /// A site may have more topics than an ingest can try in a day.
    #[test]
    fn a_link_that_takes_nothing_is_left_although_there_are_further_topics() {
        let mut stats = Stats::default();
        (stats.connects, stats.link_refused) = (1, true);
        let rest = |stats: &Stats, silent, untaken| {
            rest_of(stats, Duration::from_secs(silent), Duration::from_secs(untaken))
        };
        assert_eq!((rest(&stats, 34, 179), rest(&stats, 35, 35)), (None, Some(Rest::Untried)));
        assert_eq!(rest(&stats, 0, 180), Some(Rest::Untried));
        stats.link_refused = false;
        (stats.held, stats.unacknowledged) = (2, 2);
        assert_eq!((rest(&stats, 4, 180), rest(&stats, 5, 5)), (None, Some(Rest::Refused)));
    }
}
