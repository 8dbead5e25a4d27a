//! Promise 12 over any configuration, reading, clock and snapshot: the tests' own loops call these functions with damaged ones, the fuzz targets
//! with inputs of their own.
#![allow(dead_code, reason = "each program uses its part")]

use edge_filter::{Emit, Outcome, Pipeline, Quality, Reading, Snapshot, Value};

use super::support::Rng;

/// Numbers that decide a history: of a seed, or of a fuzz target's input.
pub(crate) trait Draw {
    fn next_number(&mut self) -> u64;

    fn below(&mut self, n: u64) -> u64 {
        self.next_number() % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

impl Draw for Rng {
    fn next_number(&mut self) -> u64 {
        self.next()
    }
}

/// Eight bytes at a time; zeros behind the end.
impl Draw for &[u8] {
    fn next_number(&mut self) -> u64 {
        let (head, rest) = self.split_at(self.len().min(8));
        *self = rest;
        let mut number = [0; 8];
        number[..head.len()].copy_from_slice(head);
        u64::from_le_bytes(number)
    }
}

/// Rules with a stage of each kind.
pub(crate) const SEED: &str = r##"
[defaults]
max_keys = 7
over_limit = "evict_idle"
quality = "sparkplug"
max_future_ms = 60000
n_confirm = 2
out_of_order = "pass"
[[rule]]
match = "a/+"
quality = "opcua"
nan_is_bad = false
range = { low = -40.0, high = 150.0 }
stages = [
  { time_guard = { max_gap_ms = 600000, max_backward_ms = 0 } },
  { gross_range = { fail = [-40.0, 150.0], suspect = [-10.0, 120.0], action = "mark" } },
  { deadband = { percent = 0.5, min_interval_ms = 10, max_interval_ms = 600000, uncertain_as = "bad" } },
  { stale = { timeout_ms = 30000, heartbeat_ms = 10000 } },
]
[[rule]]
match = "b/#"
stages = [ { window = { width_ms = 5000, agg = "time_avg_sloped", offset_ms = 7, min_good_pct = 50.0, empty = "emit" } } ]
[[rule]]
match = "e"
stages = [ { swinging_door = { deviation = 0.5, max_interval_ms = 60000 } }, { stale = { timeout_ms = 60000 } } ]
[[rule]]
match = "f"
stages = [ { segment_hold = { deviation = 2.0 } } ]
[[rule]]
match = "g"
stages = [ { sample = { every_n = 3, pick = "max_abs_dev" } } ]
[[rule]]
match = "h"
stages = [ { deadband = { absolute = 2, send_previous = true } }, { stale = { timeout_ms = 60000 } } ]
[[rule]]
match = "i"
stages = [ { dedup = { within_ms = 60000 } } ]
[[rule]]
match = "a"
stages = [ { on_change = { min_interval_ms = 100 } } ]
[[rule]]
match = "j"
stages = [
  { gross_range = { fail = [-1e300, 1e300], action = "drop" } },
  { rate_of_change = { suspect_per_s = 0.5, fail_per_s = 2.0, max_gap_ms = 60000, action = "drop" } },
  { flat_line = { suspect_s = 10, fail_s = 30, sampling_ms = 10000, tolerance = 0.5 } },
  { attenuated_signal = { check = "range", suspect = 0.5, period_ms = 60000, min_obs = 2 } },
  { hampel = { window = 5, alignment = "centered", action = "replace" } },
  { jump_reject = { max_step = 50.0, accept_after = 2 } },
  { spike = { method = "differential", suspect = 3.0, fail = 6.0, action = "drop" } },
  { scale = { raw = [0, 10], unit = [0, 1e300] } },
  { swinging_door = { deviation = 0.5 } },
  { stale = { timeout_ms = 60000, heartbeat_ms = 20000 } },
]
[[rule]]
match = "k"
nan_is_bad = false
stages = [
  { attenuated_signal = { suspect = 0.5, period_ms = 60000 } },
  { hampel = { window = 3, action = "replace" } },
  { spike = { suspect = 3.0 } },
  { counter = { width_bits = 32, max_rate_per_s = 1000 } },
  { window = { width_ms = 5000, agg = "median" } },
  { stale = { timeout_ms = 60000 } },
]
[[rule]]
match = "#"
stages = [ { deadband = { absolute = 0.5 } }, { stale = { timeout_ms = 9223372036854775807 } } ]
[[alarm]]
match = "j"
high = { limit = 1e301 }
[[alarm]]
match = "a/#"
hihi = { limit = 110.0 }
high = { limit = 95.0, deadband = 1.5, on_delay_ms = 15000, off_delay_ms = 5000 }
low = { limit = -5, on_delay_ms = 9223372036854775807 }
"##;

const TIMES: [i64; 9] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 60_000, 1 << 40, i64::MAX - 1, i64::MAX];
const FLOATS: [f64; 12] = [
    0.0,
    -0.0,
    5e-324,
    1.0,
    95.0,
    -40.0,
    f64::MAX,
    f64::MIN,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    9.007199254740993e15,
];

fn time(rng: &mut impl Draw, last: i64) -> i64 {
    match rng.below(8) {
        0 => rng.pick(&TIMES),
        1 => rng.next_number().cast_signed(),
        2 => last.saturating_sub(rng.below(200_000).cast_signed()),
        _ => last.saturating_add(rng.below(20_000).cast_signed()),
    }
}

fn value(rng: &mut impl Draw) -> Value<'static> {
    match rng.below(7) {
        0 => Value::F64(f64::from_bits(rng.next_number())),
        1 => Value::F64(rng.pick(&FLOATS)),
        2 => Value::I64(rng.next_number().cast_signed() >> rng.below(64)),
        3 => Value::U64(rng.next_number() >> rng.below(64)),
        4 => Value::Bool(rng.below(2) == 0),
        5 => Value::from(format!("{}", rng.below(3))),
        _ => Value::F64(rng.below(200) as f64),
    }
}

