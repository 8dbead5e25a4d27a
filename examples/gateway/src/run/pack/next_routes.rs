//! Routes that change while the pack runs: set beside the link, taken at the pack's next turn.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Route;

/// A handle; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct NextRoutes(Arc<Mutex<Option<Vec<Route>>>>);

impl NextRoutes {
    pub(crate) fn set(&self, routes: Vec<Route>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(routes);
    }

    pub(super) fn take(&self) -> Option<Vec<Route>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
