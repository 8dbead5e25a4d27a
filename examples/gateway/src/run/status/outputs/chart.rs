//! Charts of the last 24 hours, as SVG that scales with its frame: messages that waited, messages in and out, and the link. Texts beside the
//! drawings and a table show the same figures. Pure.

use std::fmt::{self, Write};

use edge_page::count;

use crate::run::status::snapshot::history::{SLOT_MS, SLOTS, Slot};

use super::units::duration;

/// Height of a plot in units of its own; a slot is one unit wide.
const HEIGHT: u64 = 100;
/// Slots in one row of the table, two hours.
const ROW: u64 = 24;
/// Slots in one step of the flow chart, a quarter of an hour.
const QUARTER: u64 = 3;

/// State of the link in a slot, by the share of the time in which it was up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Band {
    Up,
    Partly,
    Down,
}

impl Band {
    fn of(slot: &Slot) -> Self {
        match slot.up_ms.saturating_mul(100).checked_div(slot.seen_ms) {
            None if slot.up_ms == slot.seen_ms => Self::Up,
            Some(99..) => Self::Up,
            Some(0) | None => Self::Down,
            Some(_) => Self::Partly,
        }
    }

    /// Returns the CSS class and the height of the band, so that the state is visible without colour.
    fn drawn(self) -> (&'static str, u64) {
        match self {
            Self::Up => ("up", 6),
            Self::Partly => ("pa", 12),
            Self::Down => ("dn", 20),
        }
    }
}

/// Returns the drawings with their words, and the table, as HTML.
pub(super) fn charts(slots: &[Slot], up_s: u64) -> String {
    let mut out = String::with_capacity(8_192);
    // Writing to a `String` cannot fail.
    let written = write_all(&mut out, slots, up_s);
    debug_assert!(written.is_ok());
    out
}

/// Possible widths of the charts in slots; the smallest that fits the history is used.
const SPANS: [u64; 5] = [12, 36, 72, 144, SLOTS as u64];

/// Part of the day that is drawn.
struct Frame<'a> {
    slots: &'a [Slot],
    span: u64,
}

fn write_all(out: &mut String, slots: &[Slot], up_s: u64) -> fmt::Result {
    let known = slots
        .last()
        .zip(slots.first())
        .map_or(0, |(last, first)| 1 + last.index - first.index.min(last.index));
    let span = SPANS.into_iter().find(|span| *span >= known).unwrap_or(SLOTS as u64);
    let frame = Frame { slots, span };
    let quarters = quarters(slots);
    let most = |slots: &[Slot], of: fn(&Slot) -> u64| slots.iter().map(of).max().unwrap_or(0);
    let waiting = most(slots, |slot| slot.waiting_max);
    let flow = most(&quarters, |slot| slot.accepted).max(most(&quarters, |slot| slot.delivered));
    let of = if span == 12 { "Last hour".to_owned() } else { format!("Last {} hours", span / 12) };
    writeln!(out, "<h2>{of}</h2>")?;
    if up_s < 86_400 {
        let since = duration(up_s);
        writeln!(
            out,
            "<p class=\"m\">The history of a day is in memory: it begins at the start, {since} ago.</p>"
        )?;
    }
    let label = format!("Messages waiting, at most {}", count(waiting));
    writeln!(out, "<p class=\"k\">{label}</p>")?;
    frame.open(out, HEIGHT, &label)?;
    if let Some(first) = slots.first() {
        let line = frame.steps(slots, waiting, |slot| slot.waiting_max);
        writeln!(out, "<path class=\"q area\" d=\"{line}V{HEIGHT}H{}Z\"/>", frame.x(first))?;
    }
    writeln!(out, "</svg>")?;
    frame.band(out)?;
    let flow_max = count(flow);
    writeln!(
        out,
        "<p class=\"k\"><span class=\"ln\"></span> taken in and <span class=\"ld\"></span> acknowledged by the hub, \
         at most {flow_max} in a quarter of an hour</p>"
    )?;
    frame.open(
        out,
        HEIGHT,
        &format!(
            "Messages taken in, and acknowledged by the hub, at most {flow_max} in a quarter of an hour"
        ),
    )?;
    let taken = frame.steps(&quarters, flow, |slot| slot.accepted);
    let acknowledged = frame.steps(&quarters, flow, |slot| slot.delivered);
    writeln!(out, "<path class=\"q\" d=\"{taken}\"/><path class=\"d\" d=\"{acknowledged}\"/></svg>")?;
    let ago = |part: u64| duration(span * SLOT_MS / 1_000 * part / 4);
    let (all, most, half, part) = (ago(4), ago(3), ago(2), ago(1));
    writeln!(
        out,
        "<p class=\"ax\"><span>{all} ago</span><span>{most}</span><span>{half}</span><span>{part}</span><span>now</span></p>"
    )?;
    table(out, slots)
}

