//! Control loops of a configuration file: the tables of `edge_filter::control::config`, and `[fields]`.

use crate::mqtt::{CommandRules, LoopNames};
use edge_filter::alarm::AlarmLevel;
use edge_filter::control::Controller;
use edge_filter::{ConfigError, ConfigFile};
use std::collections::BTreeMap;
use std::time::Duration;

/// Checked control loops, ready to run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loops {
    /// Controller with all loops, alarms and interlocks.
    pub controller: Controller,
    /// JSON field with the value in an input's payload, if it is not `value`.
    pub fields: BTreeMap<String, String>,
    /// Rules for operators' commands.
    pub commands: CommandRules,
}

impl Loops {
    /// Reads a file's text: `[control]`, `[[input]]`, `[[output]]`, `[[interlock]]`, `[[alarm]]`, `[fields]` and `[commands]`, with periods of
    /// at most `period_max`.
    ///
    /// # Errors
    /// All mistakes, each with its line, its key and the allowed value. In a file that is not TOML, the first syntax error.
    pub fn parse(text: &str, period_max: Duration) -> Result<Loops, ConfigError> {
        let mut file = ConfigFile::parse(text)?;
        let loops = Self::take(&mut file);
        let period = Duration::from_nanos(loops.controller.period_ns());
        if period > period_max {
            let (found, max) = (period.as_millis(), period_max.as_millis());
            let problem = format_args!("`period_ms` must be at most {max}, found {found}");
            file.wrong(&["control", "period_ms"], problem);
        }
        file.finish(Some(loops))
    }

