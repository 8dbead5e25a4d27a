//! Connection of control loops with MQTT, without a socket: a listener passes its messages to [`LoopInputs`], at QoS 0 and before any message is
//! queued; the messages of [`LoopMessages`] go to local subscribers, and only then to a queue.

#![allow(clippy::disallowed_methods, reason = "a shell: one task that beats")]

mod command_answers;
mod command_dispatcher;
mod command_parser;
mod command_rules;
mod hub_commands;
mod inputs;
mod loop_messages;
mod messages;
mod names;
mod payload;
mod per_command_source;
mod publishers;
mod suspension;

pub use command_answers::{Refusals, Reply, Told, check_age};
pub use command_parser::alarm_command;
pub use command_rules::{Budget, CommandRules, TakenBack};
pub use hub_commands::HubCommands;
pub use inputs::{Departures, LoopInputs, Taken};
pub use loop_messages::{Said, alarm_event};
pub use messages::LoopMessages;
pub use names::{COMMAND, LoopNames, event_topics, own_topics};
pub use per_command_source::PerGiver;

use crate::runner::{LoopStats, Ports, overdue_ns};
use crate::{Clock, Loops};
use command_dispatcher::Dispatcher;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use suspension::Pulse;

/// Creates the MQTT ends of running loops. Call it within a tokio runtime.
///
/// # Errors
/// The runtime does not accept the socket that wakes it.
pub fn connect(
    loops: &Loops,
    ports: Ports,
    clock: Clock,
    stats: Arc<LoopStats>,
) -> io::Result<(LoopInputs, LoopMessages)> {
    let take_commands = loops.commands.are_on;
    let names = Arc::new(LoopNames { take_commands, ..LoopNames::of(&loops.controller) });
    let Ports { inputs, outputs, events, commands, answers, wake } = ports;
    let safe: Vec<f64> = loops.controller.outputs().iter().map(|output| output.safe()).collect();
    let (dispatcher, notes) =
        Dispatcher::new(loops.commands.clone(), commands, loops.controller.period_ns(), stats.clone());
    let messages = LoopMessages::new(
        names.clone(),
        outputs.into_iter().zip(safe).collect(),
        (events, answers, notes),
        wake,
        clock,
        overdue_ns(&loops.controller),
        stats.clone(),
    )?;
    let pulse = Arc::new(Pulse::new(loops.controller.watchdog_ns(), clock.now_ns()));
    tokio::spawn(beat(Arc::downgrade(&pulse), clock));
    Ok((LoopInputs::new(loops, names, inputs, dispatcher, pulse, clock, stats), messages))
}

/// Beats periodically as long as the inputs exist.
async fn beat(pulse: Weak<Pulse>, clock: Clock) {
    while let Some(pulse) = pulse.upgrade() {
        pulse.beat(clock.now_ns());
        let period = Duration::from_nanos(pulse.period_ns());
        drop(pulse);
        tokio::time::sleep(period).await;
    }
}
