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

use crate::config::operator_file::is_there;
use crate::config::{Claim, Config, Est, Hub};

use super::enrolment_state::{Enrolment, EnrolmentState, HubJudgement};
use super::former_certificate;
use exchange::ExchangeError;
use identity_files::{
    Found, Identity, behind, certificates_of, names_in_file, own_key, try_room, write_certificate,
};
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
    #[error("the hub does not take the certificate that came")]
    NotTaken,
    #[error("no answer within {} s", EXCHANGE_WITHIN.as_secs())]
    Late,
    #[error("a task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl EnrolmentError {
    /// Returns whether the server may refuse the certificate that it was shown, or that certificate cannot be shown. In TLS 1.3 a refusal comes in the place of the
    /// answer.
    fn is_of_own_certificate(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Exchange(_) => true,
            Self::Answer(AnswerError::Status { status, .. }) => (400..500).contains(status),
            _ => false,
        }
    }
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
    /// Set from a certificate's coming on until the hub has taken it.
    is_offered: bool,
    /// Set once the hub's refusal of the certificate counts as a request that failed.
    is_refusal_told: bool,
}

/// Judgement of the hub on the certificate in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// It has accepted a CONNECT with it, or the certificate was there at the start without a former one.
    Taken,
    Refused,
    Unknown,
}

