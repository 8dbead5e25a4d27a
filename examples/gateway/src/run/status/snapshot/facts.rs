//! Facts of the configuration that a status shows: lanes, routes, limits, names. Pure.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Config, Format, OnFull};
use crate::run::configuration::refusal::Refusal;
use crate::run::sensors::refused_topic::RefusedTopic;
use crate::run::status::flash_wear::FlashWear;

/// Most routes that are listed; further ones are only counted.
const ROUTES_MAX: usize = 32;

/// One route of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct RouteFacts {
    pub(crate) filter: String,
    pub(crate) to: String,
    pub(crate) format: &'static str,
    pub(crate) lane: String,
}

/// Parts of a status that come from the configuration, with the last troubles that other parts report.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) gateway: String,
    /// First digits of the configuration's hash.
    pub(crate) config: String,
    /// Client identifier of the gateway at the hub.
    pub(crate) client_id: String,
    /// State directory, for the commands that the status recommends.
    pub(crate) state: String,
    pub(crate) lanes: Vec<String>,
    pub(crate) on_full: OnFull,
    pub(crate) max_age_s: Option<u64>,
    pub(crate) routes: Vec<RouteFacts>,
    pub(crate) more_routes: u64,
    /// Topics at the hub that the rules for commands name for answers.
    pub(crate) answers: Vec<String>,
    /// Set for each raw route, of all routes: those that are not listed have figures, too.
    pub(crate) raw_routes: Vec<bool>,
    /// Reason why a changed configuration is not in force. `None`: it is.
    pub(crate) refused: Option<Refusal>,
    /// Reason why changed files of users, rights or the listener's certificate are not in force. `None`: they are.
    pub(crate) refused_access: Option<String>,
    /// Reason why the listener has no certificate to show, so that nobody is served with TLS, since the start. `None`: it has one, or needs none.
    pub(crate) without_tls: Option<String>,
    /// Reason why the last write of local clients' sessions and retained messages failed. `None`: it did not.
    pub(crate) unsaved_clients: Option<String>,
    /// Reason why the configuration in force is not kept for a start whose files have mistakes. `None`: it is, or its proof is not over.
    pub(crate) unkept_configuration: Option<String>,
    /// Wear of the flash below the state directory. `None`: the kernel does not tell it.
    pub(crate) flash: Option<FlashWear>,
    /// Last topic to which a local client was not allowed to publish. `None`: there is none since the rights changed.
    pub(crate) refused_topic: Option<RefusedTopic>,
}

impl Facts {
    pub(crate) fn of(config: &Config, state: &Path) -> Self {
        let lane = |lane: u8| config.queue.lanes.get(usize::from(lane)).cloned().unwrap_or_default();
        let routes = config.routes.iter().take(ROUTES_MAX).map(|route| RouteFacts {
            filter: route.filter_topic.clone(),
            to: route.to.clone(),
            format: route.format.name(),
            lane: lane(route.lane),
        });
        Self {
            gateway: config.id.clone(),
            config: config.digest.clone(),
            client_id: config.hub.client_id.clone(),
            state: state.display().to_string(),
            lanes: config.queue.lanes.clone(),
            on_full: config.queue.on_full,
            max_age_s: config.queue.max_age.map(|age| age.as_secs()),
            routes: routes.collect(),
            more_routes: config.routes.len().saturating_sub(ROUTES_MAX) as u64,
            answers: config.commands.iter().map(|rule| rule.answers.clone()).collect(),
            raw_routes: config.routes.iter().map(|route| route.format == Format::Raw).collect(),
            refused: None,
            refused_access: None,
            without_tls: None,
            unsaved_clients: None,
            unkept_configuration: None,
            flash: None,
            refused_topic: None,
        }
    }

    /// Returns whether the disk does not take what the next start needs of clients or of the configuration.
    pub(crate) fn is_unkept(&self) -> bool {
        self.unsaved_clients.is_some() || self.unkept_configuration.is_some()
    }

    /// Returns whether any changed file is not in force, or the listener's certificate, which may be none of a change, cannot be used.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some() || self.refused_access.is_some() || self.without_tls.is_some()
    }
}

/// Facts of the configuration in force. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct CurrentFacts(Arc<Mutex<Arc<Facts>>>);

impl CurrentFacts {
    pub(crate) fn new(facts: Facts) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(facts))))
    }

    pub(crate) fn get(&self) -> Arc<Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces all facts except [`Facts::refused_access`], [`Facts::without_tls`], [`Facts::unsaved_clients`], [`Facts::flash`] and
    /// [`Facts::refused_topic`], which do not come from the configuration.
    pub(crate) fn set(&self, facts: Facts) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Facts { refused_access, without_tls, unsaved_clients, refused_topic, flash, .. } =
            Facts::clone(&current);
        *current =
            Arc::new(Facts { refused_access, without_tls, unsaved_clients, refused_topic, flash, ..facts });
    }

    pub(crate) fn set_refused_topic(&self, topic: Option<RefusedTopic>) {
        self.replace(|facts| &mut facts.refused_topic, topic);
    }

    pub(crate) fn set_flash(&self, wear: Option<FlashWear>) {
        self.replace(|facts| &mut facts.flash, wear);
    }

    pub(crate) fn set_unsaved_clients(&self, reason: Option<String>) {
        self.replace(|facts| &mut facts.unsaved_clients, reason);
    }

    pub(crate) fn set_refused_access(&self, reason: Option<String>) {
        self.replace(|facts| &mut facts.refused_access, reason);
    }

    pub(crate) fn set_without_tls(&self, reason: Option<String>) {
        self.replace(|facts| &mut facts.without_tls, reason);
    }

    /// Replaces one fact. Readers keep the facts that they have.
    fn replace<T>(&self, fact: impl FnOnce(&mut Facts) -> &mut T, value: T) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *fact(Arc::make_mut(&mut current)) = value;
    }
}
