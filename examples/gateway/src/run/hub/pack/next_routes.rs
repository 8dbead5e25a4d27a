//! Hand-over of changed routes to the running encoder, which applies them at its next poll.

use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Route;

/// Handle to the routes; clones share them.
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
