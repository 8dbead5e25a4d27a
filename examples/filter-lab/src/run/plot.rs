//! Plot of what was measured and what is sent, drawn as SVG, twice: text in a scaled drawing would be too small on a phone.

use super::account::Account;
use super::distance::Reading;
use super::page::figure;
use edge_page::open_svg;
use std::fmt::Write as _;

#[derive(Clone, Copy)]
struct Frame {
    width: f64,
    /// Room for `-1.234e-5`.
    left: f64,
    /// Most points of each curve, a multiple of 4: about four per pixel column.
    points: usize,
}

const WIDE: Frame = Frame { width: 1040.0, left: 76.0, points: 2000 };
const NARROW: Frame = Frame { width: 360.0, left: 72.0, points: 700 };
const TOP: f64 = 12.0;
const BOTTOM: f64 = 200.0;
const HEIGHT: f64 = 224.0;
const RIGHT: f64 = 10.0;

/// Most marks that are drawn; more would be a band.
const DOTS_MAX: usize = 300;

/// Draws the plot for a wide and for a narrow window; the style sheet shows the one that fits.
pub(super) fn both(account: &Account) -> String {
    let (wide, narrow) = (drawing(account, WIDE), drawing(account, NARROW));
    edge_page::both(&wide, &narrow) + "\n"
}

/// Maps time and value to the drawing.
struct Scale {
    frame: Frame,
    time: (f64, f64),
    value: (f64, f64),
}

impl Scale {
    /// Makes the scale of these points; `None` if there is nothing to draw.
    fn of(points: &[(i64, f64)], frame: Frame) -> Option<Self> {
        let (first, last) = (points.first()?.0 as f64, points.last()?.0 as f64);
        let low = points.iter().map(|(_, v)| *v).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
        // A flat line is drawn in the middle.
        let value = if low < high { (low, high) } else { (low - 1.0, high + 1.0) };
        Some(Scale { frame, time: (first, last.max(first + 1.0)), value })
    }

    fn x(&self, time: i64) -> f64 {
        let part = (time as f64 - self.time.0) / (self.time.1 - self.time.0);
        self.frame.left + part.clamp(0.0, 1.0) * (self.frame.width - self.frame.left - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value / 2.0 - self.value.0 / 2.0) / (self.value.1 / 2.0 - self.value.0 / 2.0);
        BOTTOM - part.clamp(0.0, 1.0) * (BOTTOM - TOP)
    }
}

fn drawing(account: &Account, frame: Frame) -> String {
    let original = account.original.points(frame.points);
    let Some(scale) = Scale::of(&original, frame) else {
        return "<p class=\"note\">No number to draw.</p>".into();
    };
    let label = format!("{}: {} readings, {} sent", account.name, account.readings, account.sent());
    let mut svg = open_svg(frame.width, HEIGHT, &label);
    axes(&mut svg, &scale);
    let _ = write!(svg, "<path class=\"orig\" d=\"{}\"/>", line(&original, &scale));
    let kept = account.emitted.points(frame.points);
    let curve = match account.distance.reading {
        Reading::Hold => steps(&kept, &scale),
        Reading::Line => line(&kept, &scale),
    };
    let _ = write!(svg, "<path class=\"kept\" d=\"{curve}\"/>");
    if kept.len() <= DOTS_MAX {
        for (time, value) in kept {
            let (x, y) = (scale.x(time), scale.y(value));
            let _ = write!(svg, "<circle class=\"kept\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.2\"/>");
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Draws the axes: three values on the left, the length of the recording below.
fn axes(svg: &mut String, scale: &Scale) {
    let (left, right) = (scale.frame.left, scale.frame.width - RIGHT);
    let (low, high) = scale.value;
    for value in [low, low / 2.0 + high / 2.0, high] {
        let (y, text) = (scale.y(value), figure(value));
        let _ = write!(svg, "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>");
        let (x, text_y) = (left - 6.0, y + 4.0);
        let _ = write!(svg, "<text x=\"{x}\" y=\"{text_y:.1}\" text-anchor=\"end\">{text}</text>");
    }
    let seconds = (scale.time.1 - scale.time.0) / 1000.0;
    let length = match seconds {
        ..300.0 => format!("{seconds:.0} s"),
        ..18_000.0 => format!("{:.0} min", seconds / 60.0),
        ..432_000.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.0} days", seconds / 86_400.0),
    };
    let below = HEIGHT - 6.0;
    let _ = write!(svg, "<text x=\"{left}\" y=\"{below}\">0</text>");
    let _ = write!(svg, "<text x=\"{right}\" y=\"{below}\" text-anchor=\"end\">{length}</text>");
}

fn line(points: &[(i64, f64)], scale: &Scale) -> String {
    let mut path = String::new();
    for (i, (time, value)) in points.iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{:.1} {:.1}", scale.x(*time), scale.y(*value));
    }
    path
}

/// Draws each value until the time of the next, the last until the end.
fn steps(points: &[(i64, f64)], scale: &Scale) -> String {
    let mut path = String::new();
    for (i, (time, value)) in points.iter().enumerate() {
        let (x, y) = (scale.x(*time), scale.y(*value));
        let _ = if i == 0 { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
    }
    if !points.is_empty() {
        let _ = write!(path, "H{}", scale.frame.width - RIGHT);
    }
    path
}
