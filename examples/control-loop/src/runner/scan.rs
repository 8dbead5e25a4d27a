//! Control thread: sleep until the deadline, read inputs, decide, actuate, publish.

use super::answer::{self, ANSWER_WORDS};
use super::{COMMANDS_MAX, INPUT_WORDS, LoopStats, NUMBERED_WORDS, OUTPUT_WORDS, WAITED_NS_MAX, overdue_ns};
use crate::restart_memory::Mailbox;
use crate::{Actuate, Clock};
use edge_filter::Quality;
use edge_filter::control::handoff::{Reader, Receiver, Sender, Writer};
use edge_filter::control::{CommandError, ControlCommand, Controller, EVENT_WORDS, Schedule};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most commands per scan.
const COMMANDS_PER_SCAN: usize = 8;

pub(super) struct Scan {
    pub(super) controller: Controller,
    pub(super) clock: Clock,
    pub(super) inputs: Vec<Reader<INPUT_WORDS>>,
    pub(super) outputs: Vec<Writer<OUTPUT_WORDS>>,
    pub(super) events: Sender<EVENT_WORDS>,
    pub(super) commands: Receiver<NUMBERED_WORDS>,
    pub(super) answers: Sender<ANSWER_WORDS>,
    pub(super) wake: UnixStream,
    pub(super) wake_every: u64,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) stats: Arc<LoopStats>,
    /// Mailbox for state kept over a restart; with the number of the last change put there.
    pub(super) keep: Option<Mailbox>,
    pub(super) kept: u64,
}

impl Scan {
    pub(super) fn run(mut self, mut actuator: impl Actuate) {
        let mut schedule = Schedule::new(self.clock.now_ns(), self.controller.period_ns());
        let safe: Vec<f64> = self.controller.outputs().iter().map(|output| output.safe()).collect();
        let mut values = safe.clone();
        let (overdue_ns, mut stood_still, mut left_out) = (overdue_ns(&self.controller), false, false);
        while !self.stop.load(Ordering::Relaxed) {
            // A stop unparks it before.
            self.clock.park_until(schedule.deadline_ns());
            let now_ns = self.clock.now_ns();
            let Some(wake) = schedule.wake(now_ns) else { continue };
            self.stats.woke(&wake);
            stood_still |= wake.late_ns > WAITED_NS_MAX;
            let is_tripped = self.stats.is_tripped();
            if self.stats.is_overdue(now_ns, overdue_ns) && !(is_tripped && left_out) {
                // The watchdog stood still too, and must see that nothing was scanned: outputs are not taken up as if nothing had been. What it
                // shows may be of a pause before.
                left_out = true;
                actuator.apply(&safe);
                self.publish(&safe, self.stats.scans());
                self.stats.left_out();
                self.wake();
                continue;
            }
            left_out = false;
            if is_tripped && self.stats.is_overdue(now_ns, self.controller.watchdog_ns()) {
                // The watchdog held the outputs meanwhile: nothing is made up for.
                self.controller.stood_still();
            }
            let happened = self.scan(std::mem::take(&mut stood_still));
            for (value, output) in values.iter_mut().zip(self.controller.outputs()) {
                *value = output.value();
            }
            actuator.apply(&values);
            // The sign of life comes after the actuators: one that hangs is a loop that does not run.
            let number = self.stats.scanned(now_ns);
            self.publish(&values, number);
            if happened || number.is_multiple_of(self.wake_every) {
                self.wake();
            }
            self.keep();
        }
        actuator.apply(&safe);
        self.publish(&safe, self.stats.scans());
        self.wake();
        if let Some(mailbox) = &self.keep {
            // The actuators are at their safe states, from which the next start goes on, however soon it comes.
            self.controller.stood_still();
            mailbox.leave(&self.controller);
        }
        self.stats.ended();
    }

    fn keep(&mut self) {
        let changes = self.controller.changes();
        if let Some(mailbox) = &self.keep
            && changes != self.kept
            && mailbox.offer(&self.controller)
        {
            self.kept = changes;
        }
    }

    /// Writes the outputs into the cells that other threads read.
    fn publish(&mut self, values: &[f64], scan: u64) {
        for (port, value) in self.outputs.iter_mut().zip(values) {
            port.write([value.to_bits(), scan]);
        }
    }

    fn wake(&mut self) {
        // A full socket means that the reader has not yet come to read: it will find everything.
        let _ = self.wake.write(&[1]);
    }

    /// Performs a scan. Returns whether anything happened that has to be published. `stood_still`: the loop was suspended, so no waiting command
    /// is obeyed.
    fn scan(&mut self, stood_still: bool) -> bool {
        let Scan { controller, clock, inputs, events, commands, answers, stats, .. } = self;
        for (number, port) in inputs.iter().enumerate() {
            // A write that does not end leaves the value there was, which gets older.
            if let Some([value, quality, at_ns]) = port.read() {
                let quality = u32::try_from(quality).map_or(Quality::BAD, Quality::from);
                controller.set_input(number, f64::from_bits(value), quality, at_ns);
            }
        }
        // Only now: a value that came since the wake-up is none of the future, which would count as stale.
        let now_ns = clock.now_ns();
        let mut happened = false;
        let mut tell = |event: edge_filter::control::ControlEvent| {
            happened = true;
            if !events.send(event.to_words()) {
                stats.event_lost();
            }
        };
        let mut answered = false;
        for _ in 0..if stood_still { COMMANDS_MAX } else { COMMANDS_PER_SCAN } {
            let Some([number, head, value, by_ns]) = commands.receive() else { break };
            let command = ControlCommand::from_words([head, value]).ok_or(CommandError::Unknown);
            let end = if stood_still || now_ns > by_ns {
                (answer::WAITED, 0)
            } else {
                answer::words(command.and_then(|command| controller.command(command, now_ns, &mut tell)))
            };
            // There is room for more answers than commands.
            answered |= answers.send([number, end.0, end.1]);
        }
        controller.scan(now_ns, &mut tell);
        happened || answered
    }
}

#[cfg(test)]
mod tests;
