//! Expiry of the certificates, and of the lists of revoked ones, that the configuration names: for the metrics, the status, and one log line a day while one of them expires soon.
//! The files are read again when they change.

#![allow(clippy::disallowed_methods, reason = "a shell: it looks at files by this machine's clock")]

mod log_lines;
mod role;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use edge_bridge::bridge::Stats;
use edge_bridge::net::{ServerTls, certificate_chain_ends, certificate_ends, revocation_list_ends};

use crate::config::tls::{UnfitForClients, is_list_of, is_list_usable, listener_problem};
use crate::config::{BrokerTls, Config, Local, operator_file};
use crate::run::configuration::file_stamp::{Stamp, stamp};
#[cfg(feature = "est")]
use crate::run::hub::enrolment::{life_of, overdue};
use crate::run::hub::enrolment_state::{Enrolment, EnrolmentState, HubJudgement};
use crate::run::hub::link_trouble::is_certificate_refused;

use super::prometheus_text::Page;
use log_lines::tell;
pub(crate) use role::Role;

/// Pause between two checks of the files.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Remaining validity below which a certificate has to be renewed.
const NEAR: Duration = Duration::from_secs(14 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);
/// Number of checks in a row at which a file must be unreadable before it is reported; a single one may coincide with a renewal.
const FAILED_LOOKS: u32 = 2;

/// Expiry of a certificate, or of one behind it that its peers need, if that ends before it, as the file was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) role: Role,
    /// Time of the expiry, in seconds since 1970. `None`: the file was unreadable since the start.
    pub(crate) at_s: Option<u64>,
    /// Whole days until the expiry; 0 once it is past.
    pub(crate) days_left: u64,
    /// Set if the certificate has expired or will soon, so that the operator has to renew it.
    pub(crate) is_near: bool,
    pub(crate) has_ended: bool,
    /// Set if the file has no readable certificate or list any more, its key does not belong to it, or the list is signed by another one. The gateway goes on with the one that it has, or connects with none since its start.
    pub(crate) is_unreadable: bool,
    /// Set if it is a file of lists of revoked certificates of which none is by an authority that the configuration names.
    pub(crate) is_foreign: bool,
    /// Reason for which each client refuses the listener's certificate although it has not ended. `None`: there is none.
    pub(crate) unfit: Option<UnfitForClients>,
}

impl End {
    pub(crate) fn needs_somebody(&self) -> bool {
        self.is_near || self.is_unreadable || self.is_foreign || self.unfit.is_some()
    }
}

/// The gateway's own certificate for the hub, beside what its file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnCertificate {
    /// Set while the hub does not take the renewed one.
    pub(crate) is_not_taken: bool,
    pub(crate) enrolment: Enrolment,
}

impl OwnCertificate {
    /// Returns why nothing is dialled, if that is so.
    pub(super) fn cause(&self) -> Option<&'static str> {
        self.enrolment.waits_for_first.then_some("waits for its first certificate")
    }
}

/// A certificate file.
#[derive(Debug)]
struct File {
    role: Role,
    path: PathBuf,
    /// File that it has to fit: the private key of a certificate, the authorities of a list.
    partner: Option<PathBuf>,
    /// Remaining validity below which the operator has to act.
    near: Duration,
    /// Longest time that a message waits. `None` unless the gateway renews the certificate by itself.
    outlasts: Option<Duration>,
    /// Set if the gateway gets its first one by a claim while it runs.
    comes_by_claim: bool,
    /// Set unless there was no file at the last check.
    is_there: bool,
    /// Length of its life. `None`: others renew it, or it cannot be read.
    life: Option<Duration>,
    /// Stamps of both when their content was read last.
    stamps: [Stamp; 2],
    end: Option<SystemTime>,
    /// End of the one that the link uses while the hub does not take that of the file.
    in_use_end: Option<SystemTime>,
    is_foreign: bool,
    unfit: Option<UnfitForClients>,
    /// Number of checks in a row at which the file was unreadable.
    failed_looks: u32,
    said: Option<SystemTime>,
}

impl File {
    /// Marks the certificate as one that the gateway renews by itself. It may be short-lived, so that nobody has to act while there is time for that.
    fn enrolled(mut self, comes_by_claim: bool, longest_wait: Duration) -> Self {
        (self.outlasts, self.comes_by_claim) = (Some(longest_wait), comes_by_claim);
        self
    }

