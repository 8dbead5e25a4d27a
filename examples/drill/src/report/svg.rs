//! The two plots, drawn as SVG: complete without script, with a title per mark. Each is drawn twice, for a wide and for a
//! narrow window, since text in a scaled drawing would be too small on a phone.

use std::fmt::Write as _;

use edge_page::{both as both_drawings, count, open_svg};

use super::Report;
use super::format::seconds;
use crate::verdict::Fate;

/// A reading that takes less is live.
pub(super) const LIVE_MS: i64 = 2_000;

/// Draws a plot for a wide and for a narrow window; the style sheet shows the one that fits.
pub(super) fn both(report: &Report, draw: fn(&Report, Frame) -> String) -> String {
    both_drawings(&draw(report, WIDE), &draw(report, NARROW))
}

/// Size of a drawing in its own units, which are CSS pixels at its natural size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    width: f64,
    left: f64,
    ticks_max: u64,
    buckets: u64,
    narrow: bool,
}

const WIDE: Frame = Frame { width: 1040.0, left: 62.0, ticks_max: 12, buckets: 200, narrow: false };
const NARROW: Frame = Frame { width: 360.0, left: 44.0, ticks_max: 5, buckets: 90, narrow: true };
const RIGHT: f64 = 14.0;
const TOP: f64 = 20.0;

/// Maps the story's time to the horizontal axis.
#[derive(Clone, Copy)]
struct Time {
    frame: Frame,
    end_ms: u64,
}

impl Time {
    fn x(self, at_ms: u64) -> f64 {
        let width = self.frame.width - self.frame.left - RIGHT;
        self.frame.left + at_ms.min(self.end_ms) as f64 / self.end_ms.max(1) as f64 * width
    }

    fn axis(self, svg: &mut String, bottom: f64) {
        let end_s = self.end_ms / 1000;
        let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600]
            .into_iter()
            .find(|step| end_s / step <= self.frame.ticks_max);
        let step = step.unwrap_or(1200);
        for tick in (0..=end_s).step_by(usize::try_from(step).unwrap_or(60)) {
            let x = self.x(tick * 1000);
            let _ = write!(svg, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
            let text_y = bottom + 16.0;
            let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{text_y}\" text-anchor=\"middle\">{tick} s</text>");
        }
    }
}

/// Faults above, rows waiting at the gateway, arrivals per second at the hub.
pub(super) fn timeline(report: &Report, frame: Frame) -> String {
    const WAITING: (f64, f64) = (40.0, 150.0);
    const ARRIVING: (f64, f64) = (176.0, 268.0);
    let time = Time { frame, end_ms: report.end_ms() };
    let arrivals = arrivals_per_second(report);
    let waiting_max = report.samples.iter().map(|sample| sample.waiting).max().unwrap_or(0);
    let arrivals_max = arrivals.iter().copied().max().unwrap_or(0);
    let label = format!(
        "Timeline: {}. At most {} rows waited at the gateway, at most {} readings arrived in one second.",
        fault_list(report),
        count(waiting_max),
        count(arrivals_max)
    );
    let mut svg = open_svg(frame.width, 292.0, &label);
    faults(&mut svg, report, time, ARRIVING.1);
    time.axis(&mut svg, ARRIVING.1);
    let y = |(top, bottom): (f64, f64), value: u64, max: u64| {
        bottom - value as f64 / max.max(1) as f64 * (bottom - top)
    };
    let waiting: Vec<(f64, f64)> = report
        .samples
        .iter()
        .map(|sample| (time.x(sample.at_ms), y(WAITING, sample.waiting, waiting_max)))
        .collect();
    area(&mut svg, "late", &waiting, WAITING.1);
    line(&mut svg, "late", &waiting);
    // One step per second: each second is a level, not a slope.
    let steps: Vec<(f64, f64)> = arrivals
        .iter()
        .zip(0_u64..)
        .flat_map(|(n, second)| {
            let level = y(ARRIVING, *n, arrivals_max);
            [(time.x(second * 1000), level), (time.x((second + 1) * 1000), level)]
        })
        .collect();
    area(&mut svg, "live", &steps, ARRIVING.1);
    let (max_waiting, max_arriving) = (short(waiting_max), short(arrivals_max));
    for (text, y) in [(max_waiting, 44.0), ("0".into(), 153.0), (max_arriving, 180.0), ("0".into(), 271.0)] {
        let x = frame.left - 6.0;
        let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{text}</text>");
    }
    let x = frame.width - RIGHT - 2.0;
    let words = if frame.narrow {
        ["waiting", "arriving, per s"]
    } else {
        ["waiting at the gateway", "arriving at the hub, per s"]
    };
    for (text, y) in words.into_iter().zip([36.0, 172.0]) {
        let _ = write!(svg, "<text class=\"h halo\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{text}</text>");
    }
    svg.push_str("</svg>");
    svg
}

