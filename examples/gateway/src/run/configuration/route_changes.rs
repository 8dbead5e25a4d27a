//! Distribution of changed routes to every part that uses routes, while messages come in and go out.

#![allow(
    clippy::disallowed_methods,
    reason = "a shell: it follows a channel for as long as the gateway runs"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_bridge::Link;
use edge_bridge::net::Clock;
use edge_bridge::net::intake::{Intake, Permit};
use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::mule::export_head::CurrentHead;
use crate::run::hub::compact::table_topics;
use crate::run::hub::gap_reports::GapReports;
use crate::run::hub::pack::NextRoutes;
use crate::run::hub::table_subscriber::TableSubscriber;
use crate::run::sensors::held_receipts::{Link as HeldLink, Tell};
use crate::run::sensors::ingest::GatewayIngest;
use crate::run::status::monitor::Monitor;
use crate::run::status::snapshot::{CurrentFacts, Facts};

use super::refusal::Refusal;

/// Configuration in force.
#[derive(Clone, Debug)]
pub(crate) struct InForce {
    pub(crate) config: Arc<Config>,
    /// Reason why the files' present configuration is not in force. `None`: it is.
    pub(crate) refused: Option<Refusal>,
    /// Reason why this configuration is not kept for a start whose files have mistakes. `None`: it is, or its proof is not over.
    pub(crate) unkept: Option<String>,
}

impl InForce {
    /// Creates the state of a configuration that is in force, and of which the disk has not refused anything.
    pub(crate) fn new(config: Arc<Config>, refused: Option<Refusal>) -> Self {
        Self { config, refused, unkept: None }
    }

    /// Returns the facts of this configuration for the status.
    pub(crate) fn facts(&self, state: &Path) -> Facts {
        self.facts_of(&self.config, state)
    }

    /// Returns the same for a `config` that stayed in force in its place.
    fn facts_of(&self, config: &Config, state: &Path) -> Facts {
        let (refused, unkept_configuration) = (self.refused.clone(), self.unkept.clone());
        Facts { refused, unkept_configuration, ..Facts::of(config, state) }
    }
}

/// Configurations until the next restart, those after the first differing from it only in their routes, and what became of each.
#[derive(Debug)]
pub(crate) struct Configurations {
    pub(crate) in_force: watch::Receiver<InForce>,
    /// Sender of what became of each; it is gone when the gateway has ended.
    pub(super) applied: watch::Sender<Applied>,
}

impl Configurations {
    pub(super) fn new(in_force: watch::Receiver<InForce>) -> Self {
        let config = in_force.borrow().config.clone();
        let applied = Applied { in_force: config.clone(), config, outcome: Ok(()) };
        Self { in_force, applied: watch::Sender::new(applied) }
    }
}

/// Configuration that was applied last. One that is replaced before its turn never is.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) config: Arc<Config>,
    /// Configuration that is in force since: the same one, or the one before it.
    pub(super) in_force: Arc<Config>,
    /// Reason why the routes stayed as they were, in words.
    pub(super) outcome: Result<(), String>,
}

impl Applied {
    /// Records what became of a configuration.
    pub(super) fn note(&mut self, config: Arc<Config>, outcome: Result<(), String>) {
        if outcome.is_ok() {
            self.in_force = config.clone();
        }
        (self.config, self.outcome) = (config, outcome);
    }

    /// Returns the configuration to which the next change is one: the one that was accepted last, or the one in force if that could not be applied.
    pub(super) fn last_of(&self, accepted: &Arc<Config>) -> Arc<Config> {
        let has_failed = self.outcome.is_err() && Arc::ptr_eq(accepted, &self.config);
        if has_failed { self.in_force.clone() } else { accepted.clone() }
    }
}

/// Handles to the parts that use routes.
pub(in crate::run) struct RouteChanges {
    ingest: GatewayIngest,
    intake: Intake,
    clock: Clock,
    facts: CurrentFacts,
    link: Link,
    next_routes: NextRoutes,
    mule: CurrentHead,
    /// Reports to the hub of what was lost; `None`: none is sent.
    gap_reports: Option<GapReports>,
    /// Sender of session table topics that have to be subscribed to.
    more_tables: mpsc::UnboundedSender<String>,
    /// Topics of session tables that are subscribed to already.
    tables: Vec<String>,
}