    /// Returns warnings about valid settings.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let of_outputs =
            self.lasting_deviations().chain(self.hands_missing()).chain(self.integrals_stopped());
        let of_alarms = self.alarms_alike().chain(self.shelves_unbounded());
        self.idle_limits()
            .into_iter()
            .chain(self.warning())
            .chain(of_outputs)
            .chain(self.inputs_stale())
            .chain(of_alarms)
    }

    /// Warning about `[commands]` while commands are off. No mistake: whoever turns them off in a hurry changes one key, and must not be left with the
    /// configuration before, under which they are on.
    fn idle_limits(&self) -> Option<String> {
        let told = "commands: has no effect without [control] commands = true: no command is obeyed";
        self.commands.are_idle.then(|| told.to_owned())
    }

    /// Warnings about PID loops that each scan stops which is a moment late.
    fn integrals_stopped(&self) -> impl Iterator<Item = String> {
        let period_s = self.controller.period_ns() as f64 / 1e9;
        let outputs = self.controller.outputs().iter();
        outputs.filter_map(move |output| {
            let dt_max_s = output.dt_max_s().filter(|dt_max_s| *dt_max_s <= period_s)?;
            let name = output.name();
            Some(format!(
                "[[output]] \"{name}\": dt_max_s = {dt_max_s} is not above the period, {period_s} s: a scan that is a moment late \
                 integrates nothing; a few periods let it go on"
            ))
        })
    }

    /// Warnings about inputs whose values may be stale at each scan.
    fn inputs_stale(&self) -> impl Iterator<Item = String> {
        let (inputs, period_ms) = (self.controller.inputs(), self.controller.period_ns() / 1_000_000);
        (0..inputs.len()).filter_map(move |input| {
            let stale_after_ms = inputs.stale_after_ms(input)?;
            let name = inputs.name(input)?;
            let is_short = stale_after_ms <= i64::try_from(period_ms).unwrap_or(i64::MAX);
            is_short.then(|| {
                format!(
                    "[[input]] \"{name}\": stale_after_ms = {stale_after_ms} is not above period_ms = {period_ms}: \
                     a value may be stale before a scan reads it"
                )
            })
        })
    }

    /// Warnings about alarms of an input that nobody can tell apart.
    fn alarms_alike(&self) -> impl Iterator<Item = String> {
        let mut counts: BTreeMap<_, [u32; AlarmLevel::ALL.len()]> = BTreeMap::new();
        for (input, alarm) in self.controller.limit_alarms() {
            let of_input = counts.entry(input).or_default();
            for (count, level) in of_input.iter_mut().zip(AlarmLevel::ALL) {
                *count += u32::from(alarm.has_limit(level));
            }
        }
        let by_level = counts
            .into_iter()
            .flat_map(|(input, counts)| counts.into_iter().zip(AlarmLevel::ALL).map(move |of| (input, of)));
        by_level.filter(|(_, (count, _))| *count > 1).filter_map(|(input, (_, level))| {
            let (name, level) = (self.controller.inputs().name(input)?, level.as_str());
            Some(format!(
                "[[alarm]] \"{name}\": more than one has a limit {level}: their events look alike, and a command is for all of them"
            ))
        })
    }

    /// Warnings about alarms that a command may hide for any time.
    fn shelves_unbounded(&self) -> impl Iterator<Item = String> {
        let inputs = self.controller.inputs();
        let alarms = self.controller.limit_alarms().filter(|_| self.commands.are_on);
        let alarms = alarms.filter(|(_, alarm)| alarm.longest_shelve_ms().is_none());
        alarms.filter_map(move |(input, _)| {
            Some(format!(
                "[[alarm]] \"{}\" may be shelved for any time: give it max_shelve_ms",
                inputs.name(input)?
            ))
        })
    }

    /// Warnings about PID loops without an integral term, which leave a lasting deviation.
    fn lasting_deviations(&self) -> impl Iterator<Item = String> {
        let outputs = self.controller.outputs().iter().filter(|output| output.lacks_integral());
        outputs.map(|output| {
            let (name, safe) = (output.name(), output.safe());
            format!(
                "[[output]] \"{name}\": pid without an integral: it does not remove a lasting deviation, and starts from \
                 safe = {safe}, from where it only follows changes; ti_s (form = \"parallel\": ki) gives it one"
            )
        })
    }

    /// Warnings about PID loops that wait for a hand where no client may set the output.
    fn hands_missing(&self) -> impl Iterator<Item = String> {
        let outputs = self.controller.outputs().iter().filter(|output| output.waits_for_a_hand());
        outputs.filter(|output| !self.commands.can_be_set(output.name())).map(|output| {
            let (why, mend) = match self.commands.are_on {
                true => ("[commands.manual] does not name it", "name it there"),
                false => ("commands are off", "[control] commands = true, with it in [commands.manual]"),
            };
            format!(
                "[[output]] \"{}\": bad_input = \"manual\" waits for a hand after each start too, and {why}: \
                 it stays in its safe state; {mend}, or choose safe or hold",
                output.name()
            )
        })
    }

    /// Warning about interlocks that no client may reset; `None` if there are none.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let by_hand = self.controller.reset_by_hand();
        let stuck: Vec<&str> = by_hand.filter(|name| !self.commands.can_be_reset(name)).collect();
        let names = stuck.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let (why, mend) = match self.commands.are_on {
            true => ("[commands] lets nobody do that", "name a client in [commands.reset]"),
            false => ("commands are off", "[control] commands = true"),
        };
        let told = format!("reset by hand, and {why}: tripped from the start on, with nobody to reset them");
        (!stuck.is_empty()).then(|| format!("[[interlock]] {names}: {told}; {mend}, or reset = \"auto\""))
    }

    /// Returns in words what any client of the inputs' listener may do.
    #[must_use]
    pub fn open_to_anyone(&self) -> &'static str {
        match self.commands.are_on {
            true => {
                "may publish inputs, and command at cmd/# within [commands]: client identifiers are claims"
            }
            false => "may publish inputs",
        }
    }

    /// Iterates over the names of the inputs with an alarm.
    pub fn alarm_inputs(&self) -> impl Iterator<Item = &str> {
        let inputs = self.controller.inputs();
        self.controller.alarms().filter_map(|input| inputs.name(input))
    }

    /// Reads the tables of the loops, the last of a file. Mistakes are recorded in `file`.
    pub(crate) fn take(file: &mut ConfigFile<'_>) -> Loops {
        let fields: BTreeMap<String, String> = file.take("fields").unwrap_or_default();
        let are_on: Option<bool> = file.take_key("control", "commands");
        let has_limits = file.has("commands");
        let mut commands: CommandRules = file.take("commands").unwrap_or_default();
        commands.are_on = are_on.unwrap_or_default();
        let controller = file.controller();
        for name in fields.keys() {
            file.refers(&["fields", name], "input", name);
        }
        LoopNames::check(file);
        let may_be_on = commands.are_on || file.is_wrong(&["control", "commands"]);
        commands.are_idle = has_limits && !may_be_on;
        // Whoever turns them off in a hurry is stopped by nothing that stands there.
        if may_be_on {
            commands.check(file, &controller);
        }
        Loops { controller, fields, commands }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[[input]]\nname = \"a\"\nstale_after_ms = 100\n[[output]]\nname = \"x\"\nvalue = 1.0\n";

    #[test]
    fn an_interlock_that_nobody_can_reset_is_told() {
        let interlock =
            "[[interlock]]\nname = \"stop\"\noutputs = [\"x\"]\ntrip_when = { input = \"a\", is = false }\n";
        let warning = |text: String| Loops::parse(&text, Duration::MAX).unwrap().warning();
        let told = warning(format!("{GOOD}{interlock}"));
        assert!(told.is_some_and(|told| {
            told.starts_with("[[interlock]] \"stop\": reset by hand, and commands are off")
        }));
        assert_eq!(warning(format!("[control]\ncommands = true\n{GOOD}{interlock}")), None);
        assert_eq!(warning(format!("{GOOD}{interlock}reset = \"auto\"\n")), None);
        assert_eq!(warning(GOOD.to_owned()), None);
    }

    /// Whoever shuts the door in a hurry changes the key that is named for it, and nothing else.
    #[test]
    fn commands_that_are_turned_off_alone_are_off_and_their_limits_are_told() {
        let limits = "[commands]\nclients = [\"hmi\"]\n";
        let parse = |control: &str| Loops::parse(&format!("{control}{limits}{GOOD}"), Duration::MAX).unwrap();
        for control in ["", "[control]\ncommands = false\n"] {
            let loops = parse(control);
            assert!(!loops.commands.are_on(), "{control}");
            let told = loops.warnings().collect::<Vec<_>>();
            let expected = "commands: has no effect without [control] commands = true";
            assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        }
        let on = parse("[control]\ncommands = true\n");
        assert!(on.commands.are_on() && on.warnings().next().is_none());
        assert!(!Loops::parse(GOOD, Duration::MAX).unwrap().commands.are_idle);
    }

    #[test]
    fn a_pid_without_an_integral_is_told() {
        let warnings = |gains: &str| {
            let pid = format!("safe = 5.0\npid = {{ input = \"a\", setpoint = 60.0, {gains} }}\n");
            let loops = Loops::parse(&GOOD.replace("value = 1.0\n", &pid), Duration::MAX).unwrap();
            loops.warnings().collect::<Vec<_>>()
        };
        for gains in ["k = 2.0", "form = \"parallel\", kp = 2.0", "k = 2.0, ti_s = inf"] {
            let told = warnings(gains);
            let expected = "[[output]] \"x\": pid without an integral: it does not remove a lasting deviation, and starts from safe = 5";
            assert!(told.len() == 1 && told[0].starts_with(expected), "{gains}: {told:?}");
        }
        for gains in ["k = 2.0, ti_s = 9.0", "form = \"parallel\", kp = 2.0, ki = 0.1"] {
            assert!(warnings(gains).is_empty(), "{gains}");
        }
    }

    #[test]
    fn a_loop_that_waits_for_a_hand_that_nobody_may_lend_is_told() {
        let pid = "pid = { input = \"a\", setpoint = 60.0, k = 2.0, ti_s = 9.0, bad_input = \"manual\", limits = [0, 100] }\n";
        let rules = GOOD.replace("value = 1.0\n", pid);
        let warnings = |text: &str| Loops::parse(text, Duration::MAX).unwrap().warnings().collect::<Vec<_>>();
        let on = format!("[control]\ncommands = true\n{rules}");
        for (text, why) in [(&rules, "commands are off"), (&on, "[commands.manual] does not name it")] {
            let told = warnings(text);
            let expected =
                "[[output]] \"x\": bad_input = \"manual\" waits for a hand after each start too, and ";
            assert!(told.len() == 1 && told[0].starts_with(&format!("{expected}{why}: ")), "{told:?}");
        }
        assert!(warnings(&format!("{on}[commands.manual]\nx = [0, 100]\n")).is_empty());
        assert!(warnings(&rules.replace("\"manual\"", "\"hold\"")).is_empty());
    }

    fn warnings(text: &str) -> Vec<String> {
        Loops::parse(text, Duration::MAX).unwrap().warnings().collect()
    }

    #[test]
    fn a_pid_that_each_late_scan_stops_is_told() {
        let rules = |dt_max_s: &str| {
            let pid = format!("pid = {{ input = \"a\", setpoint = 60.0, k = 2.0, ti_s = 9.0{dt_max_s} }}\n");
            format!("[control]\nperiod_ms = 50\n{}", GOOD.replace("value = 1.0\n", &pid))
        };
        let told = warnings(&rules(", dt_max_s = 0.05"));
        let expected = "[[output]] \"x\": dt_max_s = 0.05 is not above the period, 0.05 s: ";
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        assert!(warnings(&rules(", dt_max_s = 0.15")).is_empty() && warnings(&rules("")).is_empty());
    }

    #[test]
    fn an_input_that_may_be_stale_at_each_scan_is_told() {
        let rules = |period_ms: u32| format!("[control]\nperiod_ms = {period_ms}\n{GOOD}");
        let told = warnings(&rules(100));
        let expected = "[[input]] \"a\": stale_after_ms = 100 is not above period_ms = 100: ";
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        assert!(warnings(&rules(50)).is_empty());
    }

    #[test]
    fn alarms_that_look_alike_or_can_be_hidden_for_ever_are_told() {
        let alarm = |limit: &str| format!("[[alarm]]\nmatch = \"a\"\n{limit}\n");
        let (hot, hotter) = (alarm("high = { limit = 70 }"), alarm("high = { limit = 80 }"));
        let told = warnings(&format!("{GOOD}{hot}{hotter}"));
        let expected = "[[alarm]] \"a\": more than one has a limit HI: ";
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        assert!(warnings(&format!("{GOOD}{hot}{}", alarm("hihi = { limit = 80 }"))).is_empty());
        let on = format!("[control]\ncommands = true\n{GOOD}");
        let unbounded = "[[alarm]] \"a\" may be shelved for any time: give it max_shelve_ms";
        assert_eq!(warnings(&format!("{on}{hot}")), [unbounded]);
        let bounded = alarm("max_shelve_ms = 1000\nhigh = { limit = 70 }");
        assert!(warnings(&format!("{on}{bounded}")).is_empty());
    }

    #[test]
    fn names_that_no_topic_can_have_are_refused_with_their_place() {
        assert!(Loops::parse(GOOD, Duration::MAX).is_ok());
        for (from, to, expected) in [
            ("\"a\"", "\"a/#\"", "line 2: input 1: name: \"a/#\" is a part of a topic"),
            ("\"x\"", "\"\"", "output 1: name: \"\" is a part of a topic"),
            ("\"a\"", "\"out/x\"", "input 1: name: out/… is for"),
            ("[[input]]", "[[input]", "line 1: "),
            ("stale_after_ms", "stale_ms", "unknown field `stale_ms`"),
            (
                "[[input]]",
                "[control]\ncommands = 1\n[[input]]",
                "line 2: control.commands: invalid type: integer `1`",
            ),
        ] {
            let error = Loops::parse(&GOOD.replacen(from, to, 1), Duration::MAX).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        }
    }
}
