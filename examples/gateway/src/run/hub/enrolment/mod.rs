//! Enrolment over secure transport (EST, RFC 7030): the gateway's certificate is renewed in time by its authority's server, and a gateway without one gets
//! its first by a claim certificate. The new certificate takes the place of the file, where the link finds it within a minute, as if somebody
//! had put it there: the former one is used until a hub has taken the new one. The key stays, so that at any power cut the two files fit.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a shell: a task, files and a socket"
)]

mod exchange;
mod identity_files;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use edge_bridge::Tls;
use edge_bridge::net::{ClockFloor, TlsError, TlsSettingNames};
use edge_est::answer::{self, Answer, AnswerError, Chain, Wanted};
use edge_est::certificate::Validity;
use edge_est::names::Names;
use edge_est::request::{RequestError, request};
use edge_est::schedule::{Next, Now, Schedule};
use edge_est::{server::Server, utc};
use edge_queue::{Clock as _, SystemClock};
use tokio::task::JoinHandle;

use crate::config::{Config, Est, Hub};

use super::enrolment_state::{Enrolment, EnrolmentState};
use exchange::ExchangeError;
use identity_files::{Identity, behind, certificates_of, own_key, try_room, validity_of, write_certificate};
pub(in crate::run) use identity_files::{life_of, overdue};

/// Longest pause between two looks at clock and certificate, which others may change.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Time limit of a request, from the name's resolution to the last byte of the answer.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(60);
/// Keys that are to look at where the handshake with the server fails.
const NAMES: TlsSettingNames = TlsSettingNames {
    server_name: "[hub.est] url",
    authorities: "[hub.est] ca, or that of [hub]",
    certificate: "[hub] cert",
    peer: "the EST server",
    clock: "[clock] trusted",
};
/// Shortest time between two log lines about requests that failed, in seconds.
const TELL_EVERY_S: u64 = 3_600;

/// Reason why a request brought no certificate.
#[derive(Debug, thiserror::Error)]
enum EnrolmentError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    #[error("{0}")]
    Answer(#[from] AnswerError),
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("no answer within {} s", EXCHANGE_WITHIN.as_secs())]
    Late,
    #[error("a task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Task that keeps the certificate.
struct Enroller {
    hub: Hub,
    est: Est,
    server: Server,
    wall: Arc<SystemClock>,
    floor: ClockFloor,
    schedule: Schedule,
    state: EnrolmentState,
    /// Up time of the last log line about a request that failed.
    told_s: Option<u64>,
}

/// Starts the task. `None`: others renew the certificate.
pub(in crate::run) fn start(
    config: &Config,
    wall: &Arc<SystemClock>,
    floor: ClockFloor,
    state: &EnrolmentState,
) -> Option<JoinHandle<()>> {
    let mut enroller = Enroller::new(config, wall.clone(), floor, state.clone())?;
    Some(tokio::spawn(async move {
        loop {
            let pause = enroller.step().await;
            tokio::time::sleep(pause).await;
        }
    }))
}

impl Enroller {
    /// Creates the task's parts. `None`: others renew the certificate.
    fn new(
        config: &Config,
        wall: Arc<SystemClock>,
        floor: ClockFloor,
        state: EnrolmentState,
    ) -> Option<Self> {
        let est = config.hub.est.clone()?;
        // `check` has read it.
        let server = est.url.parse().ok()?;
        let longest_wait = config.queue.max_age.unwrap_or_default();
        let schedule = Schedule::new(&config.id, longest_wait.as_secs());
        let hub = config.hub.clone();
        Some(Self { hub, est, server, wall, floor, schedule, state, told_s: None })
    }

    /// Does what is due, and returns the pause until the next step.
    async fn step(&mut self) -> Duration {
        let hub = self.hub.clone();
        let look = move || (hub.waits_for_certificate(), hub.cert.as_deref().and_then(validity_of));
        let Ok((is_first, in_use)) = tokio::task::spawn_blocking(look).await else { return LOOK_EVERY };
        // A file that cannot be read is told by the watch on the certificates; to overwrite it would help nobody who is looking for the reason.
        if in_use.is_none() && !is_first {
            return LOOK_EVERY;
        }
        // Somebody may have put it there.
        if in_use.is_some() && self.state.get().waits_for_first {
            self.state.set(Enrolment::default());
        }
        match self.schedule.next(in_use, self.now()) {
            Next::Ask => {}
            Next::Wait(pause_s) => {
                if self.schedule.is_idle() {
                    self.state.set(Enrolment::default());
                }
                return Duration::from_secs(pause_s).min(LOOK_EVERY);
            }
            Next::ClockUnknown => return LOOK_EVERY,
        }
        match self.ask(in_use).await {
            Ok(chain) => self.succeeded(&chain),
            Err(error) => return self.failed(&error, is_first, in_use),
        }
        LOOK_EVERY
    }

