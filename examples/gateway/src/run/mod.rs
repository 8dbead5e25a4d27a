//! `edge-gateway run FILE --state DIR`.
//!
//! ```text
//!  sensors ─▶ listener │ broker ─▶ ingest (route ▸ readings ▸ filter) ─▶ intake ─▶ QUEUE ─▶ pack (batch) ─▶ uplink ─▶ hub
//!                  ◀──────────────── PUBACK when the rows are safe ────────┘
//! ```
//! One folder for each part of that way, and for what stands beside it: [`sensors`], [`filters`], [`queue`], [`hub`]; [`commands`] of the hub and
//! [`local_control`]; [`restart`], [`status`], [`configuration`], [`log`]; [`tap`] shows samples of what passes. [`gateway`] starts and stops them all.

pub(crate) mod certificate_floor;
mod commands;
pub(crate) mod configuration;
mod error;
pub(crate) mod filters;
pub(crate) mod hub;
mod local_control;
mod log;
mod power_failure;
pub(crate) mod queue;
pub(crate) mod replaced_parts;
mod restart;
pub(crate) mod route;
pub(crate) mod sensors;
mod signals;
mod start_and_stop;
pub(crate) mod status;
mod subscribed_filters;
pub(crate) mod tap;
mod tls_watch;

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::config::{Config, Sources};
pub(crate) use certificate_floor::CertificateFloor;
use configuration::last_configuration;
use configuration::refusal::{Refusal, Unfit};
use configuration::reload::{Ending, Reload};
use configuration::route_changes::InForce;
pub use error::Error;
pub(crate) use error::RunError;
pub(crate) use filters::readings::{NAME_BYTES_MAX, UNIT_BYTES_MAX};
pub(crate) use local_control::alarm_commands::dispatcher::CHANGES_BYTES_MAX as ALARM_CHANGES_BYTES_MAX;
use replaced_parts::Parts;
use signals::Signals;
pub(crate) use start_and_stop::{run as run_until, wall_clock};
use status::service;

/// Parameters of a gateway's start.
pub(crate) struct Start<'a> {
    /// Configuration file, read again at a reload.
    pub(crate) file: &'a Path,
    /// Configuration to start with.
    pub(crate) config: Config,
    /// Reason why `config` is the configuration that was in force last, and not the file's.
    pub(crate) refused: Option<Refusal>,
    /// State directory of the command line, which overrides the configuration's.
    pub(crate) state: Option<&'a Path>,
    /// Ends the process if the file's configuration does not start, instead of using the one that was in force last.
    pub(crate) is_strict: bool,
}

/// Runs the gateway until a signal.
///
/// # Errors
/// The reason in words, with the exit code.
pub(crate) fn run(start: Start<'_>) -> Result<(), RunError> {
    start_log();
    let Start { file, config, refused, state, is_strict } = start;
    let may_go_back = !is_strict && refused.is_none();
    let mut reload = Reload::new(file, InForce::new(Arc::new(config), refused), state.is_some());
    let state = state.map(Path::to_owned).or_else(|| reload.running().state.clone());
    let state: PathBuf = state.ok_or_else(|| {
        RunError::Configuration("where to keep the queue: give --state DIR or [gateway] state".to_owned())
    })?;
    // One thread, beside the queue's own two; a few more only while a name is looked up or a small file is written. A disk that hangs holds
    // one for each file, and the stop of the loops needs one still.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .map_err(|error| RunError::Failed(format!("the runtime: {error}")))?;
    let result = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let service = service::from_env();
        let stopping = service.clone();
        let mut before = may_go_back.then(|| kept_before(&state, file, &reload.running())).flatten();
        let mut is_restart = false;
        loop {
            let (config, mut ending, open_queue) = (reload.running(), None, reload.begin_run());
            let configurations = Some(reload.configurations());
            let (service, power) = (service.clone(), Some(signals::power_failure()?));
            let parts =
                Parts { service, configurations, is_restart, open_queue, power, ..Parts::default() };
            is_restart = true;
            let stop = async {
                let asked = reload.next(&mut signals, &state).await;
                if matches!(asked, Ending::Stop) {
                    stopping.stopping();
                }
                ending = Some(asked);
            };
            let result = start_and_stop::run(&config, &state, parts, pin!(stop)).await;
            match (result, ending) {
                (ended, Some(Ending::StartAnew(next))) => {
                    // As with a disk that hangs while the queue is closed. The process goes on whatever its disk does.
                    if let Err(error) = ended {
                        tracing::error!(%error, "parts did not stop well, and start anew all the same");
                    }
                    before = Some(reload.running());
                    reload.replace(next, None);
                }
                // Without a wish it ends at its start alone.
                (Err(error), None) if before.is_some() => {
                    tracing::error!(%error, "the changed configuration does not start: the one before is in force again");
                    let why = refusal(&error, &config.sources);
                    before.take().into_iter().for_each(|config| reload.go_back(config, why.clone()));
                }
                (result, _) => return result,
            }
        }
    });
    // A look-up of a name must not hold up the exit.
    runtime.shutdown_background();
    result
}

/// Returns the refusal of a configuration that did not start, with the remedy for what the queue does not take. `sources`: files of the configuration.
fn refusal(error: &RunError, sources: &Sources) -> Refusal {
    match error {
        RunError::QueueLanes(_) => Refusal::unfit(&Unfit::Lanes, sources),
        RunError::QueueKey(_) => Refusal::unfit(&Unfit::QueueKey, sources),
        RunError::Configuration(_) | RunError::NeedsRestart(_) | RunError::Failed(_) => {
            Refusal::no_start(&error.to_string())
        }
    }
}

/// Returns the configuration that was in force before, if it differs.
fn kept_before(state: &Path, file: &Path, now: &Config) -> Option<Arc<Config>> {
    let kept = last_configuration::kept(state, file).unwrap_or_else(|why| {
        tracing::warn!(why, "the configuration that was in force last is of no use");
        None
    });
    let (kept, _) = kept?;
    (kept.digest != now.digest).then(|| Arc::new(kept))
}

/// Sets up the log on standard error, from level `info` on; `RUST_LOG` sets other levels: a level, or `TARGET=LEVEL` with commas between.
fn start_log() {
    let wanted = std::env::var("RUST_LOG").ok();
    let filter = wanted.as_deref().and_then(|wanted| wanted.parse::<Targets>().ok());
    let is_unclear = wanted.is_some() && filter.is_none();
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO));
    // Another subscriber is there already in tests only.
    let _ =
        registry().with(fmt::layer().with_ansi(false).with_writer(std::io::stderr)).with(filter).try_init();
    if is_unclear {
        tracing::warn!("RUST_LOG is not understood: LEVEL or TARGET=LEVEL,...; from info on is logged");
    }
}
