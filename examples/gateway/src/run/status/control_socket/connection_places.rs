//! Limit of connections to the control socket. At the limit a new connection replaces the oldest one that has sent no request yet, so that an operator
//! is answered beside any number of silent clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::AbortHandle;

/// Most connections at a time.
pub(super) const PLACES: usize = 16;

/// Connections that may still be open, the oldest first, each with the flag that is set once it has sent its request.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Vec<(AbortHandle, Arc<AtomicBool>)>,
}

impl Places {
    /// Makes room for one more connection, for which a silent one may be closed. Returns whether there is room: not if all have sent requests.
    pub(super) fn make_room(&mut self) -> bool {
        self.taken.retain(|(connection, _)| !connection.is_finished());
        if self.taken.len() < PLACES {
            return true;
        }
        let silent = self.taken.iter().position(|(_, has_request)| !has_request.load(Ordering::Relaxed));
        if let Some(at) = silent {
            let (connection, _) = self.taken.remove(at);
            connection.abort();
        }
        silent.is_some()
    }

    /// Adds a connection, for which there is [room](Self::make_room).
    pub(super) fn add(&mut self, connection: AbortHandle, has_request: Arc<AtomicBool>) {
        self.taken.push((connection, has_request));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "test code")]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_oldest_silent_one_gives_way_and_nobody_who_has_asked() {
        let mut places = Places::default();
        let mut take = |has_request: bool| {
            let connection = tokio::spawn(pending::<()>());
            let has_room = places.make_room();
            if has_room {
                places.add(connection.abort_handle(), Arc::new(AtomicBool::new(has_request)));
            }
            (connection, has_room)
        };
        let (asked, _) = take(true);
        let silent: Vec<_> = (0..200).map(|_| take(false)).collect();
        assert!(silent.iter().all(|(_, has_room)| *has_room));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        let open: Vec<_> = silent.iter().map(|(connection, _)| !connection.is_finished()).collect();
        assert_eq!(open.iter().filter(|is_open| **is_open).count(), PLACES - 1);
        assert!(!asked.is_finished() && open.iter().rev().take(PLACES - 1).all(|is_open| *is_open));
        let askers: Vec<_> = (0..PLACES).map(|_| take(true).1).collect();
        assert_eq!(askers.iter().filter(|has_room| **has_room).count(), PLACES - 1);
    }
}
