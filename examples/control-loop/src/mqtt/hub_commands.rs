//! Way in of commands of the hub, beside that of local clients: same commands and limits, a permission and an answer of its own.

use super::command_answers::Reply;
use super::command_dispatcher::Dispatcher;
use super::command_parser;
use super::names::{COMMAND, LoopNames};
use crate::Clock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hands commands of the hub to the loops; clones share the way. For any thread.
#[derive(Clone, Debug)]
pub struct HubCommands {
    names: Arc<LoopNames>,
    dispatcher: Arc<Mutex<Dispatcher>>,
    clock: Clock,
}

impl HubCommands {
    pub(super) fn new(names: Arc<LoopNames>, dispatcher: Arc<Mutex<Dispatcher>>, clock: Clock) -> Self {
        HubCommands { names, dispatcher, clock }
    }

    /// Returns whether a command on this local topic is for an output, an interlock or an alarm of the loops.
    #[must_use]
    pub fn are_for(&self, topic: &str) -> bool {
        topic.strip_prefix(COMMAND).is_some_and(|topic| command_parser::has_receiver(&self.names, topic))
    }

    /// Gives a command to the loops, which obey it within `left_ms`, and at most a second and a scan's period from now, or refuse it.
    pub fn give(&self, topic: &str, payload: &[u8], left_ms: u64, reply: Reply) {
        let topic = topic.strip_prefix(COMMAND).unwrap_or(topic);
        lock(&self.dispatcher).take_of_hub(
            &self.names,
            (topic, payload),
            left_ms,
            reply,
            self.clock.now_ns(),
        );
    }
}

pub(super) fn lock(dispatcher: &Mutex<Dispatcher>) -> MutexGuard<'_, Dispatcher> {
    dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
}
