//! The fleet as a page: one file of HTML, without a script, with nothing from outside. Pure.

use edge_page::{Page, date, escape};

use super::overview::{Fleet, Standing};
use super::table::{TITLES, json, notes, rows, summary};

/// Columns of numbers, which stand at the right.
const NUMBERS: [usize; 2] = [3, 5];
/// Columns that are left out on a narrow screen.
const OPTIONAL: [usize; 3] = [2, 6, 7];
const STYLE: &str = ".hub{overflow-wrap:anywhere}td:last-child{min-width:16ch}\n";

/// Returns the page. `broker`: address of the hub; `now_s`: Unix time.
pub(super) fn html(fleet: &Fleet, broker: &str, now_s: i64) -> String {
    let title = summary(fleet);
    let (gateways, states) = title.split_once(": ").unwrap_or((&title, "none is there"));
    let mut body = format!("<h1>{}: <em>{}</em></h1>\n", escape(gateways), escape(states));
    let time = date(now_s.saturating_mul(1_000));
    body += &format!(
        "<p class=\"lead\">As the hub <span class=\"hub\">{}</span> had it on {time}; the worst first.</p>\n",
        escape(&without_login(broker))
    );
    for note in notes(fleet) {
        body += &format!("<p class=\"note\">{}</p>\n", escape(&note));
    }
    if !fleet.gateways.is_empty() {
        body += "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"gateways\"><table>\n<thead><tr>";
        for (column, title) in TITLES.iter().enumerate() {
            body += &format!("<th scope=\"col\"{}>{title}</th>", class(column));
        }
        body += "</tr></thead>\n<tbody>\n";
        for (gateway, cells) in fleet.gateways.iter().zip(rows(fleet)) {
            body += &row(gateway.standing, &cells);
        }
        body += "</tbody></table></div>\n<p class=\"note\">* another version or configuration than most have. \
                 Room left of one that is away or silent is what it had, less the time since.</p>\n";
    }
    Page { title: &title, style: STYLE, is_good: fleet.is_well(), body: &body, data: json(fleet).trim_end() }
        .html()
}

fn row(standing: Standing, cells: &[String; 9]) -> String {
    let colour = if standing.is_well() { "y" } else { "n" };
    let mut row = "<tr>".to_owned();
    for (column, cell) in cells.iter().enumerate() {
        let text = escape(cell);
        row += &match column {
            0 => format!("<td><span class=\"p {colour}\">{text}</span></td>"),
            1 => format!("<th scope=\"row\">{text}</th>"),
            _ => format!("<td{}>{text}</td>", class(column)),
        };
    }
    row + "</tr>\n"
}

fn class(column: usize) -> &'static str {
    match (NUMBERS.contains(&column), OPTIONAL.contains(&column)) {
        (true, _) => " class=\"r\"",
        (false, true) => " class=\"opt\"",
        (false, false) => "",
    }
}

/// Returns the address without a user and a password in it: the page goes to others.
fn without_login(url: &str) -> String {
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::overview::Overview;
    use super::*;

    const NOW_S: i64 = 1_795_184_400;

    fn overview(id: &str, why: &str) -> Overview {
        let mut overview = Overview::default();
        let status = serde_json::json!({
            "v": 1, "time_ms": NOW_S * 1_000, "verdict": "losing", "since_s": 60, "why": why, "waiting": 90_972, "room_s": 166_400,
            "lost": 12_408, "clock_synced": true, "version": "0.1.0", "config": "9c41e0d2",
        });
        overview.take(&format!("edge/status/{id}"), status.to_string().as_bytes());
        overview.take(&format!("edge/alive/{id}"), b"1");
        overview
    }

    #[test]
    fn each_gateway_is_a_row_and_nothing_comes_from_outside() {
        let page = html(&overview("gw-131", "its disk is full").at(NOW_S), "mqtts://u:p@hub:8883", NOW_S);
        for part in [
            "<h1>1 gateway: <em>1 losing</em></h1>",
            "As the hub <span class=\"hub\">mqtts://hub:8883</span> had it on 20 November 2026 14:20 UTC",
            "<tr><td><span class=\"p n\">losing</span></td><th scope=\"row\">gw-131</th>",
            "<td class=\"r\">90\u{202f}972</td>",
            "its disk is full",
            "<main class=\"er\">",
        ] {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
        assert!(!page.contains("u:p@") && !page.contains("src=") && !page.contains("http"), "{page}");
    }

    /// These texts are written by anybody who may publish at the hub.
    #[test]
    fn nothing_foreign_is_markup() {
        let page = html(&overview("<b>\u{202e}", "</script><script>x").at(NOW_S), "mqtt://h", NOW_S);
        assert!(!page.contains("<b>") && !page.contains("<script>x"), "{page}");
        // What is shown; the data of a script element turns nothing around.
        let shown = page.split("<script").next().unwrap_or_default();
        assert!(shown.contains("&lt;b&gt;\u{fffd}") && !shown.contains('\u{202e}'), "{page}");
    }

    #[test]
    fn nobody_is_said_to_be_nobody() {
        let page = html(&Overview::default().at(NOW_S), "mqtt://h", NOW_S);
        assert!(page.contains("<h1>0 gateways: <em>none is there</em></h1>"), "{page}");
        assert!(page.contains("Nothing is kept below edge/status/") && !page.contains("<table>"), "{page}");
    }
}