/// Reason for a request, and the certificate that the new one has to outlast.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    in_use: Option<Validity>,
    is_first: bool,
    /// Set if the hub refuses the certificate in the file.
    is_refused: bool,
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
        Some(Self {
            hub,
            est,
            server,
            wall,
            floor,
            schedule,
            state,
            told_s: None,
            is_offered: false,
            is_refusal_told: false,
        })
    }

    /// Does what is due, and returns the pause until the next step.
    async fn step(&mut self) -> Duration {
        let hub = self.hub.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || Found::of(&hub)).await else { return LOOK_EVERY };
        // A file that cannot be read is told by the watch on the certificates; to overwrite it would help nobody who is looking for the reason.
        if found.cert.is_none() && !found.is_first {
            return LOOK_EVERY;
        }
        // Somebody may have put it there.
        if found.cert.is_some() && self.state.get().waits_for_first {
            self.state.set(Enrolment::default());
        }
        // One that the hub has not taken either is none that the new one has to outlast.
        let former = found.former.filter(|_| self.state.judgement().taken.is_some());
        let asked = match self.judged(found).await {
            Judged::Taken => Asked { in_use: found.cert, ..Asked::default() },
            Judged::Refused if !self.is_refusal_told => {
                self.is_refusal_told = true;
                return self.failed(&EnrolmentError::NotTaken, &Asked { in_use: former, ..Asked::default() });
            }
            // Due at once, but for the pause: what the hub does not take is no certificate.
            Judged::Refused => Asked { in_use: former, is_refused: true, ..Asked::default() },
            Judged::Unknown if self.is_due(found.cert) => Asked { in_use: found.cert, ..Asked::default() },
            Judged::Unknown => return LOOK_EVERY,
        };
        let asked = Asked { is_first: found.is_first, ..asked };
        match self.schedule.next(asked.in_use.filter(|_| !asked.is_refused), self.now()) {
            Next::Ask => {}
            Next::Wait(pause_s) => {
                if self.schedule.is_idle() {
                    self.state.set(Enrolment::default());
                }
                return Duration::from_secs(pause_s).min(LOOK_EVERY);
            }
            Next::ClockUnknown => return LOOK_EVERY,
        }
        match self.ask(&asked).await {
            Ok(chain) => self.succeeded(&chain),
            Err(error) => return self.failed(&error, &asked),
        }
        LOOK_EVERY
    }

    /// Returns what the hub says of the certificate in the file. Removes the former one when it has taken it.
    async fn judged(&mut self, found: Found) -> Judged {
        let HubJudgement { taken, refused } = self.state.judgement();
        let is_unproven = found.former.is_some() || self.is_offered;
        if let Some(refused) = refused {
            // The link may not have read that of the file yet.
            let is_of_file = found.is_first || found.cert_hash == Some(refused);
            return if is_of_file { Judged::Refused } else { Judged::Unknown };
        }
        if !is_unproven {
            return Judged::Taken;
        }
        if taken.is_none() || taken != found.cert_hash {
            return Judged::Unknown;
        }
        let hub = self.hub.clone();
        let removed = tokio::task::spawn_blocking(move || former_certificate::remove(&hub)).await;
        if !matches!(removed, Ok(Ok(()))) {
            // Tried again; until then it does no harm.
            return Judged::Unknown;
        }
        (self.is_offered, self.is_refusal_told) = (false, false);
        self.schedule.proven();
        self.state.set(Enrolment::default());
        Judged::Taken
    }

    /// Returns whether a certificate is to be renewed by its dates, though no hub has judged it yet.
    fn is_due(&self, cert: Option<Validity>) -> bool {
        let wall_s = self.now().wall_s;
        cert.zip(wall_s).is_some_and(|(cert, wall_s)| wall_s >= self.schedule.due_s(cert))
    }

    fn now(&self) -> Now {
        let now = self.wall.now();
        let wall_s = u64::try_from(now.wall_ms).unwrap_or(0) / 1_000;
        Now { up_s: now.up_ms / 1_000, wall_s: now.synced.then_some(wall_s) }
    }

    /// Asks for a certificate, with the one in use; where the EST server refuses that as the hub does, by the claim, because it may be of a wrong authority.
    /// By the claim alone, which many share, whoever has it could take over a gateway that is enrolled.
    async fn ask(&self, asked: &Asked) -> Result<Chain, EnrolmentError> {
        let own = self.ask_as(asked, false).await;
        let may_claim = asked.is_refused && !asked.is_first && self.state.judgement().taken.is_none();
        match own {
            Err(error) if may_claim && error.is_of_own_certificate() => {
                let claim = self.est.claim.clone();
                let has_claim = move || claim.is_some_and(|claim| has_files(&claim));
                match tokio::task::spawn_blocking(has_claim).await? {
                    true => self.ask_as(asked, true).await,
                    false => Err(error),
                }
            }
            own => own,
        }
    }

    /// Sends one request, and puts the certificate that it brings in the place of the one in use.
    async fn ask_as(&self, asked: &Asked, is_claimed: bool) -> Result<Chain, EnrolmentError> {
        let (hub, est, floor) = (self.hub.clone(), self.est.clone(), self.floor.clone());
        let in_use = asked.in_use;
        let prepared = tokio::task::spawn_blocking(move || prepare(&hub, &est, floor, is_claimed)).await??;
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
        (self.told_s, self.is_offered, self.is_refusal_told) = (None, true, false);
        self.state.set(Enrolment::default());
        let path = self.hub.cert.as_ref().map(|path| path.display().to_string());
        let until = utc::text(chain.validity.end_s());
        tracing::info!(
            path,
            until,
            "the EST server gave a new certificate: the hub is shown it within a minute"
        );
    }

    fn failed(&mut self, error: &EnrolmentError, asked: &Asked) -> Duration {
        let (now, in_use) = (self.now(), asked.in_use);
        let asked_s = if let EnrolmentError::Answer(answer) = error { answer.after_s() } else { None };
        let again_s = self.schedule.failed(in_use, now, asked_s);
        // One that had a certificate goes on with it, though the file is gone.
        let waits_for_first = asked.is_first && self.state.get().waits_for_first;
        self.state.set(Enrolment { waits_for_first, failure: Some(error.to_string()) });
        if self.told_s.is_none_or(|told_s| now.up_s.saturating_sub(told_s) >= TELL_EVERY_S) {
            self.told_s = Some(now.up_s);
            let until = in_use.map(|validity| utc::text(validity.end_s()));
            if let EnrolmentError::NotTaken = error {
                tracing::warn!(
                    until,
                    again_s,
                    "the hub does not take the certificate of the EST server, which is asked again"
                );
            } else {
                tracing::warn!(%error, until, again_s, "the EST server gave no certificate: asked again");
            }
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
///
/// `is_claimed`: with the claim's all the same, for the names of the certificate in the file.
fn prepare(hub: &Hub, est: &Est, floor: ClockFloor, is_claimed: bool) -> Result<Prepared, EnrolmentError> {
    try_room(hub)?;
    let ca = est.ca.as_deref().or(hub.ca.as_deref());
    let trusting = ca.map_or_else(Tls::from_system, Tls::from_ca)?;
    let trusting = trusting.with_clock_floor(floor).with_setting_names(NAMES);
    let authorities = [&est.ca, &hub.ca].into_iter().flatten().flat_map(|ca| certificates_of(ca)).collect();
    if let Some(claim) = est.claim.as_ref().filter(|_| is_claimed || hub.waits_for_certificate()) {
        let names = TlsSettingNames { certificate: "[hub.est] claim_cert", ..NAMES };
        let tls = trusting.with_setting_names(names).with_identity(&claim.cert, &claim.key)?;
        let key = own_key(hub)?;
        let names = match hub.waits_for_certificate() {
            true => Names::common_name(&claim.common_name),
            false => names_in_file(hub)?,
        };
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

fn has_files(claim: &Claim) -> bool {
    [&claim.cert, &claim.key].iter().all(|file| is_there(file))
}

#[cfg(test)]
mod tests;
