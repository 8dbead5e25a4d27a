//! Ends of commands to the gateway's own loops and alarms, which obey or refuse at once. Pure.

use super::super::answer::{Outcome, Reason};
use super::super::command::{Phase, Ticket};
use super::Dispatcher;

impl Dispatcher {
    /// Takes the end of a command to a loop or an alarm. `None`: it may have been obeyed, and nobody knows.
    pub(in super::super) fn decided(
        &mut self,
        now_ms: u64,
        wall_ms: i64,
        ticket: Ticket,
        end: Option<Result<(), String>>,
    ) {
        let given = self.commands.get(&ticket).filter(|command| matches!(command.phase, Phase::Given { .. }));
        let Some(topic) = given.and_then(|command| Some(command.publish.as_ref()?.topic.clone())) else {
            return;
        };
        let outcome = match end {
            Some(Ok(())) => Outcome::Obeyed,
            Some(Err(why)) => Outcome::NotObeyed(why),
            None => Outcome::Refused(Reason::NotAcknowledged),
        };
        self.end(ticket, outcome, wall_ms);
        self.give_next(&topic, now_ms, wall_ms);
    }
}
