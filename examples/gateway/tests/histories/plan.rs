//! A history before it happens: configuration, sensors and steps, all from one seed.

mod clocks;
mod refusals;
mod stages;
mod windows;

use super::support::rng::Rng;

pub(crate) use clocks::{Clock, NO_CLOCK};
pub(crate) use refusals::Refusal;

use super::record::{Filter, Run, Window};

const FORMATS: [&str; 5] = [
    "format = \"json\"",
    "format = \"cbor\"",
    "format = \"protobuf\"",
    "format = \"compact\"",
    "format = \"compact\"\nlevel = \"small\"",
];
const BATCH_MAX: [&str; 5] = ["7", "100", "1000", "\"600B\"", "\"16KiB\""];
const BATCH_AGE: [&str; 3] = ["20ms", "100ms", "300ms"];
const ACK_WITHIN: [&str; 3] = ["100ms", "300ms", "1s"];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// So many messages of a publisher.
    Send(usize, u64),
    /// Milliseconds in which PUBACKs are taken.
    Rest(u64),
    Cut,
    Mend,
    /// The connections of now are half open.
    Swallow,
    /// The hub writes its state to its disk.
    Save,
    /// The hub is killed, and comes back with what it saved.
    HubCrash,
    /// The gateway is killed, and started again.
    Kill,
    Stop,
    /// As the two before, with another configuration.
    KillAndChange,
    StopAndChange,
    /// The hub begins to refuse, or refuses something else.
    Refuse(Refusal),
    /// The hub takes everything again.
    Allow,
    /// A raw message of another publisher, and what becomes of it while the hub refuses.
    Beside(Refusal),
    /// A raw message of some kilobytes.
    Large,
    /// Raw messages in an outage that is longer than `max_age`.
    Expire,
    /// The gateway's wall clock is so many ms ahead of the machine's from now on.
    Clock(i64),
}

/// A route of readings. Its topics begin with `plant/rN/`, its batches go to `out/rN`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) format: &'static str,
    pub(crate) filter: Filter,
    pub(crate) withholds: bool,
    lane: &'static str,
    batch_max: &'static str,
    batch_age: &'static str,
    /// `plant/rN/+` in place of `plant/rN/#`.
    plus: bool,
    /// Limit of an alarm of each sensor.
    alarm: Option<f64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) routes: Vec<Route>,
    pub(crate) fifo: bool,
    lanes: &'static str,
    ack_within: &'static str,
    /// Lines of `[queue]` besides.
    limits: &'static str,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Sensors publish to a Mosquitto.
    pub(crate) behind_broker: bool,
    /// That of each run, as long as there are some; then the last one.
    pub(crate) configurations: Vec<Configuration>,
    /// Window of each publisher.
    pub(crate) windows: Vec<usize>,
    pub(crate) steps: Vec<Step>,
    /// The hub refuses for a while.
    pub(crate) is_refused: bool,
    /// Messages that are refused at the end are tried again by hand, and not only after their pause.
    pub(crate) retries: bool,
    /// The gateway's own wall clock steps.
    pub(crate) clock: Option<Clock>,
    /// The line to the hub is encrypted.
    pub(crate) tls: bool,
    /// By route, the limit of its alarm.
    pub(crate) alarms: Vec<Option<f64>>,
    pub(crate) rng: Rng,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // Neighbouring seeds have nothing in common.
        rng.below(1);
        let mut configuration = Configuration::of(&mut rng);
        let windows: Vec<usize> = (0..rng.between(1, 3)).map(|_| *rng.pick(&[1, 5, 20, 50])).collect();
        let mut steps = steps(&mut rng, windows.len());
        // Dimensions have a source of their own: with them or without them a seed has the same configuration and traffic.
        let mut more = Rng::new(!seed);
        if configuration.limits.is_empty() && more.percent(12) {
            configuration.limits = "max_age = \"2s\"";
            configuration
                .routes
                .iter_mut()
                .for_each(|route| (route.filter, route.withholds) = (Filter::None, false));
            steps.insert(more.below(steps.len() as u64 + 1) as usize, Step::Expire);
        }
        let is_refused = more.percent(35);
        if is_refused {
            refusals::insert(&mut more, &mut steps, !configuration.limits.is_empty());
        }
        let clock = more.percent(35).then(|| clocks::insert(&mut more, &mut steps));
        let mut configurations = vec![configuration.clone()];
        for step in &steps {
            match step {
                Step::KillAndChange | Step::StopAndChange => configuration.change(&mut rng),
                Step::Kill | Step::Stop => {}
                _ => continue,
            }
            configurations.push(configuration.clone());
        }
        // What is held at the end is let go of by routes without a filter.
        configuration
            .routes
            .iter_mut()
            .for_each(|route| (route.filter, route.withholds) = (Filter::None, false));
        let filtered = Configuration::is_filtered(configuration.limits);
        let behind_broker = rng.percent(30);
        let alarms =
            stages::insert(&mut more, &mut configurations, filtered, !behind_broker && clock.is_none());
        let retries = is_refused && more.percent(50);
        // No certificate is valid in 1970.
        let tls = clock.is_none() && more.percent(25);
        if filtered && more.percent(35) {
            windows::insert(&mut more, &mut configurations);
        }
        configurations.push(configuration);
        Self { behind_broker, configurations, windows, steps, is_refused, retries, clock, tls, alarms, rng }
    }

    /// A full queue takes nothing, so that sensors keep what they have.
    pub(crate) fn rejects(&self) -> bool {
        self.configurations[0].limits.contains("reject")
    }

    /// That of the route in all runs but the last.
    pub(crate) fn window(&self, route: usize) -> Option<Window> {
        match self.configurations[0].routes[route].filter {
            Filter::Window(window) => Some(window),
            _ => None,
        }
    }

    /// By route, how often its topic is denied.
    pub(crate) fn refusals(&self) -> Vec<usize> {
        let of = |route: usize| {
            let is_denied = |step: &&Step| {
                [Step::Refuse(Refusal::All), Step::Refuse(Refusal::Topic(route))].contains(*step)
            };
            self.steps.iter().filter(is_denied).count()
        };
        (0..self.configurations[0].routes.len()).map(of).collect()
    }

    /// Knowledge of the judge about a run.
    pub(crate) fn run(&self, number: usize) -> Run {
        let routes = &self.configurations[number.min(self.configurations.len() - 1)].routes;
        let killed = self.steps.iter().filter(is_end).nth(number);
        Run {
            filters: routes.iter().map(|route| route.filter).collect(),
            withholds: routes.iter().map(|route| route.withholds).collect(),
            killed: matches!(killed, Some(Step::Kill | Step::KillAndChange)),
            offsets_ms: (0, 0),
        }
    }
}

