//! The sections of the page that are numbers and tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use edge_page::{count, escape};

use super::Report;
use super::format::{bytes, seconds};
use crate::forecast::shown;
use crate::verdict::{Lost, LostWhy};

pub(super) fn six_numbers(report: &Report) -> String {
    let (verdict, observed) = (&report.verdict, &report.observed);
    let s = |ms: Option<i64>| {
        ms.map_or_else(
            || "\u{2013}".to_owned(),
            |ms| format!("{} <small>s</small>", seconds(ms.unsigned_abs())),
        )
    };
    let flash = observed.flash_bytes_written.checked_div(verdict.acknowledged).unwrap_or(0);
    let flash = if observed.from_outside_alone {
        ("\u{2013}".to_owned(), "it does not say".to_owned())
    } else {
        (
            format!("{} <small>B</small>", count(flash)),
            format!("{} in all", bytes(observed.flash_bytes_written)),
        )
    };
    let p99_bad = verdict.puback_p99_ms.is_none_or(|ms| ms > crate::verdict::PUBACK_P99_MS_MAX);
    let numbers = [
        (count(verdict.lost.len() as u64), "lost", "bound 0".to_owned(), !verdict.lost.is_empty()),
        (
            count(verdict.duplicates),
            "came twice",
            format!("{} recognisable", count(verdict.duplicates_recognised)),
            verdict.duplicates_recognised < verdict.duplicates,
        ),
        (
            s(verdict.puback_p99_ms),
            "until a sensor was acknowledged",
            "99 of 100; bound 1.5 s".to_owned(),
            p99_bad,
        ),
        (
            s(verdict.first_after_ms),
            "until the first kept reading came",
            "after the link was back".to_owned(),
            false,
        ),
        (
            s(verdict.catch_up_ms),
            "until the backlog was gone",
            format!("{} rows at most", count(waiting_max(report))),
            false,
        ),
        (flash.0, "flash written per reading", flash.1, false),
    ];
    let mut html = String::from("<div class=\"nums\">\n");
    for (number, what, bound, bad) in numbers {
        let class = if bad { " class=\"bad\"" } else { "" };
        let _ = writeln!(html, "<div{class}><b>{number}</b>{what}<span>{bound}</span></div>");
    }
    html.push_str("</div>\n");
    html
}

/// Returns the section about a failed drill, which stands before all plots: the lost readings, the broken promises, and the command of another run.
pub(super) fn failure(report: &Report) -> String {
    let mut html = String::from("<section class=\"fail\">\n");
    if report.verdict.lost.is_empty() {
        html.push_str("<h2>Nothing is lost, but a promise is broken</h2>\n");
    } else {
        let lost = report.verdict.lost.len() as u64;
        let _ = writeln!(html, "<h2>What is known about the {} lost</h2>", count(lost));
        html.push_str(&lost_table(report));
    }
    let broken = report.verdict.checks(&report.observed).into_iter().filter(|check| !check.kept);
    html.push_str("<ul class=\"facts\">\n");
    for check in broken {
        let text = format!(
            "Promise {}, {}: measured {}, bound {}.",
            check.promise, check.name, check.measured, check.bound
        );
        let _ = writeln!(html, "<li>{}</li>", escape(&text));
    }
    let command = escape(&report.command);
    let _ = writeln!(
        html,
        "</ul>\n<p class=\"note\">The run that shows it again, with its records kept:</p>\n<pre>{command} --record ./evidence</pre>\n</section>"
    );
    html
}

/// Returns the table of losses, with a line per client and reason: a thousand lost readings of one cause are one fact.
fn lost_table(report: &Report) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&Lost>> = BTreeMap::new();
    for lost in &report.verdict.lost {
        if let Some(ack) = report.records.acks.get(lost.ack) {
            groups.entry((&ack.client, why(lost.why))).or_default().push(lost);
        }
    }
    let mut html = String::from(
        "<div class=\"scroll\"><table>\n<tr><th>Sensor</th><th class=r>Lost</th><th>Sent</th><th class=opt>Acknowledged</th><th>At the hub</th></tr>\n",
    );
    for ((client, why), lost) in groups {
        let acks = || lost.iter().filter_map(|lost| report.records.acks.get(lost.ack));
        let sent = span(report, acks().map(|ack| ack.first_sent));
        let acknowledged = span(report, acks().map(|ack| ack.time));
        let example = lost.first().map_or_else(String::new, |lost| example(lost.why));
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=r>{}</td><td>{sent}</td><td class=opt>{acknowledged}</td><td>{why}<small>{}</small></td></tr>",
            escape(client),
            count(lost.len() as u64),
            escape(&example)
        );
    }
    html.push_str("</table></div>\n");
    html
}