impl Frame<'_> {
    fn open(&self, out: &mut String, height: u64, label: &str) -> fmt::Result {
        let span = self.span;
        writeln!(
            out,
            "<svg viewBox=\"0 0 {span} {height}\" preserveAspectRatio=\"none\" height=\"{height}\" role=\"img\" aria-label=\"{label}\">"
        )
    }

    /// Returns the horizontal position of a slot; the newest one is at the right.
    fn x(&self, slot: &Slot) -> u64 {
        let newest = self.slots.last().map_or(0, |last| last.index);
        self.span.saturating_sub(1 + newest.saturating_sub(slot.index))
    }

    /// Returns the path of a stepped line that stays at each height to the end of its slot. Slots of equal height are one step.
    fn steps(&self, slots: &[Slot], most: u64, of: fn(&Slot) -> u64) -> String {
        let y = |value: u64| HEIGHT - 2 - value.saturating_mul(HEIGHT - 6).checked_div(most).unwrap_or(0);
        let mut path = String::new();
        let mut end = None;
        for slot in slots {
            let (right, height) = (self.x(slot) + 1, y(of(slot)));
            match end {
                Some((_, last)) if last == height => {}
                Some((at, _)) => _ = write!(path, "H{at}V{height}"),
                None => _ = write!(path, "M{} {height}", self.x(self.slots.first().unwrap_or(slot))),
            }
            end = Some((right, height));
        }
        if let Some((at, _)) = end {
            let _ = write!(path, "H{at}");
        }
        path
    }

    fn band(&self, out: &mut String) -> fmt::Result {
        let down_ms: u64 = self.slots.iter().map(|slot| slot.seen_ms - slot.up_ms.min(slot.seen_ms)).sum();
        let label = format!("Link: down for {} of it", duration(down_ms / 1_000));
        writeln!(out, "<p class=\"k\">{label} (low bar: up, half: partly, high: down)</p>")?;
        self.open(out, 20, &label)?;
        for band in [Band::Up, Band::Partly, Band::Down] {
            let (class, height) = band.drawn();
            let mut path = String::new();
            let mut at = 0;
            while let Some(first) = self.slots.get(at) {
                let run =
                    self.slots.iter().skip(at).take_while(|slot| Band::of(slot) == Band::of(first)).count();
                if Band::of(first) == band {
                    let _ = write!(path, "M{} 20h{run}v-{height}h-{run}z", self.x(first));
                }
                at += run;
            }
            if !path.is_empty() {
                writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>")?;
            }
        }
        writeln!(out, "</svg>")
    }
}

/// Returns the sums of the flow by quarters of an hour, each at the index of its last slot.
fn quarters(slots: &[Slot]) -> Vec<Slot> {
    let newest = slots.last().map_or(0, |last| last.index);
    let quarter = |slot: &Slot| newest.saturating_sub(slot.index) / QUARTER;
    let mut quarters: Vec<Slot> = Vec::with_capacity(slots.len() / QUARTER as usize + 1);
    for slot in slots {
        match quarters.last_mut().filter(|last| quarter(last) == quarter(slot)) {
            None => quarters.push(*slot),
            Some(sum) => {
                sum.index = slot.index;
                sum.accepted += slot.accepted;
                sum.delivered += slot.delivered;
            }
        }
    }
    quarters
}

