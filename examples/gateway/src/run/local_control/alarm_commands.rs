//! Commands of local clients to the filters' alarms: starts the parts around [`dispatcher`].

#![allow(clippy::disallowed_methods, reason = "a shell: two tasks")]

pub(in crate::run) mod dispatcher;

use std::path::Path;
use std::sync::Arc;

use control_loop::mqtt::Said;
use edge_bridge::net::Clock;
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::LocalPublisher;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::config::AlarmCommands;
use crate::run::sensors::ingest::GatewayIngest;

use super::alarm_file::{self, KeptAlarms};
use super::to_hub::{ToHub, say};
use dispatcher::AlarmDispatcher;

/// Most messages that wait to be published, of some hundred bytes each; further changes of alarms wait in the dispatcher.
const SAID_MAX: usize = 256;

/// Returns the alarm states that the file must contain before the mark of a clean stop is removed. Without alarm commands none is kept.
pub(in crate::run) fn to_keep(ingest: &GatewayIngest) -> Vec<KeptAlarms> {
    if ingest.obeys() { ingest.alarms_to_keep().0 } else { Vec::new() }
}

/// Updates the file to these alarm states.
pub(in crate::run) fn follow(state: &Path, kept: &[KeptAlarms]) {
    if let Err(error) = alarm_file::write(state, kept) {
        tracing::warn!(%error, "the file of acknowledged and shelved alarms is not of this run: a kill may bring old ones back");
    }
}

/// Channels between the ingest's dispatcher, the task that publishes its messages and the alarm file.
#[derive(Debug)]
pub(in crate::run) struct Alarms {
    said: mpsc::Receiver<Said>,
    to_say: mpsc::Sender<Said>,
    to_keep: Arc<Notify>,
}

impl Alarms {
    /// Opens the dispatcher. To be called before the first message: without it commands go by the routes.
    pub(in crate::run) fn open(
        commands: Option<&AlarmCommands>,
        ingest: &GatewayIngest,
        intake: &Intake,
    ) -> Option<Self> {
        let (to_say, said) = mpsc::channel(SAID_MAX);
        let to_keep = Arc::<Notify>::default();
        let (dispatcher, intake) = (AlarmDispatcher::new(commands?.clone(), to_say.clone()), intake.clone());
        ingest.obey(dispatcher, to_keep.clone(), move |lane| intake.has_room_in(Some(lane)));
        Some(Self { said, to_say, to_keep })
    }

    /// Publishes answers and events of alarms, and keeps alarm states on disk. Without a queue every command is refused, with an answer to its
    /// sender.
    pub(in crate::run) fn run(
        self,
        state: &Path,
        clock: Clock,
        local: LocalPublisher,
        ingest: GatewayIngest,
        intake: Intake,
    ) -> [JoinHandle<()>; 2] {
        let Self { mut said, to_say, to_keep } = self;
        let keeping = alarm_file::keep(state.to_owned(), clock, ingest.clone(), to_keep, to_say);
        let unqueued = ingest.answers_without_room().clone();
        let mut to_hub = ToHub { ingest, intake, clock, unqueued };
        let saying = async move {
            while let Some(one) = said.recv().await {
                say(&[one], &local, &mut to_hub).await;
                to_hub.ingest.tell_waiting_alarms();
            }
        };
        [tokio::spawn(keeping), tokio::spawn(saying)]
    }
}