    fn is_near(&self, now: SystemTime) -> bool {
        let overdue = self.life.zip(self.outlasts).map(|(life, longest_wait)| overdue(life, longest_wait));
        let near = overdue.map_or(self.near, |overdue| overdue.min(self.near));
        self.end().is_some_and(|end| end.duration_since(now).is_ok_and(|left| left < near) || end <= now)
    }

    /// Returns the end of the one in use.
    fn end(&self) -> Option<SystemTime> {
        self.in_use_end.or(self.end)
    }

    fn new(role: Role, path: &Path, partner: Option<&Path>, near: Duration) -> Self {
        let found = read((role, path, partner), [None; 2], SystemTime::now());
        let mut file = Self {
            role,
            path: path.to_owned(),
            partner: partner.map(Path::to_owned),
            near,
            outlasts: None,
            comes_by_claim: false,
            is_there: true,
            life: None,
            stamps: [None; 2],
            end: None,
            in_use_end: None,
            is_foreign: false,
            unfit: None,
            failed_looks: 0,
            said: None,
        };
        file.take(found);
        file
    }

    fn take(&mut self, found: Found) {
        match found {
            Found::AsBefore => self.failed_looks = 0,
            Found::Unreadable { is_there } => {
                (self.is_there, self.failed_looks) = (is_there, self.failed_looks.saturating_add(1));
            }
            Found::Read { stamps, end, is_foreign, unfit, life } => {
                let is_same = (stamps, unfit) == (self.stamps, self.unfit);
                (self.stamps, self.end, self.is_foreign) = (stamps, end, is_foreign);
                (self.unfit, self.life, self.failed_looks) = (unfit, life, 0);
                self.said = self.said.filter(|_| is_same);
            }
        }
    }

    /// Returns the stamps of the content that need not be read again. A certificate that is not valid yet becomes so without a change of its file.
    fn known(&self) -> [Stamp; 2] {
        if self.unfit == Some(UnfitForClients::NotYetValid) { [None; 2] } else { self.stamps }
    }

    fn unfit(&self, is_clock_right: bool) -> Option<UnfitForClients> {
        self.unfit.filter(|unfit| unfit.is_certain(is_clock_right))
    }

    fn is_unreadable(&self) -> bool {
        // A file that holds something else is not overwritten.
        let is_to_come = self.comes_by_claim && self.end.is_none() && !self.is_there;
        self.failed_looks >= FAILED_LOOKS && !is_to_come
    }

    fn days_left(&self, now: SystemTime) -> u64 {
        let left = self.end().and_then(|end| end.duration_since(now).ok());
        left.map_or(0, |left| left.as_secs() / DAY.as_secs())
    }

    /// Returns whether a log line about the file is due, and counts it as written.
    fn may_say(&mut self, now: SystemTime, is_clock_right: bool) -> bool {
        let is_said = |said: SystemTime| now.duration_since(said).is_ok_and(|ago| ago < DAY);
        let is_due = self.is_near(now) || self.is_unreadable() || self.is_foreign;
        let is_due = is_due || self.unfit(is_clock_right).is_some();
        let may_say = is_due && !self.said.is_some_and(is_said);
        self.said = if may_say { Some(now) } else { self.said };
        may_say
    }
}

/// Result of a check of a file.
#[derive(Clone, Copy)]
enum Found {
    AsBefore,
    /// A file is missing, has no certificate, or a key of another one. The content read before stays in use.
    Unreadable {
        is_there: bool,
    },
    Read {
        stamps: [Stamp; 2],
        end: Option<SystemTime>,
        is_foreign: bool,
        unfit: Option<UnfitForClients>,
        life: Option<Duration>,
    },
}