/// Writes the table: one row for two hours, the newest first.
fn table(out: &mut String, slots: &[Slot]) -> fmt::Result {
    writeln!(
        out,
        "<details><summary>The same as a table</summary><table><thead><tr><th scope=\"col\">Hours ago</th>\
         <th scope=\"col\" class=\"r\">Taken in</th><th scope=\"col\" class=\"r\">Acknowledged</th>\
         <th scope=\"col\" class=\"r\">Waiting, at most</th><th scope=\"col\" class=\"r\">Link up</th></tr></thead><tbody>"
    )?;
    let newest = slots.last().map_or(0, |last| last.index);
    for row in 0..12 {
        let in_row = || slots.iter().filter(move |slot| (newest - slot.index.min(newest)) / ROW == row);
        if in_row().next().is_none() {
            break;
        }
        let sum = |of: fn(&Slot) -> u64| in_row().map(of).sum::<u64>();
        let (seen, up) = (sum(|slot| slot.seen_ms), sum(|slot| slot.up_ms));
        let up = up
            .saturating_mul(100)
            .checked_div(seen)
            .map_or_else(|| "–".to_owned(), |share| format!("{share} %"));
        let waiting = in_row().map(|slot| slot.waiting_max).max().unwrap_or(0);
        writeln!(
            out,
            "<tr><th scope=\"row\">{} to {}</th><td>{}</td><td>{}</td><td>{}</td><td>{up}</td></tr>",
            2 * row,
            2 * row + 2,
            count(sum(|slot| slot.accepted)),
            count(sum(|slot| slot.delivered)),
            count(waiting)
        )?;
    }
    writeln!(out, "</tbody></table></details>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(index: u64, waiting_max: u64, up_ms: u64) -> Slot {
        Slot { index, accepted: 50, delivered: 40, waiting_max, seen_ms: 300_000, up_ms }
    }

    #[test]
    fn the_newest_is_at_the_right_and_equal_heights_are_one_step() {
        let slots = [slot(7, 0, 300_000), slot(8, 0, 300_000), slot(9, 10, 0), slot(10, 5, 150_000)];
        let page = charts(&slots, 3_000);
        assert!(
            page.starts_with("<h2>Last hour</h2>")
                && page.contains("<span>1 h ago</span><span>45 min</span>"),
            "{page}"
        );
        assert!(page.contains("it begins at the start, 50 min ago"), "{page}");
        assert!(page.contains("Link: down for 7 min 30 s of it"), "{page}");
        for part in [
            "d=\"M8 98H10V4H11V51H12V100H8Z\"",
            "<path class=\"up\" d=\"M8 20h2v-6h-2z\"/>",
            "<path class=\"dn\" d=\"M10 20h1v-20h-1z\"/>",
            "<path class=\"pa\" d=\"M11 20h1v-12h-1z\"/>",
            // The last quarter of an hour is the newest three slots.
            "<path class=\"q\" d=\"M8 67H9V4H12\"/>",
            "<tr><th scope=\"row\">0 to 2</th><td>200</td><td>160</td><td>10</td><td>62 %</td></tr>",
        ] {
            assert!(page.contains(part), "{part} is missing in\n{page}");
        }
        assert!(!page.contains("2 to 4"), "no hour of which nothing is known");
    }

    #[test]
    fn a_day_that_never_stands_still_stays_small() {
        let slots: Vec<_> =
            (0..288).map(|at| slot(1_000 + at, at * 7_919 % 1_000, at % 2 * 150_000)).collect();
        let page = charts(&slots, 100_000);
        assert!(page.len() < 12_000, "{} bytes", page.len());
        assert!(!page.contains("begins at the start"));
        assert!(charts(&[], 0).contains("</table>"));
    }

    #[test]
    fn a_link_is_up_for_99_in_a_hundred_and_down_below_one() {
        for (up_ms, class) in
            [(300_000, "up"), (297_000, "up"), (296_999, "pa"), (3_000, "pa"), (2_999, "dn"), (0, "dn")]
        {
            assert_eq!(Band::of(&slot(1, 0, up_ms)).drawn().0, class, "{up_ms}");
        }
        let unseen = Slot { seen_ms: 0, ..slot(1, 0, 0) };
        assert_eq!(Band::of(&unseen).drawn().0, "up", "nothing was seen of it");
    }

    #[test]
    fn the_shortest_span_that_holds_all_is_drawn() {
        for (count, title) in [
            (12, "Last hour"),
            (13, "Last 3 hours"),
            (36, "Last 3 hours"),
            (37, "Last 6 hours"),
            (288, "Last 24 hours"),
        ] {
            let slots: Vec<_> = (0..count).map(|at| slot(100 + at, 1, 300_000)).collect();
            assert!(charts(&slots, 100_000).starts_with(&format!("<h2>{title}</h2>")), "{count}");
        }
    }
}
