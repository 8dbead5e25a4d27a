//! Between control loops and MQTT, without a socket: a listener shows its messages to [`LoopInputs`], at QoS 0 and before
//! anything is queued; what [`LoopMessages`] gives goes to local subscribers, and only then to a queue.

mod command;
mod command_rules;
mod desk;
mod inputs;
mod messages;
mod names;
mod payload;
mod publishers;

pub use command_rules::CommandRules;
pub use inputs::{Departures, LoopInputs, Taken};
pub use messages::{LoopMessages, Said};
pub use names::{LoopNames, own_topics};

use crate::runner::{LoopStats, Ports};
use crate::{Clock, Loops};
use desk::Desk;
use std::io;
use std::sync::Arc;

/// The MQTT ends of running loops. To be called within a tokio runtime.
///
/// # Errors
/// If the runtime does not take the socket that wakes it.
pub fn connect(
    loops: &Loops,
    ports: Ports,
    clock: Clock,
    stats: Arc<LoopStats>,
) -> io::Result<(LoopInputs, LoopMessages)> {
    let names = Arc::new(LoopNames::of(&loops.controller));
    let Ports { inputs, outputs, events, commands, answers, wake } = ports;
    let safe: Vec<f64> = loops.controller.outputs().iter().map(|output| output.safe()).collect();
    let (desk, notes) = Desk::new(loops.commands.clone(), commands, stats.clone());
    let messages = LoopMessages::new(
        names.clone(),
        outputs.into_iter().zip(safe).collect(),
        (events, answers, notes),
        wake,
        clock,
        stats.clone(),
    )?;
    Ok((LoopInputs::new(loops, names, inputs, desk, clock, stats), messages))
}
