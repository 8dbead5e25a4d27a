//! Regular look at the name of the store's file. A file that was removed or moved away, or whose volume was unmounted, takes writes as before, but
//! the next open does not find them: while the name leads elsewhere no commit is written, as with a medium that fails.

use crate::event::Event;
use crate::fault::FaultKind;
use crate::locks_and_atomics::{AtomicU64, Mutex, Ordering, lock};
use crate::store::{FileName, StoreError};

use super::{Engine, Open};

/// Milliseconds between two looks. A look costs two or three calls of the system, which is too much for each commit on a fast medium.
const LOOK_EVERY_MS: u64 = 2_000;
/// Milliseconds between two looks at a medium that does not show names: as seldom as the writer wakes anyway.
const UNKNOWN_EVERY_MS: u64 = 60_000;

/// Result of the last look, and the time of the next one.
#[derive(Debug, Default)]
pub(super) struct NameLook {
    next_ms: AtomicU64,
    /// Name of the file, while it is lost.
    lost: Mutex<Option<&'static str>>,
}

impl NameLook {
    /// Up time in milliseconds of the next look.
    pub(super) fn next_ms(&self) -> u64 {
        self.next_ms.load(Ordering::Relaxed)
    }
}

impl Engine {
    /// Looks at the name of the store's file if it is time or the name was lost at the last look. The caller holds the store.
    ///
    /// # Errors
    /// The name leads elsewhere: what would be written now would be lost.
    pub(super) fn check_name(&self, open: &Open) -> Result<(), StoreError> {
        let now = self.clock.now().up_ms;
        let before = *lock(&self.name.lost);
        if before.is_none() && now < self.name.next_ms() {
            return Ok(());
        }
        let found = open.store.file_name();
        let pause = if found == FileName::Unknown { UNKNOWN_EVERY_MS } else { LOOK_EVERY_MS };
        self.name.next_ms.store(now.saturating_add(pause), Ordering::Relaxed);
        let lost = match found {
            FileName::Lost(file) => Some(file),
            FileName::Held => None,
            // What says nothing does not say that it is back.
            FileName::Unknown => before,
        };
        *lock(&self.name.lost) = lost;
        lost.map_or(Ok(()), |file| Err(StoreError::NameLost { file }))
    }

    /// Looks at the name between commits, so that an idle queue tells of its loss, and of its return.
    pub(super) fn look_at_name(&self) {
        let checked = match self.lock_store().as_ref() {
            Some(open) => self.watched(|| self.check_name(open)),
            None => return,
        };
        let is_told = |engine: &Self| {
            engine.model().degraded_mode.current().is_some_and(|fault| fault.kind == FaultKind::NameLost)
        };
        match checked {
            Err(error) if !is_told(self) => drop(self.degrade(error)),
            // A store that has panicked is not asked for its name any more.
            Ok(()) if is_told(self) && !self.store_panic.is_some() => {
                // What waits is due at once, and says so if the medium fails in another way.
                self.with_model(|model| model.degraded_mode.end());
                lock(&self.events).put(Event::Recovered);
            }
            _ => {}
        }
    }
}
