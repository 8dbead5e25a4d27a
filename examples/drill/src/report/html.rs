//! `report.html`: one file, no script, nothing from outside; the order of its sections is the order of the questions.

use edge_page::{Page, count, date, escape};

use super::format::seconds;
use super::{Report, cells, json, sections, svg};

pub(super) fn page(report: &Report) -> String {
    let passed = report.passed();
    let title = if passed {
        "Outage drill: passed".to_owned()
    } else {
        format!("Outage drill: failed, {} lost", report.verdict.lost.len())
    };
    let mut body = String::with_capacity(200_000);
    body.push_str(&headline(report));
    body.push_str(&sections::six_numbers(report));
    if !passed {
        body.push_str(&sections::failure(report));
    }
    body.push_str(&plots(report));
    body.push_str(&sections::ledger(report));
    body.push_str(&sections::wan(report));
    body.push_str(&sections::forecast(report));
    body.push_str(&sections::promises(report));
    body.push_str(&sections::run_again(report));
    let data = json::value(report).to_string();
    Page { title: &title, style: include_str!("style.css"), is_good: passed, body: &body, data: &data }.html()
}

fn headline(report: &Report) -> String {
    let (lost, acknowledged) = (report.verdict.lost.len() as u64, count(report.verdict.acknowledged));
    let verdict = if report.passed() { "Passed." } else { "Failed." };
    let sentence = match lost {
        0 => format!("None of {acknowledged} acknowledged readings is lost."),
        1 => format!("1 of {acknowledged} acknowledged readings is lost."),
        _ => format!("{} of {acknowledged} acknowledged readings are lost.", count(lost)),
    };
    let clients = report.verdict.per_client.len();
    let kill = report.timeline.killed_at.map_or_else(
        || "The gateway was not killed.".to_owned(),
        |at| {
            format!(
                "The gateway was killed with signal 9 after {} s, in the outage.",
                seconds(report.story_ms(at))
            )
        },
    );
    let lead = format!(
        "{clients} sensors, {} seconds at 30 and then 300 readings per second, over a link with 500 ms round trip that was cut and later left half-open. {kill} \
         {}, {}, seed {}, {}.",
        report.story.publish_ms / 1000,
        report.gateway,
        report.stack,
        report.story.seed,
        date(report.started_at),
    );
    format!("<h1><em>{verdict}</em> {sentence}</h1>\n<p class=\"lead\">{}</p>\n", escape(&lead))
}

fn plots(report: &Report) -> String {
    let (per_cell, cells) = cells::map(report);
    let cell = if per_cell == 1 {
        "One cell is one reading".to_owned()
    } else {
        format!("One cell is {per_cell} readings")
    };
    let legend = "<ul class=\"legend\"><li><i class=l></i>live, under 2 s</li><li><i class=k></i>kept and delivered later</li>\
        <li><i class=ring></i>came twice</li><li><i class=x></i>lost</li></ul>";
    let cell_legend = "<ul class=\"legend\"><li><i class=l></i>live, under 2 s</li><li><i class=k></i>kept and delivered later</li>\
        <li><i class=r></i>not sent: another reading stands for it within the tolerance</li><li><i class=d></i>came twice</li>\
        <li><i class=x></i>lost</li></ul>";
    format!(
        "<h2>What was done, and what it did</h2>\n<p>The shaded bands are the faults. Below: rows waiting at the gateway, then readings per second arriving at the hub.</p>\n{}\n\
         <h2>When each reading arrived</h2>\n<p>Every point is the readings sent within one moment, at the delay of the slowest; higher means later. A falling line is a backlog being delivered. Anything in the row \u{201c}never\u{201d} is lost.</p>\n{}{legend}\n\
         <h2>Every reading of the drill</h2>\n<p>{cell}, in the order of acknowledgment. A cell takes the colour of its worst reading, so one lost reading cannot hide; where none was late, that of most.</p>\n{cells}{cell_legend}\n",
        svg::both(report, svg::timeline),
        svg::both(report, svg::delays),
    )
}
