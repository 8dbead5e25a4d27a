//! The report: one file, no script to run, nothing from outside; light and dark, wide and narrow.

use super::account::Account;
use super::{distance::Reading, plot};
use edge_filter::LossBound;
use edge_page::{Page, count, escape};
use serde_json::json;
use std::path::Path;

/// Most sensors in the table, each with its drawing: more make a page of hundreds of megabytes, which no browser shows.
pub(super) const SENSORS_MAX: usize = 200;

pub(super) fn page(input: &Path, rules: &Path, accounts: &[Account]) -> String {
    let readings: u64 = accounts.iter().map(|account| account.readings).sum();
    let sent: u64 = accounts.iter().map(Account::sent).sum();
    let broken = accounts.iter().filter(|account| account.holds() == Some(false)).count();
    let title = format!("Filter lab: {} of {} readings sent", count(sent), count(readings));
    let verdict = match broken {
        0 if accounts.iter().all(|account| account.holds().is_none()) => "No bound is stated.".to_owned(),
        0 => "<em>Every stated bound holds.</em>".to_owned(),
        1 => "<em>1 sensor is further off than stated.</em>".to_owned(),
        n => format!("<em>{n} sensors are further off than stated.</em>"),
    };
    let (input, rules) = (escape(&file_name(input)), escape(&file_name(rules)));
    let reduction = readings as f64 / sent.max(1) as f64;
    let mut body = format!(
        "<h1>{reduction:.1} times fewer readings. {verdict}</h1>\n\
         <p class=\"lead\">{} readings of {} sensors in {input}, filtered by {rules}: {} are sent.</p>\n",
        count(readings),
        accounts.len(),
        count(sent),
    );
    let shown = shown(accounts);
    if shown.len() < accounts.len() {
        let (shown, all) = (count(shown.len() as u64), count(accounts.len() as u64));
        body.push_str(&format!(
            "<p class=\"note\">{shown} of {all} sensors are shown: those further off than stated first, then in their order in the recording. \
             The figures above are of all.</p>\n"
        ));
    }
    body.push_str(&overview(&shown));
    for account in &shown {
        body.push_str(&section(account));
    }
    let sensors: Vec<_> = shown.iter().map(|account| data(account)).collect();
    let data = json!({
        "readings": readings, "sent": sent, "sensors": sensors, "not_shown": accounts.len() - shown.len(),
    });
    let (style, data) = (include_str!("style.css"), data.to_string());
    Page { title: &title, style, is_good: broken == 0, body: &body, data: &data }.html()
}

/// Returns the sensors that are shown: all if they are few, else those whose bound is exceeded first.
fn shown(accounts: &[Account]) -> Vec<&Account> {
    if accounts.len() <= SENSORS_MAX {
        return accounts.iter().collect();
    }
    let is_broken = |account: &&Account| account.holds() == Some(false);
    let others = accounts.iter().filter(|account| !is_broken(account));
    accounts.iter().filter(is_broken).chain(others).take(SENSORS_MAX).collect()
}

fn overview(accounts: &[&Account]) -> String {
    let mut table = String::from(
        "<div class=\"scroll\"><table>\n<tr><th>sensor</th><th class=\"r opt\">readings</th><th class=\"r opt\">sent</th>\
         <th class=\"r\">fewer</th><th class=\"r\">largest error</th><th class=\"r opt\">RMS error</th>\
         <th class=\"r\">stated</th><th></th></tr>\n",
    );
    for account in accounts {
        let (max, rms) = account
            .distance
            .max_and_rms()
            .map_or(("-".into(), "-".into()), |(max, rms)| (figure(max), figure(rms)));
        let stated = account.stated().map_or_else(|| "none".into(), figure);
        let (class, word) = match account.holds() {
            Some(true) => ("y", "holds"),
            Some(false) => ("n", "exceeded"),
            None => ("o", "not stated"),
        };
        table.push_str(&format!(
            "<tr><td>{}{}</td><td class=\"r opt\">{}</td><td class=\"r opt\">{}</td><td class=\"r\">{:.1}\u{d7}</td>\
             <td class=\"r\">{max}</td><td class=\"r opt\">{rms}</td><td class=\"r\">{stated}</td>\
             <td><span class=\"p {class}\">{word}</span></td></tr>\n",
            escape(&account.name),
            unit(account),
            count(account.readings),
            count(account.sent()),
            account.reduction(),
        ));
    }
    table.push_str("</table></div>\n");
    table
}

fn section(account: &Account) -> String {
    let how = match account.distance.reading {
        Reading::Hold => "each value held until the next",
        Reading::Line => "a straight line between the values",
    };
    let suppressed = account.suppressed();
    let mut reasons: String = suppressed
        .iter()
        .map(|(reason, n)| format!("<li>{} {}</li>", count(*n), escape(&reason.replace('_', " "))))
        .collect();
    if suppressed.is_empty() {
        reasons.push_str("<li>nothing is left out</li>");
    }
    let refused = match account.refused {
        LossBound::Nothing => String::new(),
        bound => format!(
            " Until a change is believed, the checks before the stage refuse {}.",
            escape(&bound.to_string())
        ),
    };
    let thinned = if account.original.is_thinned() {
        "<p class=\"note\">The curve is thinned for the drawing (M4): every extreme is there. The figures are of all readings.</p>\n"
    } else {
        ""
    };
    format!(
        "<h2>{}{}</h2>\n<p>{} of {} readings are sent, read as {how}. Error stated: {}. A crash can lose {}.{refused}</p>\n{}\
         <ul class=\"legend\"><li><i class=o></i>measured</li><li><i class=k></i>sent</li></ul>\n{thinned}\
         <ul class=\"facts\">{reasons}</ul>\n",
        escape(&account.name),
        unit(account),
        count(account.sent()),
        count(account.readings),
        escape(&account.error_bound.to_string()),
        escape(&account.crash_loss.to_string()),
        plot::both(account),
    )
}

fn data(account: &Account) -> serde_json::Value {
    let (max, rms) = account.distance.max_and_rms().unzip();
    let suppressed: serde_json::Map<String, serde_json::Value> =
        account.suppressed().into_iter().map(|(reason, n)| (reason.to_owned(), n.into())).collect();
    json!({
        "name": account.name, "readings": account.readings, "kept": account.kept, "synthetic": account.synthetic,
        "max_error": max, "rms_error": rms, "stated": account.stated(), "holds": account.holds(),
        "suppressed": suppressed,
    })
}

fn unit(account: &Account) -> String {
    if account.unit.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(&account.unit)) }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Returns a number with four significant digits.
pub(super) fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 {
        "0".into()
    } else if !(1e-3..1e6).contains(&magnitude) {
        format!("{value:.3e}")
    } else {
        let decimals = (3.0 - magnitude.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_four_digits() {
        assert_eq!(
            [0.0, 0.25, 12.3456, 999_999.4, 1e6, 1e-4].map(figure),
            ["0", "0.2500", "12.35", "999999", "1.000e6", "1.000e-4"]
        );
    }
}
