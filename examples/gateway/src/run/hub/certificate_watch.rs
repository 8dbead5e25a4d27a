//! Watch on the TLS files of `[hub]`: authority, certificate, key and revocation lists are read again when one of them has changed.

#![allow(clippy::disallowed_methods, reason = "a shell: dates are those of this machine's clock")]

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use edge_bridge::Tls;
use edge_bridge::net::ClockFloor;

use crate::config::{self, Hub};
use crate::run::configuration::file_stamp::stamp;

/// Returns a function that reads the TLS files again, which were `first` at the start. It returns `None` while they are unchanged.
pub(super) fn changed_tls(
    hub: &Hub,
    floor: ClockFloor,
    first: Tls,
) -> impl Fn() -> io::Result<Option<Tls>> + Send + Sync + 'static {
    let hub = hub.clone();
    let stamps =
        move |hub: &Hub| [&hub.ca, &hub.cert, &hub.key, &hub.crl].map(|file| file.as_deref().and_then(stamp));
    let last = Mutex::new((stamps(&hub), first));
    move || {
        let found = stamps(&hub);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if found == last.0 {
            return Ok(None);
        }
        let Some(tls) = config::tls::tls(&hub, floor.clone()).map_err(io::Error::other)? else {
            return Ok(None);
        };
        // A certificate whose key the signer does not have yet is looked at again before the next dial.
        tls.check_signer().map_err(io::Error::other)?;
        tls.keeps_revocations_of(&last.1, SystemTime::now()).map_err(io::Error::other)?;
        *last = (found, tls.clone());
        Ok(Some(tls))
    }
}
