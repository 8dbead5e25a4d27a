//! The link to the hub.

use edge_bridge::net::{StartError, TlsError};
use edge_bridge::{Bridge, Link, Tls};
use edge_queue::aio;

use crate::config::{Config, Hub};

use super::compact::Compact;
use super::error::RunError;
use super::pack::BatchPack;
use super::store::CONSUMER;

/// Starts the link; it dials at once and for ever.
pub(crate) fn start(
    config: &Config,
    queue: &aio::Queue,
    consumer: aio::Consumer,
    compact: Compact,
) -> Result<Link, RunError> {
    let hub = &config.hub;
    let keep_alive_s = u16::try_from(hub.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let mut builder = Bridge::builder(&hub.url)
        .client_id(&hub.client_id)
        .keep_alive_s(keep_alive_s)
        .max_in_flight(hub.window);
    if let Some(tls) = tls(hub).map_err(|error| RunError::Configuration(format!("[hub] {error}")))? {
        builder = builder.tls(tls);
    }
    let started = builder.start_on(queue, consumer, CONSUMER, BatchPack::new(&config.routes, compact));
    let (link, _task) = started.map_err(|error| match error {
        StartError::TlsMissing => {
            RunError::Configuration("[hub] mqtts:// needs `ca`: the authority to trust".to_owned())
        }
        error => RunError::Configuration(format!("[hub] {error}")),
    })?;
    Ok(link)
}

fn tls(hub: &Hub) -> Result<Option<Tls>, TlsError> {
    match (&hub.ca, &hub.cert, &hub.key) {
        (Some(ca), Some(cert), Some(key)) => Tls::from_pem(ca, cert, key).map(Some),
        (Some(ca), ..) => Tls::from_ca(ca).map(Some),
        (None, ..) => Ok(None),
    }
}