fn quality(rng: &mut impl Draw) -> Quality {
    match rng.below(4) {
        0 => Quality(rng.next_number() as u32),
        1 => Quality(rng.pick(&[0, 192, 500, 0x4000_0000, 0x8000_0000, 0xC000_0000, u32::MAX])),
        _ => Quality(0),
    }
}

/// Output of the pipeline, as a consumer sees it.
#[derive(Default)]
struct Seen {
    input: u64,
    emitted: u64,
    synthetic: u64,
    dishonest: Option<String>,
    bug: Option<Bug>,
}

/// Planted faults of a pipeline's output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bug {
    LosesAnEmit,
    EmitsTwice,
    CallsNanGood,
    HidesThatItIsSynthetic,
}

/// Rules of the check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    /// Every reading and emit is counted once.
    Accounts,
    /// Nothing that is no number is called good.
    Honesty,
}

impl Bug {
    pub(crate) const ALL: [Bug; 4] =
        [Bug::LosesAnEmit, Bug::EmitsTwice, Bug::CallsNanGood, Bug::HidesThatItIsSynthetic];

    /// The rule that finds it.
    pub(crate) fn rule(self) -> Rule {
        match self {
            Bug::LosesAnEmit | Bug::EmitsTwice | Bug::HidesThatItIsSynthetic => Rule::Accounts,
            Bug::CallsNanGood => Rule::Honesty,
        }
    }
}

impl Seen {
    fn see(&mut self, mut e: Emit<'_>) {
        match self.bug {
            Some(Bug::LosesAnEmit) if self.emitted == 9 => return,
            Some(Bug::EmitsTwice) if self.emitted == 9 => self.emitted += 1,
            Some(Bug::CallsNanGood) => e.quality = Quality::GOOD,
            Some(Bug::HidesThatItIsSynthetic) => e.synthetic = false,
            _ => {}
        }
        self.synthetic += u64::from(e.synthetic);
        self.emitted += u64::from(!e.synthetic);
        let number = !matches!(e.value, Value::F64(v) if !v.is_finite());
        if !number && e.quality.is_good() {
            self.dishonest = Some(format!("{e:?}"));
        }
    }

    /// Finds the first fault in the accounts or in the emitted readings; `off`: a rule that is not asked.
    fn check(&self, p: &Pipeline, off: Option<Rule>) -> Result<(), (Rule, String)> {
        let stats = p.stats();
        let counted = (stats.input, stats.emitted(), stats.synthetic);
        let balanced = stats.is_balanced() && counted == (self.input, self.emitted, self.synthetic);
        if let Some(emit) = self.dishonest.as_ref().filter(|_| off != Some(Rule::Honesty)) {
            return Err((Rule::Honesty, format!("called good: {emit}")));
        }
        if !balanced && off != Some(Rule::Accounts) {
            let seen = (self.input, self.emitted, self.synthetic);
            return Err((Rule::Accounts, format!("{stats:?} but seen {seen:?}")));
        }
        Ok(())
    }
}