impl RouteChanges {
    /// Creates the distribution, and the receiver of session table topics to subscribe to in addition to `tables`.
    pub(in crate::run) fn new(
        monitor: &Monitor,
        (next_routes, mule): (NextRoutes, CurrentHead),
        table_subscriber: &TableSubscriber,
    ) -> (Self, mpsc::UnboundedReceiver<String>) {
        let (more_tables, more) = mpsc::unbounded_channel();
        let changes = Self {
            ingest: monitor.ingest.clone(),
            intake: monitor.intake.clone(),
            clock: monitor.clock,
            facts: monitor.facts.clone(),
            link: monitor.link.clone(),
            next_routes,
            mule,
            gap_reports: monitor.gap_reports.clone(),
            more_tables,
            tables: table_subscriber.topics.clone(),
        };
        (changes, more)
    }

    /// Applies the configurations until the gateway stops. `state` is the state directory, which the status names.
    pub(in crate::run) async fn follow(mut self, configurations: Configurations, state: PathBuf) {
        let Configurations { mut in_force, applied } = configurations;
        while in_force.changed().await.is_ok() {
            let (intake, facts) = (self.intake.clone(), self.facts.clone());
            let before = applied.borrow().in_force.clone();
            let told = |next: &InForce| tell(&facts, &state, &before, next);
            let (next, room) = newest(&mut in_force, || intake.reserve(), told).await;
            let outcome = match room {
                Room::NotNeeded => Ok(()),
                Room::Closed => Err("the queue is closed".to_owned()),
                Room::Reserved(permit) => self.apply(&next, permit, &state),
            };
            applied.send_modify(|applied| applied.note(next.config, outcome));
        }
    }

    fn apply(&mut self, next: &InForce, permit: Permit<'_>, state: &Path) -> Result<(), String> {
        let config = &next.config;
        let put = |rows, depends: HeldLink| permit.put(rows, depends.then(Tell::Nobody));
        if let Err(error) = self.ingest.change_routes(self.clock.now(), &config.routes, put) {
            tracing::error!(error, "the routes stay as they were");
            return Err(error);
        }
        self.facts.set(next.facts(state));
        self.tell_pack(config);
        tracing::info!(
            config = config.digest,
            routes = config.routes.len(),
            "the routes of the changed configuration are in force"
        );
        Ok(())
    }

    fn tell_pack(&mut self, config: &Config) {
        for (_, tables) in table_topics(&config.routes, &config.id) {
            if !self.tables.contains(&tables) {
                // Nobody listens when the link has ended.
                let _ = self.more_tables.send(tables.clone());
                self.tables.push(tables);
            }
        }
        self.mule.follow(&config.routes);
        self.gap_reports.iter().for_each(|reports| reports.follow(config));
        self.next_routes.set(config.routes.clone());
        self.link.rows_pushed();
    }
}

/// Shows a configuration in the status as far as it is in force before it has room: one with other routes than `before` is not, and the figures of
/// routes would stand beside the names of others. Returns whether it has other routes.
fn tell(facts: &CurrentFacts, state: &Path, before: &Config, next: &InForce) -> bool {
    let waits = next.config.routes != before.routes;
    facts.set(next.facts_of(if waits { before } else { &next.config }, state));
    waits
}

/// Room for the rows that stages let go when their routes change.
#[derive(Debug, PartialEq)]
enum Room<P> {
    /// The routes stay.
    NotNeeded,
    Reserved(P),
    /// The queue takes no rows any more.
    Closed,
}

/// Returns the newest configuration once there is room for its change: a row that has no place must not have left a filter. One that comes while the
/// queue takes nothing replaces the one that waits, which is never in force; one that takes the change back needs no room. `told` is shown each and
/// returns whether it changes routes.
async fn newest<P, F: Future<Output = Option<P>>>(
    in_force: &mut watch::Receiver<InForce>,
    reserve: impl Fn() -> F,
    told: impl Fn(&InForce) -> bool,
) -> (InForce, Room<P>) {
    loop {
        let newest = in_force.borrow_and_update().clone();
        if !told(&newest) {
            return (newest, Room::NotNeeded);
        }
        let room = tokio::select! {
            biased;
            room = reserve() => room.map_or(Room::Closed, Room::Reserved),
            Ok(()) = in_force.changed() => continue,
        };
        // A sender that is gone has none that is newer.
        if !in_force.has_changed().unwrap_or(false) {
            return (newest, room);
        }
    }
}

#[cfg(test)]
mod tests;