fn why(why: LostWhy) -> &'static str {
    match why {
        LostWhy::NotAtHub => "no message with this hash and topic",
        LostWhy::NothingEarlier => "no reading with this or an earlier time",
        LostWhy::OutsideTolerance { .. } => "the reading that stands for it is too far away",
        LostWhy::QualityDiffers { .. } => "the reading that stands for it has another quality",
        LostWhy::TextDiffers => "the reading that stands for it has another text",
    }
}

fn example(why: LostWhy) -> String {
    match why {
        LostWhy::NotAtHub | LostWhy::NothingEarlier | LostWhy::TextDiffers => String::new(),
        LostWhy::OutsideTolerance { delivered, tolerance } => {
            format!("first: {delivered}, tolerance {tolerance}")
        }
        LostWhy::QualityDiffers { delivered } => format!("first: quality {delivered:#010x}"),
    }
}

fn span(report: &Report, times: impl Iterator<Item = i64> + Clone) -> String {
    let at = |time: Option<i64>| seconds(report.story_ms(time.unwrap_or(report.started_at)));
    let (first, last) = (at(times.clone().min()), at(times.max()));
    if first == last { format!("{first} s") } else { format!("{first} to {last} s") }
}

/// The gateway's own counters against the records.
pub(super) fn ledger(report: &Report) -> String {
    let verdict = &report.verdict;
    let gateway = report.observed.ledger;
    let rows = [
        ("Acknowledged to a sensor", "", None, Some(verdict.acknowledged)),
        (
            "Suppressed by the filter",
            "another reading stands for it within the tolerance",
            None,
            Some(verdict.represented),
        ),
        (
            "Accepted by the queue",
            "acknowledged and not suppressed",
            gateway.map(|l| l.accepted),
            Some(verdict.acknowledged.saturating_sub(verdict.represented)),
        ),
        (
            "Delivered",
            "at the hub, each counted once",
            gateway.map(|l| l.delivered),
            Some(verdict.delivered_unique),
        ),
        ("Waiting at the end", "", gateway.map(|l| l.queued), None),
        ("Expired, dropped, set aside", "", gateway.map(|l| l.dropped), None),
        (
            "Missing",
            "",
            gateway.map(|l| u64::try_from(l.apart().unsigned_abs()).unwrap_or(u64::MAX)),
            Some(verdict.lost.len() as u64),
        ),
        ("Came twice", "", None, Some(verdict.duplicates)),
    ];
    let mut html = String::from(
        "<h2>The ledger</h2>\n<p>The gateway\u{2019}s own counters against what the drill counted from outside. Only the right column makes the verdict.</p>\n\
         <div class=\"scroll\"><table>\n<tr><th>Readings</th><th class=r>gateway says</th><th class=r>drill counted</th><th></th></tr>\n",
    );
    for (name, note, says, counted) in rows {
        let is_counter = matches!(name, "Accepted by the queue" | "Delivered");
        let cell = |n: Option<u64>| n.map_or_else(|| "\u{2013}".to_owned(), count);
        let mark = match (says, counted) {
            (Some(says), Some(counted)) if says == counted => "<span class=\"p y\">agree</span>".to_owned(),
            (Some(says), Some(counted)) => match explained(report, says, counted).filter(|_| is_counter) {
                Some(why) => format!("<span class=\"p o\">{} {why}</span>", count(says.abs_diff(counted))),
                None => {
                    format!("<span class=\"p n\">differ by {}</span>", count(says.abs_diff(counted)))
                }
            },
            _ => "<span class=\"p o\">one side</span>".to_owned(),
        };
        let small = if note.is_empty() { String::new() } else { format!("<small>{note}</small>") };
        let _ = writeln!(
            html,
            "<tr><td>{name}{small}</td><td class=r>{}</td><td class=r>{}</td><td>{mark}</td></tr>",
            cell(says),
            cell(counted)
        );
    }
    html.push_str(
        "</table></div>\n<p class=\"note\">Both sides are right where the gateway counts more by copies: what a sensor sent again because the kill came \
         before its PUBACK is accepted and delivered a second time. And where it counts fewer by what the killed run had taken and handed on before \
         it wrote its counters.</p>\n",
    );
    html
}

/// The reason why a counter of the gateway differs although nothing is missing.
fn explained(report: &Report, says: u64, counted: u64) -> Option<&'static str> {
    let verdict = &report.verdict;
    match says.checked_sub(counted) {
        _ if !verdict.lost.is_empty() => None,
        Some(more) => (more <= verdict.duplicates).then_some("copies"),
        None => (report.observed.kills > 0).then_some("before the kill"),
    }
}

