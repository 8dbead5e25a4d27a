//! Clients over a restart of the server.

use tokio::time::Instant;

use super::super::client_saving::{ClientSaving, Store, load, set_aside};
use super::super::sink::Sink;
use super::Owner;
use crate::ingest::Ingest;
use crate::listener::Event;

impl<I: Ingest, S: Sink> Owner<I, S> {
    /// Takes back what an earlier server saved, before anybody connects, and saves to the store from now on. What cannot be read is set aside.
    pub(in crate::net::server) async fn restore(&mut self, store: Store) {
        let (store, loaded) = load(store).await;
        let restored = match loaded {
            Ok(None) => Ok(None),
            Ok(Some(saved)) => match self.listener.restore(self.now(), &saved) {
                Ok(restored) => Ok(Some(restored)),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        let store = match restored {
            Ok(restored) => {
                if let Some(restored) = restored {
                    self.tell(&Event::ClientsRestored(restored));
                }
                store
            }
            Err(error) => {
                self.tell(&Event::ClientsNotRestored { error });
                self.set_aside(store).await
            }
        };
        if let Some(store) = store {
            self.saving = ClientSaving::new(store, self.listener.changes());
        }
    }

    async fn set_aside(&mut self, store: Option<Store>) -> Option<Store> {
        match set_aside(store?).await {
            Ok(store) => Some(store),
            Err(error) => {
                self.tell(&Event::ClientsNotSaved {
                    error: format!("what cannot be read stays in the way: {error}"),
                });
                None
            }
        }
    }

    /// Saves clients in the background, if it is time.
    pub(super) fn save_if_due(&mut self) {
        let changes = self.listener.changes();
        if self.saving.due(changes).is_some_and(|due| due <= Instant::now()) {
            let saved = self.listener.save(self.now());
            if let Some(count) = self.saving.begin(changes, saved) {
                self.tell(&Event::ClientsLeftOut { count });
            }
        }
    }

    pub(super) fn tell_not_saved(&mut self, error: &std::io::Error) {
        self.tell(&Event::ClientsNotSaved { error: error.to_string() });
    }

    /// Saves clients for the last time: all have gone.
    pub(super) async fn save_last(&mut self) {
        let saved = self.listener.save(self.now());
        if let Some(error) = self.saving.finish(saved).await {
            self.tell_not_saved(&error);
        }
    }
}
