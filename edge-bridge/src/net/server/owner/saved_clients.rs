//! Saved clients: restores them at the start of a server and saves them while it runs.

use tokio::time::Instant;

use super::super::client_saving::{ClientSaving, Mark, Store, load, set_aside};
use super::Owner;
use crate::listener::Event;

impl Owner {
    /// Restores clients that an earlier server saved, before any client connects, and saves to the store from now on. A damaged state is set
    /// aside, and replaced soon by the whole records in it.
    pub(in crate::net::server) async fn restore(&mut self, store: Store) {
        // Wills may be due at once. Without a queue the ingest must not see them: no filter has the state of the last run yet.
        self.ask_for_room();
        let before = self.mark();
        let (store, loaded) = load(store).await;
        let Some(store) = store else {
            let error = loaded.err().map_or_else(String::new, |error| error.to_string());
            let error =
                format!("what was kept cannot be read in time, and so is not replaced either: {error}");
            self.tell(&Event::ClientsNotSaved { error });
            return;
        };
        let restored = match loaded {
            Ok(None) => Ok(None),
            Ok(Some(saved)) => match self.listener.restore(self.now(), &saved) {
                Ok(restored) => Ok(Some(restored)),
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        let has_unreleased = matches!(&restored, Ok(Some(restored)) if restored.unreleased > 0);
        let is_damaged = match restored {
            Ok(restored) => {
                let is_damaged = restored.as_ref().is_some_and(|restored| restored.damage.is_some());
                if let Some(restored) = restored {
                    self.tell(&Event::ClientsRestored(restored));
                }
                is_damaged
            }
            Err(error) => {
                self.tell(&Event::ClientsNotRestored { error });
                true
            }
        };
        if !is_damaged {
            // What expired meanwhile, and wills that were published, are changes of what is on disk.
            self.saving = ClientSaving::new(store, before);
        } else {
            self.set_aside(store, before).await;
        }
        if has_unreleased {
            // After a kill they would be of an earlier moment.
            self.save_and_wait().await;
        }
    }

    /// Returns the version of the present state.
    pub(super) fn mark(&self) -> Mark {
        let now = self.now();
        Mark {
            changes: self.listener.changes(),
            exchanges: self.listener.exchanges(),
            started_ms: now.wall_ms.saturating_sub_unsigned(now.up_ms),
        }
    }

    /// Sets aside what cannot be read, or not wholly, and saves from now on. Where that fails it is tried again before each write.
    async fn set_aside(&mut self, store: Store, before: Mark) {
        let (store, set) = set_aside(store).await;
        if let Err(error) = &set {
            let error = format!("what cannot be read stays in the way: {error}");
            self.tell(&Event::ClientsNotSaved { error });
        }
        self.saving = match store {
            Some(store) if set.is_ok() => ClientSaving::outdated(store, before),
            Some(store) => ClientSaving::blocked(store, before),
            None => ClientSaving::none(),
        };
    }

    /// Returns when to save clients; `None` while there is nothing new, or without a store (no clock is read then).
    pub(super) fn save_due(&mut self) -> Option<Instant> {
        if !self.saving.has_store() {
            return None;
        }
        let mark = self.mark();
        self.saving.due(mark)
    }

    /// Saves clients in the background, if a save is due.
    pub(super) fn save_if_due(&mut self) {
        if self.save_due().is_some_and(|due| due <= Instant::now()) {
            let (mark, saved) = (self.mark(), self.listener.save(self.now()));
            if let Some(count) = self.saving.begin(mark, saved) {
                self.tell(&Event::ClientsLeftOut { count });
            }
        }
    }

    pub(super) fn tell_not_saved(&mut self, error: &std::io::Error) {
        self.tell(&Event::ClientsNotSaved { error: error.to_string() });
    }

    /// Saves clients and waits for the disk: after every client has been disconnected, or before the first one connects.
    pub(super) async fn save_and_wait(&mut self) {
        let saved = self.listener.save(self.now());
        if self.saving.has_store()
            && let Some(count) = self.saving.news(saved.left_out)
        {
            self.tell(&Event::ClientsLeftOut { count });
        }
        if let Some(error) = self.saving.finish(saved).await {
            self.tell_not_saved(&error);
        }
    }
}
