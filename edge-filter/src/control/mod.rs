//! Control loops: inputs with an age, interlocks, control laws, outputs with a safe state, alarms; scanned at fixed times.
//!
//! The core has no thread, clock or I/O: [`Controller`] computes the outputs, [`Schedule`] the times of the scans,
//! [`Watchdog`] detects that scans have stopped. The application gives them a thread and passes values in and out
//! through [`handoff`], which never makes a thread wait for another. `examples/control-loop` is such an application.
//!
//! **Not a safety function**: see [`Interlock`](crate::interlock::Interlock).
//!
//! ```
//! # #[cfg(feature = "config")] {
//! use edge_filter::{Quality, control::Controller};
//!
//! let mut c = Controller::from_toml(r#"
//!     [[input]]
//!     name = "oven/temp"
//!     stale_after_ms = 500
//!     [[input]]
//!     name = "line/estop"
//!     stale_after_ms = 500
//!     [[output]]
//!     name = "oven/heater"
//!     pid = { input = "oven/temp", setpoint = 180.0, form = "isa", k = 2.0, ti_s = 120.0, limits = [0.0, 100.0] }
//!     [[interlock]]
//!     name = "stop"
//!     outputs = ["oven/heater"]
//!     reset = "auto"
//!     trip_when = { any = [ { input = "line/estop", is = false }, { input = "oven/temp", above = 220.0 } ] }
//! "#)?;
//! let (temp, estop) = (c.inputs().number("oven/temp").unwrap(), c.inputs().number("line/estop").unwrap());
//! c.set_input(temp, 25.0, Quality::GOOD, 0);
//! c.set_input(estop, 1.0, Quality::GOOD, 0);
//! c.scan(10_000_000, &mut |_| ());
//! assert_eq!(c.outputs()[0].value(), 100.0);
//! c.scan(600_000_000, &mut |_| ()); // nothing came for 500 ms
//! assert_eq!(c.outputs()[0].value(), 0.0);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alarms;
mod bit_packing;
mod builder;
mod command;
#[cfg(feature = "config")]
mod condition_config;
#[cfg(feature = "config")]
pub mod config;
mod event;
#[cfg(feature = "config")]
mod from_config;
pub mod handoff;
mod histogram;
mod inputs;
mod interlocks;
#[cfg(feature = "config")]
mod law_config;
mod output;
mod part_names;
mod restart;
mod schedule;
mod watchdog;

pub use builder::ControlBuilder;
pub use command::{COMMAND_WORDS, CommandError, ControlCommand};
pub use event::{Cause, ControlEvent, EVENT_WORDS};
pub use histogram::Histogram;
pub use inputs::{InputSpec, Inputs};
pub use output::{Law, LoopBadInput, Output, OutputSpec, Setpoint};
pub use restart::{CONTROL_SNAPSHOT_VERSION, ControlSnapshot};
pub use schedule::{Schedule, Wake};
pub use watchdog::{Watchdog, WatchdogChange};

use crate::Quality;
use crate::alarm::LimitAlarm;
use alarms::ControlAlarms;
use interlocks::Interlocks;

const NS_PER_MS: u64 = 1_000_000;

/// A set of control loops that are scanned together.
///
/// How to drive it:
///
/// 1. [`set_input`](Controller::set_input) as values arrive.
/// 2. [`scan`](Controller::scan) once per period, with a `now_ns` that was taken after the inputs were set: a value that is later than it counts as
///    stale. Then bring every one of [`outputs`](Controller::outputs) to its actuator, each time: an actuator that hears nothing should go to its
///    safe state by itself.
/// 3. Events go to the closure of `scan` and of [`command`](Controller::command).
///
/// `now_ns` comes from a clock that does not go back; nanoseconds since the Unix epoch as they were at the start plus the
/// monotonic time since then, so that alarms have times and ids that do not repeat over restarts.
///
/// At each scan: interlocks first, then each output by its law, then alarms. An output whose interlock is not energised, or
/// whose input is not good, is in its safe state at that scan: one period after the input went bad or stale. Nothing
/// allocates, and nothing waits.
#[derive(Clone, Debug)]
pub struct Controller {
    inputs: Inputs,
    outputs: Vec<Output>,
    interlocks: Interlocks,
    alarms: ControlAlarms,
    period_ns: u64,
    watchdog_ns: u64,
    last_ns: Option<u64>,
    changes: u64,
}

impl Controller {
    /// Begins to build loops from code.
    pub fn builder() -> ControlBuilder {
        ControlBuilder::default()
    }