/// Random readings, ticks and restarts; every outcome is accounted for.
pub(crate) fn drive(
    p: &mut Pipeline,
    rng: &mut impl Draw,
    steps: u64,
    bug: Option<Bug>,
    off: Option<Rule>,
) -> Result<(), (Rule, String)> {
    let (mut now, mut last, mut seen) = (0_i64, 0_i64, Seen { bug, ..Seen::default() });
    for _ in 0..steps {
        let mut sink = |e: Emit<'static>| seen.see(e);
        match rng.below(200) {
            0 => p.flush(&mut sink),
            1 => p.unit_changed(rng.next_number() as u32 % 9, &mut sink),
            2..12 => {
                now = time(rng, now);
                p.tick(now, &mut sink);
                assert!(p.next_deadline().is_none_or(|next| next > now), "a tick leaves nothing due");
            }
            12..20 => p.clock_stepped(rng.next_number() as u32 % 9),
            _ => {
                let names = ["a/0", "a/1", "a", "b/c/d", "", "e", "f", "g", "h", "i", "j", "k"];
                let sensor = p.intern(rng.pick(&names));
                let sensor = if rng.below(50) == 0 { rng.next_number() as u32 } else { sensor };
                last = time(rng, last);
                now = now.saturating_add(rng.below(10_000).cast_signed()).max(if rng.below(2) == 0 {
                    last
                } else {
                    now
                });
                let reading = Reading { sensor, time: last, value: value(rng), quality: quality(rng) };
                if let Outcome::Emit(e) = p.process(reading, now, &mut sink) {
                    assert!(!e.synthetic && e.time == last);
                    sink(e);
                }
                seen.input += 1;
            }
        }
    }
    assert!(p.sensors() <= 12);
    seen.check(p, off)
}

/// Reads a configuration, which may admit more sensors than there are names, and, if it is accepted, drives its pipeline; returns whether it was.
pub(crate) fn configuration(text: &[u8], rng: &mut impl Draw) -> bool {
    match Pipeline::from_toml(&String::from_utf8_lossy(text)) {
        Ok(mut p) => {
            drive(&mut p, rng, 20, None, None).unwrap();
            true
        }
        Err(e) => {
            assert!(e.to_string().len() > 5);
            false
        }
    }
}

/// A snapshot of the pipeline of [`SEED`] in use.
pub(crate) fn whole_snapshot(rng: &mut impl Draw) -> Vec<u8> {
    let mut p = Pipeline::from_toml(SEED).unwrap();
    drive(&mut p, rng, 200, None, None).unwrap();
    let mut snapshot = Vec::new();
    ciborium::into_writer(&p.snapshot(), &mut snapshot).unwrap();
    snapshot
}

/// Restores a snapshot and, if it is taken, drives the pipeline; returns whether it was.
pub(crate) fn snapshot(bytes: &[u8], rng: &mut impl Draw) -> bool {
    let Ok(damaged) = ciborium::from_reader::<Snapshot, _>(bytes) else { return false };
    let mut p = Pipeline::from_toml(SEED).unwrap();
    let is_restored = p.restore(damaged.clone()).is_ok();
    if is_restored {
        drive(&mut p, rng, 50, None, None).unwrap();
        goes_on(damaged);
    }
    is_restored
}

/// Whatever a snapshot says of a sensor, a few readings later the sensor is reported again.
fn goes_on(damaged: Snapshot) {
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.5 } } ]";
    let mut p = Pipeline::from_toml(rules).unwrap();
    p.restore(damaged).unwrap();
    let sensor = p.intern("e");
    let passes = |i: i64| {
        let time = (1 << 41) + i * 100_000;
        let value = Value::F64(if i % 2 == 0 { 0.0 } else { 100.0 });
        let reading = Reading { sensor, time, value, quality: Quality(0) };
        let mut emitted = 0;
        let outcome = p.process(reading, time, &mut |_| emitted += 1);
        emitted > 0 || matches!(outcome, Outcome::Emit(_))
    };
    assert!((0..6).map(passes).filter(|passed| *passed).count() >= 3);
}
