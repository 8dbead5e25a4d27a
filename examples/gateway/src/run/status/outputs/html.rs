//! HTML of the status page: complete without its script, without resources from elsewhere, and with all foreign text escaped. Pure.

use std::fmt::{self, Write};

use edge_codec::base64;
use edge_page::{count, escape};
use sha2::{Digest, Sha256};

use crate::run::status::snapshot::history::Slot;
use crate::run::status::snapshot::{Level, Snapshot};

use super::chart::charts;
use super::texts::{Texts, heading, texts};
use super::units::{counted, duration};

const STYLE: &str = include_str!("style.css");
/// Most changes of the state that are listed.
const EVENTS: usize = 8;
const SCRIPT: &str = include_str!("script.js");

/// Returns the Content-Security-Policy that allows the page's own style and script, by their hashes, and nothing else.
pub(crate) fn content_security_policy() -> String {
    let hash = |text: &str| base64::encode(&Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// Returns the whole page.
pub(crate) fn html(snapshot: &Snapshot, slots: &[Slot]) -> String {
    let mut out = String::with_capacity(24_000);
    let page = Page { snapshot, texts: texts(snapshot) };
    // Writing to a `String` cannot fail.
    let written = page.write(&mut out, slots);
    debug_assert!(written.is_ok());
    out
}

struct Page<'a> {
    snapshot: &'a Snapshot,
    texts: Texts,
}

/// Returns the CSS class of the verdict's colour, and the SVG of its symbol.
fn look(verdict: &str) -> (&'static str, &'static str) {
    match verdict {
        "delivering" => ("ok", "<circle cx=\"22\" cy=\"22\" r=\"19\"/><path d=\"M13 23l6 6 12-13\"/>"),
        "storing" => (
            "st",
            "<rect x=\"3\" y=\"3\" width=\"38\" height=\"38\" rx=\"8\"/><path d=\"M22 11v15m-7-7l7 7 7-7M12 33h20\"/>",
        ),
        "catching-up" => (
            "st",
            "<rect x=\"3\" y=\"3\" width=\"38\" height=\"38\" rx=\"8\"/><path d=\"M22 33V12m-8 8l8-8 8 8\"/>",
        ),
        "losing" => ("er", "<path d=\"M14 3h16l11 11v16L30 41H14L3 30V14zM22 12v13m0 5v4\"/>"),
        _ => ("wa", "<path d=\"M22 4l19 35H3zM22 16v11m0 4v3\"/>"),
    }
}

impl Page<'_> {
    fn write(&self, out: &mut String, slots: &[Slot]) -> fmt::Result {
        let snapshot = self.snapshot;
        let (name, verdict) = (escape(&snapshot.gateway), heading(&snapshot.verdict));
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{verdict} · {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#main\">Skip to the status</a>\n"
        )?;
        writeln!(
            out,
            "<header><h1>{name}</h1><p>{} · {}</p></header>",
            self.cell("up"),
            escape(&snapshot.program)
        )?;
        writeln!(out, "<main id=\"main\" tabindex=\"-1\">")?;
        self.write_verdict(out)?;
        self.write_tiles(out)?;
        self.write_needs(out)?;
        self.write_path(out)?;
        writeln!(out, "<section class=\"card\">{}</section>", charts(slots, snapshot.up_s))?;
        self.write_ledger(out)?;
        self.write_lanes(out)?;
        self.write_routes(out)?;
        self.write_bytes(out)?;
        self.write_events(out)?;
        write!(
            out,
            "</main>\n<footer><p>Read only. <span id=\"live\">Load the page again for new figures.</span> \
             <button id=\"pause\" type=\"button\" hidden>Pause updates</button></p>\
             <p><a href=\"status.json\">status.json</a> · <a href=\"metrics\">metrics</a> · \
             <a href=\"healthz\">healthz</a> · <a href=\"readyz\">readyz</a></p></footer>\n\
             <script>{SCRIPT}</script>\n</body>\n</html>\n"
        )
    }

    /// Returns an HTML element with this id, whose text a refresh replaces.
    fn cell(&self, id: &str) -> String {
        let text = self.texts.get(id).map(String::as_str).unwrap_or_default();
        format!("<span id=\"{id}\">{}</span>", escape(text))
    }

    fn write_verdict(&self, out: &mut String) -> fmt::Result {
        let (class, shape) = look(&self.snapshot.verdict);
        writeln!(
            out,
            "<section class=\"card verdict {class}\" aria-label=\"Verdict\"><svg viewBox=\"0 0 44 44\" aria-hidden=\"true\">{shape}</svg>\
             <div><p><b id=\"verdict\" role=\"status\">{}</b> <small>{}</small></p><p>{}</p></div></section>",
            heading(&self.snapshot.verdict),
            self.cell("since"),
            self.cell("sentence")
        )
    }

    fn write_tiles(&self, out: &mut String) -> fmt::Result {
        let bad = if self.snapshot.lost > 0 { " bad" } else { "" };
        writeln!(out, "<section class=\"g4\" aria-label=\"Key figures\">")?;
        for (title, class, id, below) in [
            ("Lost", bad, "lost", "given up over all runs; before the queue, in this run".to_owned()),
            ("Waiting here", "", "waiting", self.cell("oldest")),
            ("Room left", "", "room", self.cell("room_of")),
            ("Link to the hub", "", "link", self.cell("link_of")),
        ] {
            let value = self.cell(id);
            writeln!(
                out,
                "<div class=\"card\"><h2>{title}</h2><p class=\"n{class}\">{value}</p><p class=\"m\">{below}</p></div>"
            )?;
        }
        writeln!(out, "</section>")
    }

    fn write_needs(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "<section class=\"card\"><h2>Needs a person</h2>")?;
        if self.snapshot.needs.is_empty() {
            return writeln!(out, "<p>Nothing.</p></section>");
        }
        writeln!(out, "<ul class=\"todo\">")?;
        for need in &self.snapshot.needs {
            let (class, word) = if need.level == Level::Act { ("e", "Act") } else { ("w", "Look") };
            let (text, action) = (escape(&need.text), escape(&need.action));
            writeln!(
                out,
                "<li><span class=\"tag {class}\">{word}</span><span>{text}<small>{action}</small></span></li>"
            )?;
        }
        writeln!(out, "</ul></section>")
    }

    fn write_path(&self, out: &mut String) -> fmt::Result {
        let over = duration(self.snapshot.rates.over_s);
        writeln!(
            out,
            "<section class=\"card\"><h2>Path of the data, per second over {over}</h2><ol class=\"flow\">"
        )?;
        for (step, id, below) in [
            ("Suppressed by filters", "held_back", "readings".to_owned()),
            ("On the way to the queue", "not_queued", "messages now".to_owned()),
            ("Into the queue", "in", "messages and readings".to_owned()),
            ("Acknowledged by the hub", "out", "messages and readings".to_owned()),
        ] {
            writeln!(
                out,
                "<li><span class=\"k\">{step}</span> <b>{}</b> <span class=\"k\">{below}</span></li>",
                self.cell(id)
            )?;
        }
        writeln!(out, "</ol></section>")
    }

    fn write_ledger(&self, out: &mut String) -> fmt::Result {
        let restarts = &self.snapshot.restarts;
        let (all, unclean) = (counted(restarts.clean + restarts.unclean, "restart"), count(restarts.unclean));
        writeln!(
            out,
            "<section class=\"card\"><h2>Where every accepted message is, over all runs ({all}, {unclean} of them unclean)</h2>"
        )?;
        let Some(ledger) = &self.snapshot.ledger else {
            return writeln!(out, "<p>Not known: a part of the totals is not open.</p></section>");
        };
        let term = |id: &str, name: &str| format!("<div><dt>{name}</dt><dd>{}</dd></div>", self.cell(id));
        write!(out, "<dl class=\"eq\">{}{}", term("accepted", "accepted"), term("delivered", "at the hub"))?;
        write!(out, "{}{}", term("queued", "waiting"), term("parked", "parked"))?;
        let dropped = || ledger.dropped.iter().enumerate().filter(|(_, (_, dropped))| **dropped > 0);
        for (at, (reason, _)) in dropped() {
            let class = if matches!(reason.as_str(), "expired" | "discarded") { "" } else { " class=\"x\"" };
            let (reason, cell) = (escape(&reason.replace('_', " ")), self.cell(&format!("dropped{at}")));
            write!(out, "<div{class}><dt>{reason}</dt><dd>{cell}</dd></div>")?;
        }
        if dropped().next().is_none() {
            write!(out, "<div class=\"z\"><dt>dropped</dt><dd>0</dd></div>")?;
        }
        let class = if ledger.adds_up() { "good" } else { "bad" };
        writeln!(out, "</dl><p class=\"{class}\">{}</p></section>", self.cell("balance"))
    }

    fn write_lanes(&self, out: &mut String) -> fmt::Result {
        let queue = &self.snapshot.queue;
        if let Some(cause) = &queue.cause {
            return writeln!(
                out,
                "<section class=\"card\"><h2>Queue</h2><p>Not open: {}</p></section>",
                escape(cause)
            );
        }
        writeln!(
            out,
            "<section class=\"card\"><h2>Lanes of the queue</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Lanes\"><table>\
             <thead><tr><th scope=\"col\">Lane</th><th scope=\"col\" class=\"r\">Waiting</th>\
             <th scope=\"col\" class=\"r\">Bytes</th><th scope=\"col\" class=\"r\">Full</th></tr></thead><tbody>"
        )?;
        for (at, lane) in queue.lanes.iter().enumerate() {
            let cell = |what: &str| self.cell(&format!("lane{at}_{what}"));
            let (name, messages, bytes, full) =
                (escape(&lane.name), cell("messages"), cell("bytes"), cell("full"));
            writeln!(
                out,
                "<tr><th scope=\"row\">{name}</th><td>{messages}</td><td>{bytes}</td><td>{full}</td></tr>"
            )?;
        }
        writeln!(out, "</tbody></table></div></section>")
    }

    fn write_routes(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "<section class=\"card\"><h2>Routes, since the start</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Routes\"><table>\
             <thead><tr><th scope=\"col\">Topics</th><th scope=\"col\">Goes to</th><th scope=\"col\" class=\"r\">Messages</th>\
             <th scope=\"col\" class=\"r\">Suppressed</th></tr></thead><tbody>"
        )?;
        for (at, route) in self.snapshot.routes.iter().enumerate() {
            let cell = |what: &str| self.cell(&format!("route{at}_{what}"));
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}<small>{}, lane {}</small></td><td>{}</td><td>{}</td></tr>",
                escape(&route.filter),
                escape(&route.to),
                escape(&route.format),
                escape(&route.lane),
                cell("messages"),
                cell("suppressed")
            )?;
        }
        writeln!(out, "</tbody></table></div>")?;
        if self.snapshot.more_routes > 0 {
            writeln!(out, "<p class=\"m\">{} more are not listed.</p>", count(self.snapshot.more_routes))?;
        }
        writeln!(out, "</section>")
    }

    fn write_bytes(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "<section class=\"g2\" aria-label=\"Bytes since the start\"><div class=\"card\"><h2>Over the link, since the start</h2>"
        )?;
        writeln!(out, "<p class=\"n\">{}</p><table><tbody>", self.cell("wan_bytes"))?;
        for (at, cause) in self.snapshot.bytes.wan.keys().enumerate() {
            let cell = self.cell(&format!("wan{at}"));
            writeln!(out, "<tr><th scope=\"row\">{}</th><td>{cell}</td></tr>", escape(cause))?;
        }
        writeln!(
            out,
            "</tbody></table></div><div class=\"card\"><h2>Written to the store, since the start</h2>"
        )?;
        writeln!(
            out,
            "<p class=\"n\">{}</p><table><tbody><tr><th scope=\"row\">Waiting</th><td>{}</td></tr></tbody></table></div></section>",
            self.cell("store_bytes"),
            self.cell("queue_bytes")
        )
    }

    fn write_events(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "<section class=\"card\"><h2>Latest changes</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Latest changes\"><table><thead><tr>\
             <th scope=\"col\">Ago</th><th scope=\"col\">Verdict</th><th scope=\"col\">Link</th></tr></thead><tbody>"
        )?;
        for event in self.snapshot.events.iter().take(EVENTS) {
            let times =
                if event.times > 1 { format!(", {} times", count(event.times)) } else { String::new() };
            let cause = event
                .cause
                .as_deref()
                .map_or_else(String::new, |cause| format!("<small>{}</small>", escape(cause)));
            writeln!(
                out,
                "<tr><td class=\"l\">{}</td><td class=\"l\">{}{times}</td><td class=\"l\">{}{cause}</td></tr>",
                duration(event.ago_s),
                escape(&event.verdict),
                escape(&event.link)
            )?;
        }
        writeln!(out, "</tbody></table></div></section>")
    }
}

#[cfg(test)]
mod tests;