fn is_end(step: &&Step) -> bool {
    matches!(step, Step::Kill | Step::KillAndChange | Step::Stop | Step::StopAndChange)
}

impl Configuration {
    fn of(rng: &mut Rng) -> Self {
        let overflows = rng.percent(12);
        let lanes =
            *rng.pick(&["[\"alarm\", \"telemetry\"]", "[\"a\", \"telemetry\", \"b\"]", "[\"telemetry\"]"]);
        let routes = (0..rng.between(1, 3)).map(|_| Route::of(rng, lanes, !overflows)).collect();
        let limits = match overflows {
            true => *rng.pick(&[
                "max_messages = 60\non_full = \"drop-oldest\"",
                "max_messages = 60\non_full = \"drop-newest\"",
            ]),
            false if rng.percent(15) => "max_messages = 80\non_full = \"reject\"",
            false => "",
        };
        Self { routes, fifo: rng.percent(70), lanes, ack_within: *rng.pick(&ACK_WITHIN), limits }
    }

    fn change(&mut self, rng: &mut Rng) {
        let route = rng.below(self.routes.len() as u64) as usize;
        let filtered = Self::is_filtered(self.limits);
        let other = Route::of(rng, self.lanes, filtered);
        let route = &mut self.routes[route];
        match rng.below(4) {
            0 => route.plus = !route.plus,
            1 => (route.filter, route.withholds) = (other.filter, other.withholds),
            2 => route.format = other.format,
            _ => (route.batch_max, route.batch_age) = (other.batch_max, other.batch_age),
        }
    }

    /// Readings that an overflowing queue gives up are not what a filter stands for.
    fn is_filtered(limits: &str) -> bool {
        limits.is_empty() || limits.contains("reject")
    }

    /// Text of `gateway.toml`, without its addresses.
    pub(crate) fn text(&self) -> String {
        let Self { fifo, lanes, ack_within, limits, .. } = self;
        let order = if *fifo { "fifo" } else { "live-first" };
        let mut text = format!(
            "[queue]\norder = \"{order}\"\nlanes = {lanes}\nack_within = \"{ack_within}\"\nmax_bytes = \"8MiB\"\n{limits}\n"
        );
        for (n, route) in self.routes.iter().enumerate() {
            text.push_str(&route.text(n));
        }
        text + "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n"
    }
}

