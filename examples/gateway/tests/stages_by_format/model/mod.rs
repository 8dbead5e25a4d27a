//! Naive model of the stages, by `docs/reference/rules.md`: each takes the whole series and looks back over it as far as it likes.
//! It shares no code with edge-filter.

pub(crate) mod checks;
pub(crate) mod guard;
pub(crate) mod lookahead;
pub(crate) mod reduce;
pub(crate) mod window;

use super::series::{Reading, Value};

pub(crate) const OUT_OF_RANGE: u32 = 0x803C_0000;
pub(crate) const DOUBTFUL: u32 = 0x4094_0000;
pub(crate) const SUBSTITUTE: u32 = 0x4091_0000;

#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) nan_is_bad: bool,
    pub(crate) drops: Drops,
    pub(crate) checks: Vec<Check>,
    pub(crate) lookahead: Lookahead,
    /// Bits of the register, and its fastest count per second.
    pub(crate) counter: Option<(u32, f64)>,
    /// Factor and offset.
    pub(crate) scale: Option<(f64, f64)>,
    pub(crate) reducer: Reducer,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            nan_is_bad: true,
            drops: Drops::default(),
            checks: Vec::new(),
            lookahead: Lookahead::default(),
            counter: None,
            scale: None,
            reducer: Reducer::All,
        }
    }
}

