//! Control thread and its watchdog.
//!
//! The control thread waits for no lock: inputs, outputs, events and commands cross in atomics ([`edge_filter::control::handoff`]), and the other
//! threads are woken by a byte in a socket pair, which is never waited for. A thread that blocks, in the queue, in the network, or in the middle
//! of a handoff, does not delay the next output.

mod answer;
mod scan;
mod stats;
mod watchdog_thread;

pub(crate) use answer::{STOOD_STILL, reason};
pub use stats::LoopStats;

use crate::restart_memory::Mailbox;
use crate::{Actuate, Clock};
use edge_filter::Quality;
use edge_filter::control::handoff::{self, Reader, Receiver, Sender, Writer};
use edge_filter::control::{COMMAND_WORDS, ControlCommand, ControlEvent, Controller, EVENT_WORDS, Watchdog};
use std::borrow::Cow;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use answer::ANSWER_WORDS;

/// Most events that wait for the network thread.
const EVENTS_MAX: usize = 1024;
/// Most commands that wait for the next scan.
const COMMANDS_MAX: usize = 64;
/// Longest time in nanoseconds for which a command may have waited while the process or the loop was suspended. The sender of an older one may
/// have acted otherwise meanwhile; shorter pauses occur on a busy machine.
pub(crate) const WAITED_NS_MAX: u64 = 1_000_000_000;

/// Time beyond the watchdog's until the outputs are safe, in nanoseconds: two threads' scheduling delays on a busy machine.
const STOP_MORE_NS: u64 = 500_000_000;
/// Period of the checks whether a thread has ended, in nanoseconds.
const LOOK_NS: u64 = 1_000_000;

/// Words of an input: value, quality, time.
pub(crate) const INPUT_WORDS: usize = 3;
/// Words of a numbered command: its number, then the command.
const NUMBERED_WORDS: usize = COMMAND_WORDS + 2;
/// Words of an output: value, and the number of the scan.
pub(crate) const OUTPUT_WORDS: usize = 2;

/// Control thread and watchdog. Dropping this value stops them, with the outputs in their safe states.
#[derive(Debug)]
pub struct Runner {
    stop: Arc<AtomicBool>,
    stats: Arc<LoopStats>,
    /// Control thread, then watchdog.
    threads: Vec<JoinHandle<()>>,
    clock: Clock,
    /// Nanoseconds until the watchdog has the outputs of a control thread that does not respond.
    stop_within_ns: u64,
}

/// Ports of the control thread, for the threads that communicate.
#[derive(Debug)]
pub struct Ports {
    /// Entries of the inputs, in the controller's order.
    pub inputs: Vec<InputPort>,
    /// Readers of the outputs, in the controller's order.
    pub outputs: Vec<Reader<OUTPUT_WORDS>>,
    /// Events of the loops.
    pub events: Events,
    /// Commands to the loops.
    pub commands: Commands,
    /// Answers to these commands.
    pub answers: Answers,
    /// Socket on which a byte comes when there is something to read.
    pub wake: UnixStream,
}

/// Entry of one input's values.
#[derive(Debug)]
pub struct InputPort(Writer<INPUT_WORDS>);

impl InputPort {
    /// Sets a new value. Never waits.
    pub fn set(&mut self, value: f64, quality: Quality, at_ns: u64) {
        self.0.write([value.to_bits(), u64::from(u32::from(quality)), at_ns]);
    }
}

/// Events of the control thread, in order.
#[derive(Debug)]
pub struct Events(Receiver<EVENT_WORDS>);

impl Events {
    /// Takes the oldest event.
    pub fn take(&mut self) -> Option<ControlEvent> {
        ControlEvent::from_words(self.0.receive()?)
    }
}

/// Answers of the control thread to commands, in order.
#[derive(Debug)]
pub struct Answers(Receiver<ANSWER_WORDS>);

impl Answers {
    /// Takes the oldest answer: the command's number, and the reason if it was refused.
    pub fn take(&mut self) -> Option<(u64, Option<Cow<'static, str>>)> {
        self.0.receive().map(|[number, end, detail]| (number, reason(end, detail)))
    }
}

/// Commands to the control thread.
#[derive(Debug)]
pub struct Commands(pub(crate) Sender<NUMBERED_WORDS>);

impl Commands {
    /// Sends a command, which is refused once it is later than `by_ns`. Returns whether there was room. Its end is an [answer](Answers) with this
    /// number.
    pub fn send(&mut self, number: u64, command: ControlCommand, by_ns: u64) -> bool {
        let [head, value] = command.to_words();
        self.0.send([number, head, value, by_ns])
    }

