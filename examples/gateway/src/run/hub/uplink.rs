//! Link to the hub: its settings, and its start.

use edge_bridge::net::{Builder, ClockFloor, TlsError};
use edge_bridge::wire::Version;
use edge_bridge::{Bridge, Link, Tls};
use edge_queue::aio;

use crate::config::peer::Peer;
use crate::config::proxy::{Login, Proxy};
use crate::config::{Config, Credentials, Protocol, password};
use crate::run::commands;
use crate::run::error::RunError;
use crate::run::replaced_parts::Packers;
use crate::run::tap::Taps;
use crate::run::tls_watch::{Stamps, changed_tls};

use super::compact::Compact;
use super::former_certificate;
use super::gap_reports::GapReports;
use super::hub_status::HubStatus;
use super::pack::{BatchPack, NextRoutes, RouteEncoder};

/// Builds the link's settings, so that their errors are found before any part starts. The hub's certificate is judged within `floor`.
///
/// # Errors
/// A key or certificate cannot be used.
pub(crate) fn prepare(config: &Config, floor: &ClockFloor) -> Result<Builder, RunError> {
    let hub = &config.hub;
    let keep_alive_s = u16::try_from(hub.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let mut builder = Bridge::builder(&hub.url)
        .further_urls(&hub.further_urls)
        .failback(hub.failback)
        .client_id(&hub.client_id)
        .keep_alive_s(keep_alive_s)
        .command_within(hub.command_within)
        .max_in_flight(hub.window)
        .accept_control_characters(config.local.accepts_control_characters());
    if !config.commands.is_empty() {
        builder = builder.receive_maximum(commands::WINDOW);
    }
    builder = match hub.protocol {
        Protocol::Auto => builder.any_version(),
        Protocol::V5 => builder.version(Version::V5),
        Protocol::V311 => builder.version(Version::V311),
    };
    if let Some(Credentials { user, password, file }) = &hub.credentials {
        let file = file.clone();
        let again = move || password::read(&file).map(Into::into);
        builder = builder.credentials(user, password.clone()).password_from(again);
    }
    if let Some(Proxy { url, login, .. }) = &hub.proxy {
        builder = builder.proxy(url);
        if let Some(Login { password, file }) = login {
            let file = file.clone();
            let again = move || password::read(&file).map(Into::into);
            builder = builder.proxy_password(password.clone()).proxy_password_from(again);
        }
    }
    if let Some(name) = &hub.server_name {
        builder = builder.server_name(name);
    }
    let alpn: Vec<&str> = hub.alpn.iter().map(String::as_str).collect();
    builder = builder.alpn(&alpn);
    if hub.url.starts_with("mqtts://") {
        let files = hub.tls_files();
        let mut stamps = Stamps::of(&files);
        let fits = |(tls, error): (Tls, Option<TlsError>)| error.is_none().then_some((tls, error));
        let former =
            former_certificate::files(hub).and_then(|files| files.tls(Peer::Hub, floor.clone()).ok());
        let read = match former.and_then(fits) {
            Some(former) => {
                stamps.have_no_identity();
                Ok(former)
            }
            None => files.tls(Peer::Hub, floor.clone()),
        };
        let read = read.map_err(|error| RunError::Configuration(format!("[hub] {error}")))?;
        builder = builder.tls(read.0.clone()).tls_from(changed_tls(files, stamps, read));
    }
    Ok(builder)
}

/// Encoders and makers of messages to the hub, except for raw messages.
pub(crate) struct Beside {
    pub(crate) compact: Compact,
    pub(crate) gap_reports: Option<GapReports>,
    pub(crate) hub_status: Option<HubStatus>,
    pub(crate) packers: Packers,
    pub(crate) next_routes: NextRoutes,
    pub(crate) taps: Taps,
}

impl Beside {
    /// Creates the encoders. `gateway` is the id of the queue.
    pub(crate) fn new(
        config: &Config,
        gateway: u64,
        compact: Compact,
        packers: Packers,
        taps: &Taps,
    ) -> Self {
        let gap_reports = config.queue.gap_reports.then(|| GapReports::new(config, gateway));
        let status = || HubStatus::new(&config.id, config.sources.paths.clone());
        let hub_status = config.status_to_hub.then(status).flatten();
        let (next_routes, taps) = (NextRoutes::default(), taps.clone());
        Self { compact, gap_reports, hub_status, packers, next_routes, taps }
    }

    /// Returns handles of the parts that others use too.
    pub(crate) fn handles(&self) -> (Option<GapReports>, Option<HubStatus>, NextRoutes) {
        (self.gap_reports.clone(), self.hub_status.clone(), self.next_routes.clone())
    }
}

/// Starts the link, which connects at once and again and again for as long as it exists.
///
/// # Errors
/// A name or an address that MQTT cannot carry, or a packer for a route that does not exist.
pub(crate) fn start(
    builder: Builder,
    config: &Config,
    queue: &aio::Queue,
    consumer: aio::Consumer,
    beside: Beside,
) -> Result<Link, RunError> {
    let Beside { compact, gap_reports, hub_status, packers, next_routes, taps } = beside;
    let builder = match &hub_status {
        Some(status) => builder.will(status.will()).will_at_close(),
        None => builder,
    };
    let encoder = RouteEncoder::new(&config.routes, compact).with_next_routes(next_routes).with_taps(taps);
    let encoder = encoder.with_gap_reports(gap_reports).with_hub_status(hub_status);
    let encoder = encoder.with_packers(&config.routes, packers);
    let encoder = encoder.map_err(RunError::Configuration)?;
    let pack = BatchPack::new(encoder).with_identity(config.hub.identity);
    let started = builder.start_on(queue, consumer, pack);
    let (link, _task) = started.map_err(|error| RunError::Configuration(format!("[hub] {error}")))?;
    Ok(link)
}
