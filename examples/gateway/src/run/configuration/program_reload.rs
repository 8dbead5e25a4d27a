//! Reload by an embedding program: its new settings are decided on as changed files of the operator are, but nothing is ever started anew, because
//! the program's own parts cannot be moved into another start.

#![allow(clippy::disallowed_methods, reason = "a shell: it waits for the queue")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::config::Config;
use crate::run::error::RunError;
use crate::run::queue::open_queue::{OpenQueue, Waiting};
use crate::run::replaced_parts::{OwnRoute, Parts};

use super::decision::{Decision, decide};
use super::route_changes::{Applied, Configurations, InForce};

/// Longest wait for changed routes to be in force, which they are at once if the queue takes rows; the first attempt to open it has this time, too.
const WITHIN: Duration = Duration::from_secs(5);

/// Outcome of a [`reload`](crate::Gateway::reload) that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`Pending` routes are not in force yet"]
pub enum ReloadOutcome {
    /// The settings say what is in force, and nothing else waits: a change that was pending is taken back.
    Unchanged,
    /// The changed routes are in force.
    InForce,
    /// The queue is not open, or has taken nothing for five seconds. The changed routes come into force by themselves as soon as it takes rows, and
    /// until then the former ones decide. Another reload replaces them; one with the same settings waits for them again.
    Pending,
}

/// Configurations of a gateway inside another program.
pub(crate) struct ProgramReload {
    /// The configuration that was accepted last.
    accepted: watch::Sender<InForce>,
    applied: watch::Receiver<Applied>,
    /// Queue, set once it is open.
    queue: OpenQueue,
    own_routes: Vec<OwnRoute>,
    /// Lock that has one reload after the other.
    turn: Mutex<()>,
}

impl ProgramReload {
    /// Prepares reloads of a gateway that starts with this configuration and these parts, and makes them follow.
    pub(crate) fn new(config: Arc<Config>, parts: &mut Parts) -> Self {
        let own_routes = parts.own_routes(&config.routes);
        let accepted = watch::Sender::new(InForce::new(config, None));
        let configurations = Configurations::new(accepted.subscribe());
        let (applied, queue) = (configurations.applied.subscribe(), parts.open_queue.clone());
        parts.configurations = Some(configurations);
        Self { accepted, applied, queue, own_routes, turn: Mutex::default() }
    }

    /// Applies a configuration that was checked. `own_part`: name of the first part of the program's own that came with it. A caller that goes away
    /// once it is decided changes nothing about the outcome; before, nothing is applied.
    ///
    /// # Errors
    /// Only a start can apply it, a start would give up what waits, or the gateway has ended.
    pub(crate) async fn apply(
        &self,
        next: Config,
        own_part: Option<String>,
    ) -> Result<ReloadOutcome, RunError> {
        let _turn = self.turn.lock().await;
        if self.applied.has_changed().is_err() {
            return Err(ended());
        }
        let (before, in_force) = self.before();
        let waiting = self.queue.waiting().await;
        self.may_apply((&before, &next), own_part, &waiting)?;
        let next = Arc::new(next);
        let is_in_force = in_force.routes == next.routes;
        self.accepted.send_replace(InForce::new(next.clone(), None));
        if is_in_force && before.routes == next.routes {
            return Ok(ReloadOutcome::Unchanged);
        }
        let mut applied = self.applied.clone();
        let is_its = |applied: &Applied| Arc::ptr_eq(&applied.config, &next);
        match timeout(WITHIN, applied.wait_for(|applied| is_its(applied))).await {
            Ok(Ok(applied)) => match &applied.outcome {
                // It takes back what waited for the queue, and was never in force.
                Ok(()) if is_in_force => Ok(ReloadOutcome::Unchanged),
                Ok(()) => Ok(ReloadOutcome::InForce),
                Err(error) => Err(RunError::Failed(error.clone())),
            },
            Ok(Err(_)) => Err(ended()),
            Err(_) => Ok(ReloadOutcome::Pending),
        }
    }

    /// Returns the configuration that was accepted last and the one in force. They are the same one after a failure, also of a reload whose caller
    /// had gone.
    fn before(&self) -> (Arc<Config>, Arc<Config>) {
        let (accepted, applied) = (self.accepted.borrow(), self.applied.borrow());
        (applied.last_of(&accepted.config), applied.in_force.clone())
    }

    /// Checks that the change is one of routes alone, without parts of the program's own.
    ///
    /// # Errors
    /// Only a start can apply it, or a start would give up what waits.
    fn may_apply(
        &self,
        (before, next): (&Config, &Config),
        own_part: Option<String>,
        waiting: &Waiting,
    ) -> Result<(), RunError> {
        let needs_restart = |why| Err(RunError::NeedsRestart(why));
        if let Some(part) = own_part {
            return needs_restart(format!(
                "{part}: parts of the program's own are taken at a start only; without them in the new settings those of the start stay"
            ));
        }
        match decide(before, next, true, waiting) {
            Decision::Nothing | Decision::Routes => {}
            Decision::StartAnew(tables) => {
                return needs_restart(format!("{}: read at a start only", tables.join(", ")));
            }
            Decision::Refused(why) => return needs_restart(why.to_string()),
            // Who restarts for it loses what a reload refuses to lose.
            Decision::MoreWaits { why, .. } => return Err(RunError::Failed(why)),
        }
        match self.own_routes.iter().find(|own| !next.routes.contains(&own.route)) {
            Some(OwnRoute { kind, route }) => needs_restart(format!(
                "route \"{}\": its {kind} is the program's own and stays with the route as it is; only a start can change or remove it",
                route.filter_topic
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ProgramReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramReload").finish_non_exhaustive()
    }
}

fn ended() -> RunError {
    RunError::Failed("the gateway has ended".to_owned())
}

#[cfg(test)]
mod tests;
