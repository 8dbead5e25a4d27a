//! All bridges of a file, from the start to a signal.

#![allow(clippy::disallowed_methods, reason = "a shell: files, signals, the time")]

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::signal::unix::{SignalKind, signal};

use crate::carry::Carrier;
use crate::one_line::OneLine;
use crate::plan::{self, Plan};

/// Places of the program's files.
pub(crate) struct Places {
    pub(crate) state: PathBuf,
    /// Written when every local broker has accepted its bridge.
    pub(crate) ready: Option<PathBuf>,
}

/// Runs the plans until SIGTERM or SIGINT. SIGHUP reads them again: a bridge that is the same goes on, one that is another starts anew with what is
/// queued.
///
/// # Errors
///
/// In words: a queue that does not open at the start.
pub(crate) async fn run(
    plans: Vec<Plan>,
    places: &Places,
    read_again: impl Fn() -> Option<Vec<Plan>>,
) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut running = Vec::new();
    for plan in plans {
        match start(plan).await {
            Ok(carrier) => running.push(carrier),
            Err(error) => {
                stop(running, places).await;
                return Err(error);
            }
        }
    }
    note_left(&places.state, &running);
    loop {
        let until_ready = async {
            join_all(running.iter().map(Carrier::is_ready)).await;
            tell_ready(places);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = until_ready => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                let Some(plans) = read_again() else { continue };
                running = change(running, plans).await;
                note_left(&places.state, &running);
            }
        }
    }
    tracing::info!("stopping");
    stop(running, places).await;
    Ok(())
}

async fn start(plan: Plan) -> Result<Carrier, String> {
    let name = plan.section.name.clone();
    let carrier = Carrier::start(plan).await.map_err(|error| format!("connection {name}: {error}"))?;
    tracing::info!(connection = %OneLine(&name), "started");
    Ok(carrier)
}

/// One that does not start is told and left out: the others go on.
async fn change(running: Vec<Carrier>, plans: Vec<Plan>) -> Vec<Carrier> {
    let (mut kept, mut ended) = (Vec::new(), Vec::new());
    for carrier in running {
        if plans.contains(&carrier.plan) { kept.push(carrier) } else { ended.push(carrier) }
    }
    join_all(ended.into_iter().map(Carrier::stop)).await;
    for plan in plans {
        if kept.iter().any(|carrier| carrier.plan == plan) {
            continue;
        }
        match start(plan).await {
            Ok(carrier) => kept.push(carrier),
            Err(error) => {
                tracing::error!(error, "a changed connection does not run; what it has queued stays");
            }
        }
    }
    kept
}

async fn stop(running: Vec<Carrier>, places: &Places) {
    if let Some(ready) = &places.ready {
        // It may not be there yet.
        let _ = std::fs::remove_file(ready);
    }
    join_all(running.into_iter().map(Carrier::stop)).await;
}

fn tell_ready(places: &Places) {
    let Some(ready) = &places.ready else { return };
    if let Err(error) = std::fs::write(ready, "ready\n") {
        tracing::error!(file = %OneLine(&ready.to_string_lossy()), %error, "nobody can see that this is ready");
    }
}

/// A connection that is in the file no more may have left messages.
fn note_left(state: &Path, running: &[Carrier]) {
    let Ok(entries) = std::fs::read_dir(state) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_known =
            running.iter().any(|carrier| plan::dir_names(&carrier.plan.section.name).contains(&name));
        if !is_known && entry.path().join("queue.ring").exists() {
            tracing::warn!(directory = %OneLine(&name), "the queue of a connection that is not running: what is in it waits for its section");
        }
    }
}