/// Delay of each reading against the time it was sent, on a logarithmic scale with a row "never".
pub(super) fn delays(report: &Report, frame: Frame) -> String {
    const HEIGHT: f64 = 300.0;
    const NEVER: f64 = 34.0;
    const LEVELS: (f64, f64) = (62.0, 268.0);
    const SCALE_MS: [u64; 8] = [100, 200, 500, 1_000, 5_000, 20_000, 60_000, 600_000];
    let time = Time { frame, end_ms: report.end_ms() };
    let buckets = buckets(report, frame.buckets);
    let slowest = buckets.iter().filter_map(|bucket| bucket.slowest_ms).max().unwrap_or(0);
    let lowest = SCALE_MS[0];
    let highest = SCALE_MS.into_iter().find(|ms| *ms >= slowest).unwrap_or(slowest).max(5_000);
    let lost: u64 = buckets.iter().map(|bucket| bucket.lost).sum();
    let y = |ms: u64| {
        let part = (ms.max(lowest) as f64 / lowest as f64).ln() / (highest as f64 / lowest as f64).ln();
        LEVELS.1 - part * (LEVELS.1 - LEVELS.0)
    };
    let label = format!(
        "Delay of the readings by the time they were sent; the slowest took {} s, {} never arrived.",
        seconds(slowest),
        count(lost)
    );
    let mut svg = open_svg(frame.width, HEIGHT, &label);
    faults(&mut svg, report, time, LEVELS.1 + 6.0);
    time.axis(&mut svg, LEVELS.1 + 6.0);
    let (text_x, right) = (frame.left - 6.0, frame.width - RIGHT);
    for ms in SCALE_MS.into_iter().filter(|ms| *ms <= highest) {
        let (y, text_y) = (y(ms), y(ms) + 4.0);
        let text = if ms < 1000 {
            format!("0.{} s", ms / 100)
        } else if ms < 60_000 {
            format!("{} s", ms / 1000)
        } else {
            format!("{} min", ms / 60_000)
        };
        let _ = write!(svg, "<path class=\"grid\" d=\"M{} {y:.1}H{right}\"/>", frame.left);
        let _ = write!(svg, "<text x=\"{text_x}\" y=\"{text_y:.1}\" text-anchor=\"end\">{text}</text>");
    }
    let _ = write!(svg, "<path class=\"never\" d=\"M{} {NEVER}H{right}\"/>", frame.left);
    let _ = write!(
        svg,
        "<text class=\"lostt\" x=\"{text_x}\" y=\"{}\" text-anchor=\"end\">never</text>",
        NEVER + 4.0
    );
    for bucket in &buckets {
        bucket.draw(&mut svg, time, y, NEVER);
    }
    svg.push_str("</svg>");
    svg
}

/// The readings that were sent in one small span of time.
#[derive(Debug, Default, Clone)]
struct Bucket {
    at_ms: u64,
    arrived: u64,
    twice: u64,
    lost: u64,
    slowest_ms: Option<u64>,
}

impl Bucket {
    fn draw(&self, svg: &mut String, time: Time, y: impl Fn(u64) -> f64, never: f64) {
        let (x, sent) = (time.x(self.at_ms), seconds(self.at_ms));
        if let Some(ms) = self.slowest_ms {
            let class = if i64::try_from(ms).is_ok_and(|ms| ms < LIVE_MS) { "live" } else { "late" };
            let (y, n, delay) = (y(ms), count(self.arrived), seconds(ms));
            let twice =
                if self.twice > 0 { format!("; {} came twice", count(self.twice)) } else { String::new() };
            let title =
                format!("<title>sent at {sent} s: {n} arrived, the slowest after {delay} s{twice}</title>");
            let _ = write!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.4\">{title}</circle>"
            );
            if self.twice > 0 {
                let _ =
                    write!(svg, "<circle class=\"dup\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\">{title}</circle>");
            }
        }
        if self.lost > 0 {
            let (x, y, lost) = (x - 5.0, never - 5.0, count(self.lost));
            let title = format!("<title>sent at {sent} s: {lost} never arrived</title>");
            let _ = write!(svg, "<path class=\"lost\" d=\"M{x:.1} {y:.1}l10 10m0-10l-10 10\">{title}</path>");
        }
    }
}