    /// Returns whether there is room for a command.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.has_room()
    }
}

impl Runner {
    /// Starts both threads. `actuator` is driven by the control thread, `guard` by the watchdog: two handles on the same actuators. Wakes the
    /// reader of the ports every `wake_every` scans, or rounds of the watchdog while that holds the outputs, and at every event. State to be kept over a restart is put into `keep`, of a
    /// [`Keeper`](crate::restart_memory::Keeper) for this controller.
    ///
    /// The first scan comes before any input can be set, so that nothing starts by itself after a restart: see [`Controller::restore`].
    ///
    /// # Errors
    /// If the system gives no thread or no socket pair.
    pub fn start(
        mut controller: Controller,
        clock: Clock,
        actuator: impl Actuate,
        guard: impl Actuate,
        wake_every: u64,
        keep: Option<Mailbox>,
    ) -> io::Result<(Runner, Ports)> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (inputs, input_ends) = ports(controller.inputs().len());
        let (output_ends, outputs) = ports(controller.outputs().len());
        let (mut event_end, events) = handoff::ring(EVENTS_MAX);
        let (commands, command_end) = handoff::ring(COMMANDS_MAX);
        let (answer_end, answers) = handoff::ring(EVENTS_MAX);
        let (stop, stats) = (Arc::<AtomicBool>::default(), Arc::<LoopStats>::default());
        controller.scan(clock.now_ns(), &mut |event| {
            if !event_end.send(event.to_words()) {
                stats.event_lost();
            }
        });
        let stop_within_ns = controller.watchdog_ns().saturating_add(STOP_MORE_NS);
        let safe: Vec<f64> = controller.outputs().iter().map(|output| output.safe()).collect();
        let watch = watchdog_thread::Guard {
            watchdog: Watchdog::new(controller.watchdog_ns()),
            period_ns: controller.period_ns(),
            wake_every: wake_every.max(1),
            safe,
            clock,
            wake: wake.try_clone()?,
            stop: stop.clone(),
            stats: stats.clone(),
        };
        let scan = scan::Scan {
            clock,
            inputs: input_ends,
            outputs: output_ends,
            events: event_end,
            commands: command_end,
            answers: answer_end,
            wake,
            wake_every: wake_every.max(1),
            stop: stop.clone(),
            stats: stats.clone(),
            keep,
            kept: 0,
            controller,
        };
        // Whoever is started is stopped, also when the second one cannot be started.
        let mut runner = Runner { stop, stats, threads: Vec::new(), clock, stop_within_ns };
        runner.spawn("control", move || scan.run(actuator))?;
        runner.spawn("watchdog", move || watch.run(guard))?;
        let inputs = inputs.into_iter().map(InputPort).collect();
        let (events, commands, answers) = (Events(events), Commands(commands), Answers(answers));
        let ports = Ports { inputs, outputs, events, commands, answers, wake: woken };
        Ok((runner, ports))
    }

    fn spawn(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    /// Returns the statistics of the loop so far; for any thread, without a lock.
    #[must_use]
    pub fn stats(&self) -> Arc<LoopStats> {
        self.stats.clone()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let until_ns = self.clock.now_ns().saturating_add(self.stop_within_ns);
        // They may have parked for a period that is longer than anybody waits for the stop.
        self.threads.iter().for_each(|thread| thread.thread().unpark());
        let Some(watchdog) = self.threads.pop() else { return };
        // Its end says that the outputs are safe. Actuators that hang for it too cannot be waited for.
        while !watchdog.is_finished() && self.clock.now_ns() < until_ns {
            if self.stats.has_ended() {
                watchdog.thread().unpark();
            }
            self.clock.sleep_until(self.clock.now_ns().saturating_add(LOOK_NS));
        }
        if self.stats.has_ended() {
            // It has nothing left to do.
            self.threads.drain(..).for_each(|control| drop(control.join()));
        }
    }
}

/// Nanoseconds since the last scan after which a watchdog that runs has noticed that there is none: it looks once a period.
pub(crate) fn overdue_ns(controller: &Controller) -> u64 {
    controller.watchdog_ns().saturating_add(controller.period_ns())
}

fn ports<const N: usize>(count: usize) -> (Vec<Writer<N>>, Vec<Reader<N>>) {
    (0..count).map(|_| handoff::latest()).unzip()
}