/// Bytes on the wide-area link against the payloads as the sensors wrote them.
pub(super) fn wan(report: &Report) -> String {
    let observed = &report.observed;
    let bars = [
        ("JSON payloads", observed.json_bytes, "k"),
        ("Link, to the hub", observed.wan_up_bytes, "l"),
        ("Link, from the hub", observed.wan_down_bytes, "l"),
    ];
    let largest = bars.iter().map(|(_, n, _)| *n).max().unwrap_or(0).max(1);
    let mut html = String::from(
        "<h2>Bytes on the wide-area link</h2>\n<p>Everything above TCP, with topics, acknowledgments, pings and what was sent twice or swallowed, \
         against the bare JSON payloads of the acknowledged readings.</p>\n<div class=\"bars\">\n",
    );
    for (name, n, class) in bars {
        let percent = n as f64 * 70.0 / largest as f64;
        let _ = writeln!(
            html,
            "<span>{name}</span><div><i class={class} style=\"width:{percent:.1}%\"></i><b>{}</b></div>",
            bytes(n)
        );
    }
    let per_reading = |n: u64| n as f64 / report.verdict.acknowledged.max(1) as f64;
    let _ = writeln!(
        html,
        "</div>\n<p class=\"note\">{:.1} bytes per acknowledged reading on the link, {:.1} as JSON.</p>",
        per_reading(observed.wan_up_bytes.saturating_add(observed.wan_down_bytes)),
        per_reading(observed.json_bytes)
    );
    html
}

pub(super) fn promises(report: &Report) -> String {
    let mut html = String::from(
        "<h2>Promises tested</h2>\n<p>The numbers are those of docs/promises.md. The drill passes only if all are kept.</p>\n\
         <div class=\"scroll\"><table>\n<tr><th class=opt>No.</th><th>Promise</th><th class=\"r opt\">Bound</th><th class=r>Measured</th><th></th></tr>\n",
    );
    for check in report.verdict.checks(&report.observed) {
        let (class, word) = if check.kept { ("y", "kept") } else { ("n", "broken") };
        let _ = writeln!(
            html,
            "<tr><td class=opt>{}</td><td>{}</td><td class=\"r opt\">{}</td><td class=r>{}</td><td><span class=\"p {class}\">{word}</span></td></tr>",
            check.promise,
            escape(check.name),
            escape(&check.bound),
            escape(&check.measured)
        );
    }
    html.push_str("</table></div>\n");
    html
}

pub(super) fn run_again(report: &Report) -> String {
    let facts = [
        (
            "Link",
            "500 ms round trip on loopback, no limit on bandwidth; TCP\u{2019}s own handshake was not delayed.",
        ),
        (
            "Kill",
            "signal 9 to the process. Power was not cut: what the kernel had not yet written survived here. Lost writes are the subject of the store\u{2019}s own tests.",
        ),
        (
            "PUBACK delay",
            "from the first transmission, leaving out what was first sent from 1 s before the kill until 1 s after the restarted gateway accepted.",
        ),
        (
            "Data",
            "recorded series of real machines, replayed faster than they were recorded; their sources and licences are in examples/drill/data.",
        ),
        (
            "Not shown by this drill",
            "days of outage, a worn-out card, TLS, a narrow link, a hub that loses data after its own acknowledgment.",
        ),
    ];
    let mut html =
        format!("<h2>Run it again</h2>\n<pre>{}</pre>\n<ul class=\"facts\">\n", escape(&report.command));
    for (name, text) in facts {
        let _ = writeln!(html, "<li><b>{name}</b> {text}</li>");
    }
    html.push_str("</ul>\n");
    html
}

fn waiting_max(report: &Report) -> u64 {
    report.samples.iter().map(|sample| sample.waiting).max().unwrap_or(0)
}

/// Returns the table of what the gateway's sizing predicted beside what was measured; empty without a forecast.
pub(super) fn forecast(report: &Report) -> String {
    let compared = report.compared();
    if compared.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<h2>Predicted and measured</h2>\n<p>Before it began, the gateway\u{2019}s sizing predicted these from its configuration and the sensors\u{2019} messages, by the same function that <code>check</code> uses. The store\u{2019}s first segments, which are filled once, are among its bytes.</p>\n\
         <div class=\"scroll\"><table>\n<tr><th></th><th class=r>Predicted</th><th class=r>Measured</th><th class=r>Ratio</th></tr>\n",
    );
    for figure in compared {
        let ratio = figure.ratio().map_or_else(|| "\u{2013}".to_owned(), |ratio| format!("{ratio:.2}"));
        let (predicted, measured) =
            (shown(figure.predicted, figure.unit), shown(figure.measured, figure.unit));
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=r>{predicted}</td><td class=r>{measured}</td><td class=r>{ratio}</td></tr>",
            figure.name
        );
    }
    html.push_str("</table></div>\n");
    html
}