fn buckets(report: &Report, wanted: u64) -> Vec<Bucket> {
    let width_ms = (report.story.publish_ms / wanted).max(1);
    let mut buckets: Vec<Bucket> = Vec::new();
    for (ack, fate) in report.records.acks.iter().zip(&report.verdict.fates) {
        let sent_ms = report.story_ms(ack.first_sent);
        // Times outside the story (a clock that jumped) belong to its edge.
        let index = usize::try_from((sent_ms / width_ms).min(wanted)).unwrap_or(0);
        if buckets.len() <= index {
            buckets.resize(index + 1, Bucket::default());
        }
        let Some(bucket) = buckets.get_mut(index) else { continue };
        bucket.at_ms = index as u64 * width_ms;
        match fate {
            Fate::Lost => bucket.lost += 1,
            Fate::Represented => {}
            Fate::Arrived { time, twice } => {
                bucket.arrived += 1;
                bucket.twice += u64::from(*twice);
                let delay_ms = u64::try_from(time.saturating_sub(ack.first_sent)).unwrap_or(0);
                bucket.slowest_ms = bucket.slowest_ms.max(Some(delay_ms));
            }
        }
    }
    buckets
}

fn arrivals_per_second(report: &Report) -> Vec<u64> {
    let mut seconds = vec![0; usize::try_from(report.end_ms() / 1000 + 1).unwrap_or(1)];
    for arrived in &report.records.hub {
        let second = usize::try_from(report.story_ms(arrived.time) / 1000).unwrap_or(0);
        if let Some(n) = seconds.get_mut(second) {
            *n += 1;
        }
    }
    seconds
}

/// Draws shaded outages with their names above, and the kill as a line.
fn faults(svg: &mut String, report: &Report, time: Time, bottom: f64) {
    let names = report.story.outages().map(|phase| phase.name.text());
    for ((from, to), name) in report.timeline.outages.iter().zip(names) {
        let (x, to_x) = (time.x(report.story_ms(*from)), time.x(report.story_ms(*to)));
        let (width, middle, height) = (to_x - x, (x + to_x) / 2.0, bottom - TOP);
        let _ = write!(
            svg,
            "<rect class=\"cut\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
        );
        let _ =
            write!(svg, "<text class=\"h\" x=\"{middle:.1}\" y=\"13\" text-anchor=\"middle\">{name}</text>");
    }
    if let Some(killed_at) = report.timeline.killed_at {
        let (x, y) = (time.x(report.story_ms(killed_at)), TOP + 14.0);
        let text_x = x + 5.0;
        let _ = write!(svg, "<path class=\"kill\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
        let _ = write!(svg, "<text class=\"killt halo\" x=\"{text_x:.1}\" y=\"{y}\">kill -9</text>");
    }
}

fn fault_list(report: &Report) -> String {
    let names = report.story.outages().map(|phase| phase.name.text());
    let mut list: Vec<String> = report
        .timeline
        .outages
        .iter()
        .zip(names)
        .map(|((from, to), name)| {
            format!(
                "{name} from {} s to {} s",
                seconds(report.story_ms(*from)),
                seconds(report.story_ms(*to))
            )
        })
        .collect();
    list.extend(report.timeline.killed_at.map(|at| format!("kill -9 at {} s", seconds(report.story_ms(at)))));
    list.join(", ")
}

fn path(points: &[(f64, f64)]) -> String {
    points.iter().enumerate().fold(String::new(), |mut d, (i, (x, y))| {
        let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
        d
    })
}

fn line(svg: &mut String, class: &str, points: &[(f64, f64)]) {
    let _ = write!(svg, "<path class=\"{class}-line\" d=\"{}\"/>", path(points));
}

fn area(svg: &mut String, class: &str, points: &[(f64, f64)], base: f64) {
    if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
        let outline = path(points).replacen('M', "L", 1);
        let _ =
            write!(svg, "<path class=\"{class}-area\" d=\"M{first:.1} {base}{outline}L{last:.1} {base}Z\"/>");
    }
}

/// Returns a number in few characters, such as `950` or `3.6 k`.
fn short(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        1000..100_000 => format!("{:.1} k", n as f64 / 1000.0),
        _ => format!("{} k", n / 1000),
    }
}