    /// Returns the time between two scans in nanoseconds. Default 10 ms.
    #[must_use]
    pub fn period_ns(&self) -> u64 {
        self.period_ns
    }

    /// Returns the time in nanoseconds without a scan after which a [`Watchdog`] should act. Default: five periods.
    #[must_use]
    pub fn watchdog_ns(&self) -> u64 {
        self.watchdog_ns
    }

    /// Returns the inputs, by name and number.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Returns the outputs as the last scan left them; before the first scan they are in their safe states.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Returns the names of the interlocks.
    pub fn interlocks(&self) -> impl Iterator<Item = &str> {
        self.interlocks.names()
    }

    /// Returns the names of the interlocks whose trips stay until a command resets them.
    pub fn reset_by_hand(&self) -> impl Iterator<Item = &str> {
        self.interlocks.reset_by_hand()
    }

    /// Returns the numbers of the inputs that have an alarm, in the alarms' order.
    pub fn alarms(&self) -> impl Iterator<Item = usize> {
        self.alarms.inputs()
    }

    /// Returns the alarms, each with the number of its input, in their order.
    pub fn limit_alarms(&self) -> impl Iterator<Item = (usize, &LimitAlarm)> {
        self.alarms.alarms()
    }

    /// Stores a value that arrived for an input.
    pub fn set_input(&mut self, input: usize, value: f64, quality: impl Into<Quality>, at_ns: u64) {
        self.inputs.set(input, value, quality, ms(at_ns));
    }

    /// Runs one scan over all loops. `on` gets the events.
    pub fn scan(&mut self, now_ns: u64, on: &mut impl FnMut(ControlEvent)) {
        let now_ms = ms(now_ns);
        let dt_s = self.last_ns.map_or(0.0, |last| now_ns.saturating_sub(last) as f64 / 1e9);
        self.last_ns = Some(now_ns);
        let (changes, mut flips) = (&mut self.changes, 0);
        let on = &mut |event: ControlEvent| {
            *changes += u64::from(!matches!(event, ControlEvent::Output { .. }));
            on(event);
        };
        self.interlocks.scan(&self.inputs, &mut self.outputs, now_ms, on);
        for (number, output) in (0..).zip(&mut self.outputs) {
            let was_on = output.is_switched_on();
            output.scan(&self.inputs, now_ms, dt_s, number, on);
            flips += u64::from(output.is_switched_on() != was_on);
        }
        self.alarms.scan(&self.inputs, now_ms, on);
        self.changes += flips;
    }

    /// Makes up for no time since the last scan: a ramp or an integral goes on at the next scan from where it is. Call it before the first scan
    /// after a pause for which a [`Watchdog`] held the outputs. Nobody saw the inputs meanwhile: off-delays of active alarms, and the healthy time that
    /// an interlock waits for, begin anew.
    pub fn stood_still(&mut self) {
        self.last_ns = None;
        self.alarms.stood_still();
        self.interlocks.stood_still();
    }

    /// Returns a number that grows when there is something new to be saved for a restart: another state of an interlock, an alarm or a
    /// switch, whose least times count over a restart, or an obeyed command. Integrals do not count, because they move at each scan and saving them would wear out a disk.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Applies a command of an operator. It takes effect at the next scan, on alarms at once.
    ///
    /// # Errors
    /// If the part does not exist, or the command does not fit its state.
    pub fn command(
        &mut self,
        command: ControlCommand,
        now_ns: u64,
        on: &mut impl FnMut(ControlEvent),
    ) -> Result<(), CommandError> {
        let now_ms = ms(now_ns);
        let done = match command {
            ControlCommand::Reset { interlock } => self.interlocks.reset(interlock, &self.inputs, now_ms),
            ControlCommand::Bypass { interlock, for_ms } => self.interlocks.bypass(interlock, for_ms, now_ms),
            ControlCommand::EndBypass { interlock } => self.interlocks.end_bypass(interlock),
            ControlCommand::Mode { output, mode } => self.output(output)?.set_mode(mode),
            ControlCommand::Setpoint { output, value } => self.output(output)?.set_setpoint(value),
            ControlCommand::Alarm { alarm, level, command } => {
                self.alarms.command(alarm, level, command, now_ms, on)
            }
        };
        self.changes += u64::from(done.is_ok());
        done
    }

    fn output(&mut self, output: u16) -> Result<&mut Output, CommandError> {
        self.outputs.get_mut(usize::from(output)).ok_or(CommandError::Unknown)
    }
}

fn ms(ns: u64) -> i64 {
    i64::try_from(ns / NS_PER_MS).unwrap_or(i64::MAX)
}