    fn now(&self) -> Now {
        let now = self.wall.now();
        let wall_s = u64::try_from(now.wall_ms).unwrap_or(0) / 1_000;
        Now { up_s: now.up_ms / 1_000, wall_s: now.synced.then_some(wall_s) }
    }

    /// Asks for a certificate, and puts it in the place of the one in use.
    async fn ask(&self, in_use: Option<Validity>) -> Result<Chain, EnrolmentError> {
        let (hub, est, floor) = (self.hub.clone(), self.est.clone(), self.floor.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(&hub, &est, floor)).await??;
        let Prepared { tls, operation, request, public_key, names, authorities, behind } = prepared;
        let exchange = exchange::post(&self.server, &tls, operation, &request);
        let response =
            tokio::time::timeout(EXCHANGE_WITHIN, exchange).await.map_err(|_| EnrolmentError::Late)??;
        let answer = Answer {
            status: response.status,
            content_type: response.content_type.as_deref(),
            retry_after: response.retry_after.as_deref(),
            body: &response.body,
        };
        let wanted = Wanted {
            public_key: &public_key,
            names: &names,
            authorities: &authorities,
            behind: &behind,
            in_use,
            wall_s: self.now().wall_s,
        };
        let chain = answer::read(&answer, &wanted)?;
        let (hub, pem) = (self.hub.clone(), chain.pem.clone());
        tokio::task::spawn_blocking(move || write_certificate(&hub, &pem, &public_key)).await??;
        Ok(chain)
    }

    fn succeeded(&mut self, chain: &Chain) {
        self.schedule.succeeded(chain.validity, self.now());
        self.told_s = None;
        self.state.set(Enrolment::default());
        let path = self.hub.cert.as_ref().map(|path| path.display().to_string());
        let until = utc::text(chain.validity.end_s());
        tracing::info!(
            path,
            until,
            "the EST server gave a new certificate: the hub is shown it within a minute"
        );
    }

    fn failed(&mut self, error: &EnrolmentError, is_first: bool, in_use: Option<Validity>) -> Duration {
        let now = self.now();
        let asked_s = if let EnrolmentError::Answer(answer) = error { answer.after_s() } else { None };
        let again_s = self.schedule.failed(in_use, now, asked_s);
        // One that had a certificate goes on with it, though the file is gone.
        let waits_for_first = is_first && self.state.get().waits_for_first;
        self.state.set(Enrolment { waits_for_first, failure: Some(error.to_string()) });
        if self.told_s.is_none_or(|told_s| now.up_s.saturating_sub(told_s) >= TELL_EVERY_S) {
            self.told_s = Some(now.up_s);
            let until = in_use.map(|validity| utc::text(validity.end_s()));
            tracing::warn!(%error, until, again_s, "the EST server gave no certificate: asked again");
        }
        Duration::from_secs(again_s).min(LOOK_EVERY)
    }
}

/// Request that is ready to be sent.
struct Prepared {
    tls: Tls,
    operation: &'static str,
    /// PKCS #10 in DER.
    request: Vec<u8>,
    public_key: Vec<u8>,
    names: Names,
    /// Certificates of the authorities that the configuration trusts.
    authorities: Vec<Vec<u8>>,
    /// Certificates behind the one that is shown.
    behind: Vec<Vec<u8>>,
}

/// Makes the request: with the certificate in use if there is one, else with the claim's. Blocks for files, and for a signer.
fn prepare(hub: &Hub, est: &Est, floor: ClockFloor) -> Result<Prepared, EnrolmentError> {
    try_room(hub)?;
    let ca = est.ca.as_deref().or(hub.ca.as_deref());
    let trusting = ca.map_or_else(Tls::from_system, Tls::from_ca)?;
    let trusting = trusting.with_clock_floor(floor).with_setting_names(NAMES);
    let authorities = [&est.ca, &hub.ca].into_iter().flatten().flat_map(|ca| certificates_of(ca)).collect();
    if let Some(claim) = est.claim.as_ref().filter(|_| hub.waits_for_certificate()) {
        let names = TlsSettingNames { certificate: "[hub.est] claim_cert", ..NAMES };
        let tls = trusting.with_setting_names(names).with_identity(&claim.cert, &claim.key)?;
        let key = own_key(hub)?;
        let names = Names::common_name(&claim.common_name);
        let request = request(&names, &*key)?;
        let public_key = key.public_key().map(|key| key.to_vec()).unwrap_or_default();
        let (operation, behind) = ("simpleenroll", behind(&claim.cert));
        return Ok(Prepared { tls, operation, request, public_key, names, authorities, behind });
    }
    let Identity { tls, names, public_key, behind } = Identity::read(hub, trusting)?;
    let key = tls.signing_key().ok_or(RequestError::Key)?;
    let request = request(&names, &*key)?;
    let operation = "simplereenroll";
    Ok(Prepared { tls, operation, request, public_key, names, authorities, behind })
}

#[cfg(test)]
mod tests;
