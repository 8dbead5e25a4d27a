//! Commands of the hub that the gateway obeys itself: those to its control loops, and to the alarms of its filters.

use control_loop::mqtt::HubCommands;
use edge_bridge::net::Clock;
use edge_bridge::net::intake::Intake;
use edge_bridge::wire::Publish;
use tokio::sync::oneshot;

use crate::run::local_control::control::Control;
use crate::run::sensors::held_receipts::Tell;
use crate::run::sensors::ingest::{ALARM_LANE, GatewayIngest};

/// The ways to loops and alarms.
pub(in crate::run) struct LoopsAndAlarms {
    /// `None`: the gateway has no loops.
    loops: Option<HubCommands>,
    ingest: GatewayIngest,
}

impl LoopsAndAlarms {
    pub(in crate::run) fn new(control: Option<&Control>, ingest: &GatewayIngest) -> Self {
        Self { loops: control.map(Control::hub_commands), ingest: ingest.clone() }
    }

    /// Gives a command to the loop or alarm that it is for; a loop obeys it within `left_ms`, which the message has in whole seconds only. The receiver
    /// gets the reason if it was refused; without an answer it may have been obeyed. `None`: it is for local clients.
    pub(super) fn give(
        &self,
        publish: &Publish,
        left_ms: u64,
        intake: &Intake,
        clock: Clock,
    ) -> Option<oneshot::Receiver<Result<(), String>>> {
        let topic = publish.topic.as_str();
        let (reply, end) = oneshot::channel();
        if let Some(loops) = self.loops.as_ref().filter(|loops| loops.are_for(topic)) {
            loops.give(topic, &publish.payload, left_ms, reply);
        } else if self.ingest.is_alarm_command(topic) {
            match intake.try_reserve().filter(|_| intake.has_room_in(Some(ALARM_LANE))) {
                Some(permit) => {
                    let (rows, link) = self.ingest.hub_alarm_command(clock.now(), publish, reply);
                    permit.put(rows, link.then(Tell::Nobody));
                }
                // Its receiver ends with the gateway.
                None => drop(reply.send(Err("the queue has no room for it now".to_owned()))),
            }
        } else {
            return None;
        }
        Some(end)
    }
}