/// Readings that the time guard does not let pass.
#[derive(Clone, Copy, Default)]
pub(crate) struct Drops {
    pub(crate) late: bool,
    pub(crate) same_time: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Check {
    Range {
        fail: (f64, f64),
        suspect: (f64, f64),
        drops: bool,
    },
    Rate {
        suspect: f64,
        fail: f64,
        drops: bool,
    },
    /// In readings.
    Flat {
        suspect: usize,
        fail: usize,
        tolerance: f64,
    },
    Attenuated {
        by_std: bool,
        suspect: f64,
        fail: f64,
        period_ms: i64,
        min_obs: usize,
    },
    Hampel(Hampel),
    Jump {
        step: f64,
        after: usize,
        drops: bool,
    },
}

#[derive(Clone, Copy)]
pub(crate) struct Hampel {
    pub(crate) window: usize,
    pub(crate) n_sigma: f64,
    pub(crate) min_scale: f64,
    pub(crate) replaces: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Spike {
    pub(crate) suspect: f64,
    pub(crate) fail: f64,
    pub(crate) drops: bool,
    /// By the smaller of the distances to both neighbours, not by that to their mean.
    pub(crate) is_differential: bool,
}

/// Stages that judge a reading by later ones.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lookahead {
    pub(crate) hampel: Option<Hampel>,
    pub(crate) spike: Option<Spike>,
}

impl Lookahead {
    pub(crate) fn is_some(&self) -> bool {
        self.hampel.is_some() || self.spike.is_some()
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Pick {
    First,
    Last,
    Peak,
}

/// Times are in ms.
#[derive(Clone, Copy)]
pub(crate) enum Reducer {
    All,
    OnChange {
        min: i64,
        max: i64,
    },
    Deadband {
        tolerance: f64,
        min: i64,
        max: i64,
        uncertain_is_bad: bool,
        previous: bool,
        status_alone: bool,
    },
    Door {
        deviation: f64,
        min: i64,
        max: i64,
        uncertain_is_bad: bool,
    },
    Segment {
        deviation: f64,
        max: i64,
        uncertain_is_bad: bool,
    },
    Window(window::Window),
    Sample {
        every: Option<u32>,
        interval: Option<i64>,
        pick: Pick,
    },
}

/// Reading on its way, or a moment at which all stages let go of what they hold.
#[derive(Clone)]
pub(crate) enum Event {
    Row(Row),
    /// A change of unit makes what follows another quantity; otherwise the series goes on.
    Release {
        at: usize,
        is_other: bool,
    },
}

impl Event {
    pub(crate) fn at(&self) -> usize {
        match self {
            Self::Row(row) => row.at,
            Self::Release { at, .. } => *at,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Row {
    /// Place in the series of the reading at which this one leaves.
    pub(crate) at: usize,
    pub(crate) reading: Reading,
    /// Late, or of the time of another one: no part of the series.
    pub(crate) is_beside: bool,
    /// Nothing before it counts: the first, one after a gap or after the clock was set.
    pub(crate) is_fresh: bool,
    pub(crate) is_after_reset: bool,
    /// Whether the reducer lets it pass, whatever its value.
    pub(crate) must_pass: bool,
}

/// Readings that are to leave of a series, in this order. At `released`, the place of a reading, all stages let go of what they hold. What is
/// held at the end is not seen.
pub(crate) fn expected(rule: &Rule, series: &[Reading], released: Option<usize>) -> Vec<Reading> {
    let mut events = guard::events(rule, series);
    if let Some(at) = released {
        let place = events.iter().position(|event| event.at() >= at).unwrap_or(events.len());
        events.insert(place, Event::Release { at, is_other: false });
    }
    for check in &rule.checks {
        events = checks::apply(*check, events);
    }
    if rule.lookahead.is_some() {
        events = lookahead::apply(rule.lookahead, events);
    }
    if let Some(register) = rule.counter {
        events = totals(register, events);
    }
    if let Some(line) = rule.scale {
        scale(line, &mut events);
    }
    match &rule.reducer {
        Reducer::Window(window) => window::apply(window, events),
        reducer => reduce::apply(reducer, events),
    }
}

pub(crate) fn is_bad(quality: u32) -> bool {
    quality >> 31 == 1
}

/// A failed or doubtful reading's quality, unless its own says worse.
pub(crate) fn marked(quality: u32, fails: bool, is_suspect: bool) -> u32 {
    match quality >> 30 {
        0 | 1 if fails => OUT_OF_RANGE,
        0 if is_suspect => DOUBTFUL,
        _ => quality,
    }
}

/// Number that a value stands for: a boolean is 0 or 1.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::Text(_) | Value::Null => None,
    }
}

/// Turns the readings of a counter into its total.
fn totals((bits, rate): (u32, f64), events: Vec<Event>) -> Vec<Event> {
    let (mut last, mut total): (Option<(i128, i64)>, i128) = (None, 0);
    let mut out = Vec::new();
    for event in events {
        let Event::Row(mut row) = event else {
            // Another quantity has another total.
            if let Event::Release { is_other: true, .. } = event {
                (last, total) = (None, 0);
            }
            out.push(event);
            continue;
        };
        let reading = &mut row.reading;
        let count = match reading.value {
            Value::Int(number) => Some(number),
            Value::Float(number) if number.fract() == 0.0 => Some(number as i128),
            _ => None,
        };
        match count.filter(|count| (0..1 << bits).contains(count)) {
            _ if is_bad(reading.quality) => {}
            // The total is not that of its time.
            _ if row.is_beside && reading.quality >> 30 == 0 => reading.quality = SUBSTITUTE,
            _ if row.is_beside => {}
            None => reading.quality = OUT_OF_RANGE,
            Some(count) => {
                if let Some((before, time)) = last.replace((count, reading.time)) {
                    let seconds = (reading.time - time) as f64 / 1000.0;
                    let wrapped = count - before + (1 << bits);
                    match () {
                        () if count >= before => total += count - before,
                        () if seconds > 0.0 && wrapped as f64 / seconds <= rate => total += wrapped,
                        () => row.must_pass = true,
                    }
                }
            }
        }
        reading.value = Value::Int(total);
        out.push(Event::Row(row));
    }
    out
}

fn scale((factor, offset): (f64, f64), events: &mut [Event]) {
    if (factor, offset) == (1.0, 0.0) {
        return;
    }
    for event in events {
        let Event::Row(Row { reading, .. }) = event else { continue };
        let number = match reading.value {
            Value::Float(number) => number,
            Value::Int(number) => number as f64,
            _ => continue,
        };
        // Rounded once.
        let scaled = number.mul_add(factor, offset);
        reading.value = Value::Float(scaled);
        if !scaled.is_finite() {
            reading.quality = marked(reading.quality, true, false);
        }
    }
}
