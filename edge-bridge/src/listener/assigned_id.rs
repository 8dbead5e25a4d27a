//! Client identifiers for clients that send none (§3.1.3.1). They are random, because whoever guesses one can take its session over.

use super::Listener;
use crate::ingest::Ingest;
use crate::wire::{Connect, ReasonCode, Utf8};

/// Source of random numbers, see [`Listener::with_random`].
pub(super) type Random = Box<dyn FnMut() -> Option<u128> + Send>;

impl<I: Ingest> Listener<I> {
    /// Sets the source of the client identifiers that are assigned to clients that send none: random numbers that nobody can guess, such as those of the
    /// operating system. A client for which it returns `None` is refused with 0x88. Default: no source, and each such client is refused with 0x85.
    #[must_use]
    pub fn with_random(mut self, random: impl FnMut() -> Option<u128> + Send + 'static) -> Self {
        self.random = Some(Box::new(random));
        self
    }

    /// Returns the client's identifier: its own, or a new one that no session has. `Err` has the reason to refuse the client.
    pub(super) fn client_id(&mut self, connect: &Connect) -> Result<Utf8, ReasonCode> {
        if !connect.client_id.is_empty() {
            return Ok(connect.client_id.detached());
        }
        let random = self.random.as_mut().ok_or(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID)?;
        let id = random().and_then(|number| Utf8::try_from(format!("auto-{number:032x}")).ok());
        // One that is taken tells of a source that is not random.
        id.filter(|id| self.clients.key(id).is_none()).ok_or(ReasonCode::SERVER_UNAVAILABLE)
    }
}