/// Reads a certificate or list, and its partner if there is one, when their stamps are no longer `known`.
fn read((role, path, partner): (Role, &Path, Option<&Path>), known: [Stamp; 2], now: SystemTime) -> Found {
    let found = [stamp(path), partner.and_then(stamp)];
    if found[0].is_some() && found == known {
        return Found::AsBefore;
    }
    let ends = match role {
        Role::Hub | Role::Listener | Role::Broker => certificate_chain_ends(path),
        Role::HubAuthority | Role::SensorAuthority | Role::BrokerAuthority => certificate_ends(path),
        Role::HubRevoked | Role::SensorsRevoked | Role::BrokerRevoked => revocation_list_ends(path),
    };
    let unreadable = || Found::Unreadable { is_there: operator_file::is_there(path) };
    let Ok(ends) = ends else { return unreadable() };
    // Nothing else takes a certificate and its key alone, without authorities.
    let does_not_fit = |key: &Path| ServerTls::from_pem(path, key, None).is_err();
    let is_unfit = match role.is_list() {
        true => !is_list_usable(path, partner),
        false => partner.is_some_and(does_not_fit),
    };
    if is_unfit {
        return unreadable();
    }
    // A chain ends with the first of its certificates to end; of authorities the last to end is trusted until then.
    let end = match role {
        role if role.is_authority() => ends.iter().max(),
        _ => ends.iter().min(),
    };
    let is_foreign = role.is_list() && partner.is_some_and(|ca| !is_list_of(path, ca));
    let life = if matches!(role, Role::Hub | Role::Broker) { life_of(path) } else { None };
    // One that has ended is told by its end, without a look at the file.
    let unfit = if role == Role::Listener { listener_problem(path, now) } else { None };
    let unfit =
        unfit.as_ref().and_then(UnfitForClients::of).filter(|unfit| *unfit != UnfitForClients::HasEnded);
    Found::Read { stamps: found, end: end.copied(), is_foreign, unfit, life }
}

#[cfg(not(feature = "est"))]
fn life_of(_: &Path) -> Option<Duration> {
    None
}

/// Returns the remaining validity below which a certificate should have been renewed by the gateway.
#[cfg(not(feature = "est"))]
fn overdue(life: Duration, _: Duration) -> Duration {
    life
}

/// Handle to the certificates; clones share them. See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Certificates {
    files: Arc<Mutex<Vec<File>>>,
    pub(crate) enrolment: EnrolmentState,
}

impl Certificates {
    /// Reads the files that `config` names.
    pub(crate) fn new(config: &Config) -> Self {
        let is_tls = config.hub.url.starts_with("mqtts://");
        // What waits as long as it may is delivered with the certificate of then.
        let longest_wait = config.queue.max_age.unwrap_or_default();
        let at_hub = NEAR.max(longest_wait);
        let mut files = Vec::new();
        let mut add = |role, path: Option<&PathBuf>, partner: Option<&PathBuf>, near| {
            files.extend(path.map(|path| File::new(role, path, partner.map(PathBuf::as_path), near)));
        };
        add(Role::Hub, config.hub.cert.as_ref().filter(|_| is_tls), config.hub.key.as_ref(), at_hub);
        add(Role::HubAuthority, config.hub.ca.as_ref().filter(|_| is_tls), None, at_hub);
        let revoked = config.hub.crl.as_ref().filter(|_| is_tls);
        add(Role::HubRevoked, revoked, config.hub.ca.as_ref(), Duration::ZERO);
        if let Local::Listen { addresses, .. } = &config.local {
            let tls = addresses.tls.as_ref();
            add(Role::Listener, tls.map(|tls| &tls.cert), tls.map(|tls| &tls.key), NEAR);
            let authority = addresses.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
            add(Role::SensorAuthority, authority, None, NEAR);
            let revoked = addresses.tls.as_ref().and_then(|tls| tls.client_crl.as_ref());
            add(Role::SensorsRevoked, revoked, authority, Duration::ZERO);
        }
        if let Local::Broker { way, .. } = &config.local
            && let Some(BrokerTls { files, .. }) = &way.tls
        {
            add(Role::Broker, files.cert.as_ref(), files.key.as_ref(), NEAR);
            add(Role::BrokerAuthority, files.ca.as_ref(), None, NEAR);
            add(Role::BrokerRevoked, files.crl.as_ref(), files.ca.as_ref(), Duration::ZERO);
        }
        if let Some(est) = &config.hub.est {
            // A local broker may be shown the same one.
            let is_it = |file: &File| {
                matches!(file.role, Role::Hub | Role::Broker) && Some(&file.path) == config.hub.cert.as_ref()
            };
            let comes_by_claim = est.claim.is_some();
            let enrolled =
                |file: File| if is_it(&file) { file.enrolled(comes_by_claim, longest_wait) } else { file };
            files = files.into_iter().map(enrolled).collect();
        }
        let enrolment = EnrolmentState::new(config.hub.waits_for_certificate());
        Self { files: Arc::new(Mutex::new(files)), enrolment }
    }