impl Route {
    fn of(rng: &mut Rng, lanes: &'static str, filtered: bool) -> Self {
        let names: Vec<&str> = lanes.split('"').skip(1).step_by(2).collect();
        let filter = match rng.below(if filtered { 6 } else { 1 }) {
            0 | 1 => Filter::None,
            2 => Filter::OnChange,
            3 => Filter::Deadband(*rng.pick(&[0.0, 0.5, 2.0])),
            4 => Filter::Door(*rng.pick(&[0.2, 1.0])),
            _ => Filter::Segment(*rng.pick(&[0.2, 1.0])),
        };
        Self {
            format: *rng.pick(&FORMATS),
            filter,
            withholds: filter.holds() && rng.percent(50),
            lane: *rng.pick(&names),
            batch_max: *rng.pick(&BATCH_MAX),
            batch_age: *rng.pick(&BATCH_AGE),
            plus: rng.percent(50),
            alarm: None,
        }
    }

    fn text(&self, n: usize) -> String {
        let Self { format, lane, batch_max, batch_age, .. } = self;
        let wild = if self.plus { '+' } else { '#' };
        let filter = match self.filter {
            Filter::None => String::new(),
            _ => format!("filter = \"rules-{n}.toml\"\n"),
        };
        let hold_max = if let Filter::Window(_) = self.filter { windows::HOLD_MAX } else { "500ms" };
        let held = match self.withholds {
            true => format!("ack_held = \"when_emitted\"\nhold_max = \"{hold_max}\"\n"),
            false => String::new(),
        };
        format!(
            "[[route]]\nmatch = \"plant/r{n}/{wild}\"\nto = \"out/r{n}\"\nlane = \"{lane}\"\n{format}\n\
             batch_max = {batch_max}\nbatch_age = \"{batch_age}\"\n{filter}{held}"
        )
    }

    /// Text of the route's rules.
    pub(crate) fn rules(&self) -> String {
        let stage = match self.filter {
            Filter::None => return String::new(),
            Filter::OnChange => "on_change = {}".to_owned(),
            Filter::Deadband(tolerance) => format!("deadband = {{ absolute = {tolerance:?} }}"),
            Filter::Door(deviation) => format!("swinging_door = {{ deviation = {deviation:?} }}"),
            Filter::Segment(deviation) => format!("segment_hold = {{ deviation = {deviation:?} }}"),
            Filter::Sample(n) => format!("sample = {{ every_n = {n} }}"),
            Filter::Window(window) => windows::stage(window),
        };
        let alarm = self.alarm.map_or(String::new(), |limit| {
            format!("[[alarm]]\nmatch = \"#\"\nhigh = {{ limit = {limit:?} }}\n")
        });
        format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }} ]\n{alarm}")
    }
}

fn steps(rng: &mut Rng, publishers: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut ends, mut is_cut, mut swallowed, mut crashed) = (0, false, false, false);
    for _ in 0..rng.between(8, 16) {
        let send = Step::Send(rng.below(publishers as u64) as usize, *rng.pick(&[1, 5, 20, 60, 120]));
        let step = match rng.below(100) {
            0..=44 => send,
            45..=54 => Step::Rest(rng.between(20, 300)),
            55..=64 => {
                if is_cut {
                    Step::Mend
                } else {
                    Step::Cut
                }
            }
            65..=67 if !swallowed => Step::Swallow,
            68..=71 => Step::Save,
            72..=77 if !crashed => Step::HubCrash,
            78..=84 if ends < 3 => Step::Kill,
            85..=90 if ends < 3 => Step::Stop,
            91..=93 if ends < 3 => Step::KillAndChange,
            94..=97 if ends < 3 => Step::StopAndChange,
            _ => send,
        };
        is_cut = (is_cut || step == Step::Cut) && step != Step::Mend;
        (swallowed, crashed) = (swallowed || step == Step::Swallow, crashed || step == Step::HubCrash);
        ends += usize::from(is_end(&&step));
        steps.push(step);
        if matches!(step, Step::Cut | Step::Kill | Step::Stop | Step::HubCrash) {
            steps.push(send);
        }
    }
    steps
}