    /// Checks the files for as long as the future is polled. `is_clock_right` tells whether the wall clock is known to be right.
    pub(crate) async fn watch(self, is_clock_right: impl Fn() -> bool) {
        if self.lock().is_empty() {
            return;
        }
        loop {
            let (certificates, is_right) = (self.clone(), is_clock_right());
            let look = move || certificates.look(SystemTime::now(), is_right);
            if tokio::task::spawn_blocking(look).await.is_err() {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Checks all files once. No file is read under the lock, so that a hanging disk blocks no other caller.
    fn look(&self, now: SystemTime, is_clock_right: bool) {
        let known = |file: &File| (file.role, file.path.clone(), file.partner.clone(), file.known());
        let known: Vec<_> = self.lock().iter().map(known).collect();
        let look = |(role, path, partner, stamps): &(Role, PathBuf, Option<PathBuf>, [Stamp; 2])| {
            read((*role, path, partner.as_deref()), *stamps, now)
        };
        let found: Vec<_> = known.iter().map(look).collect();
        for (file, found) in self.lock().iter_mut().zip(found) {
            file.take(found);
            if file.may_say(now, is_clock_right) {
                tell(file, now, file.unfit(is_clock_right));
            }
        }
    }

    /// Returns what is known of the gateway's certificate for the hub beside its expiry, by the statistics of the link.
    pub(super) fn own(&self, link: &Stats) -> OwnCertificate {
        let (is_not_taken, taken_ends_s) = (link.certificate_not_taken, link.certificate_taken_ends_s);
        let in_use_end = taken_ends_s.filter(|_| is_not_taken);
        let in_use_end = in_use_end.and_then(|end_s| UNIX_EPOCH.checked_add(Duration::from_secs(end_s)));
        let mut files = self.lock();
        files.iter_mut().filter(|file| file.role == Role::Hub).for_each(|file| file.in_use_end = in_use_end);
        drop(files);
        let cause = link.last_error.as_deref().filter(|_| !link.link.is_connected());
        let refused = match is_not_taken {
            true => link.certificate_read,
            false => cause.filter(|cause| is_certificate_refused(cause)).and(link.certificate_at_error),
        };
        self.enrolment.judge(HubJudgement { taken: link.certificate_taken, refused });
        OwnCertificate { is_not_taken, enrolment: self.enrolment.get() }
    }

    /// Returns the known expiries, and files that were never readable.
    pub(crate) fn ends(&self, is_clock_right: bool) -> Vec<End> {
        self.ends_at(SystemTime::now(), is_clock_right)
    }

    fn ends_at(&self, now: SystemTime, is_clock_right: bool) -> Vec<End> {
        let end = |file: &File| {
            let at_s = file.end().and_then(|end| Some(end.duration_since(UNIX_EPOCH).ok()?.as_secs()));
            (at_s.is_some() || file.is_unreadable()).then(|| End {
                role: file.role,
                at_s,
                days_left: file.days_left(now),
                is_near: file.is_near(now),
                has_ended: file.end().is_some_and(|end| end <= now),
                is_unreadable: file.is_unreadable(),
                is_foreign: file.is_foreign,
                unfit: file.unfit(is_clock_right),
            })
        };
        self.lock().iter().filter_map(end).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the metric of expiries, or nothing without certificates.
pub(in crate::run) fn render(ends: &[End], page: &mut Page) {
    const NAME: &str = "edge_certificate_expiry_timestamp_seconds";
    let ends = ends.iter().filter(|end| !end.role.is_list());
    let ends: Vec<_> = ends.filter_map(|end| Some((end.role.as_str(), end.at_s?))).collect();
    if ends.is_empty() {
        return;
    }
    page.head(
        NAME,
        "gauge",
        "Last second of each certificate that the configuration names, with its chain, since 1970.",
    );
    page.labelled(NAME, "role", ends);
}

#[cfg(test)]
mod tests;
