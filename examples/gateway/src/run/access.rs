//! Access of local clients while the gateway runs: users, rights and the listener's certificate are read again when their files change.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: files and a timer")]

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_bridge::access::{AclFile, Logins, PasswordFile};
use edge_bridge::listener::{Access, AllowAnonymous};
use edge_bridge::net::ServerTls;
use edge_bridge::net::server::LocalPublisher;

use crate::config::tls::listener_tls;
use crate::config::{AccessFiles, AccessRules, TlsAddress};

use super::error::RunError;

/// Period of the looks for a change. A file that changed is read when the next look finds it as it was: not while it is written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads the files for the listener's start.
///
/// # Errors
/// One of them is not in order.
pub(super) fn open(files: &AccessFiles) -> Result<(Access, AccessRules), RunError> {
    let rules = files.read().map_err(|error| RunError::Configuration(format!("[local] {error}")))?;
    Ok((access(files, rules.clone(), None)?, rules))
}

/// Reads certificate and key for the listener's start.
///
/// # Errors
/// One of them is not in order.
pub(super) fn open_tls(files: Option<&TlsAddress>) -> Result<Option<(SocketAddr, ServerTls)>, RunError> {
    let Some(files) = files else { return Ok(None) };
    let tls = listener_tls(files).map_err(|error| RunError::Configuration(format!("[local] {error}")))?;
    Ok(Some((files.address, tls)))
}

/// Keeps what is in force as the files say, for as long as the listener runs.
pub(super) async fn follow(
    (files, tls): (AccessFiles, Option<TlsAddress>),
    mut in_force: AccessRules,
    listener: LocalPublisher,
) {
    let rules = [files.passwords.clone(), files.acl.clone()].into_iter().flatten().collect();
    let certificates =
        tls.iter().flat_map(|tls| [Some(tls.cert.clone()), Some(tls.key.clone()), tls.client_ca.clone()]);
    let certificates = certificates.flatten().collect();
    let mut rules = Watch::new(rules).await;
    let mut certificates = Watch::new(certificates).await;
    while !(rules.files.is_empty() && certificates.files.is_empty()) {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut is_open = true;
        if rules.has_changed().await {
            is_open &= follow_rules(&files, &mut in_force, &listener).await;
        }
        if let Some(tls) = &tls
            && certificates.has_changed().await
        {
            is_open &= follow_certificate(tls, &listener).await;
        }
        if !is_open {
            return;
        }
    }
}

/// Returns whether the listener still runs.
async fn follow_rules(files: &AccessFiles, in_force: &mut AccessRules, listener: &LocalPublisher) -> bool {
    let read = files.clone();
    let read = tokio::task::spawn_blocking(move || read.read()).await;
    let changed = match read {
        Ok(Ok(rules)) => {
            access(files, rules.clone(), in_force.passwords.as_ref()).map(|access| (rules, access))
        }
        Ok(Err(error)) => Err(RunError::Failed(error.to_string())),
        Err(_) => return true,
    };
    let (rules, access) = match changed {
        Ok(changed) => changed,
        Err(error) => {
            tracing::warn!(%error, "the access of local clients stays as it was");
            return true;
        }
    };
    let users = rules.passwords.as_ref().map_or(0, PasswordFile::len);
    let rights = rules.acl.as_ref().map_or(0, AclFile::len);
    *in_force = rules;
    let is_open = listener.set_access(access).await.is_ok();
    tracing::info!(users, rights, "the access of local clients has changed");
    is_open
}

/// Returns whether the listener still runs.
async fn follow_certificate(files: &TlsAddress, listener: &LocalPublisher) -> bool {
    let read = files.clone();
    match tokio::task::spawn_blocking(move || listener_tls(&read)).await {
        Ok(Ok(tls)) => {
            let is_open = listener.set_tls(tls).await.is_ok();
            tracing::info!("the listener's certificate has changed: who connects from now on sees it");
            is_open
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the listener's certificate stays as it was");
            true
        }
        Err(_) => true,
    }
}

fn access(
    files: &AccessFiles,
    rules: AccessRules,
    before: Option<&PasswordFile>,
) -> Result<Access, RunError> {
    // Without passwords nobody proves a name but by a certificate: where there are any, no other name counts.
    let nameless = files.has_certificates.then(PasswordFile::default);
    let allow_anonymous = files.allow_anonymous || rules.passwords.is_none();
    let access = match rules.passwords.or(nameless) {
        None => Access::of(AllowAnonymous),
        Some(passwords) => {
            let logins = Logins::new(passwords, secret()?).allow_anonymous(allow_anonymous);
            Access::of(match before {
                Some(before) => logins.replacing(before),
                None => logins,
            })
        }
    };
    Ok(match rules.acl {
        Some(acl) => access.with_rights(acl),
        None => access,
    })
}

/// Returns random bytes of the system.
fn secret() -> Result<[u8; 32], RunError> {
    let mut secret = [0; 32];
    let failed = |error| RunError::Failed(format!("no random numbers: {error}"));
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty()).map_err(failed)?;
    Ok(secret)
}

/// Marks of a file by which a change is seen: also of one that a rename or a link put in its place. `None`: it is not there.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

/// Files and how they were when they were looked at.
struct Watch {
    files: Vec<PathBuf>,
    last: Vec<Stamp>,
    /// As they were when what they hold came in force, or was told to be wrong.
    applied: Vec<Stamp>,
}

impl Watch {
    async fn new(files: Vec<PathBuf>) -> Self {
        let last = stamps(&files).await;
        Self { files, applied: last.clone(), last }
    }

    /// Looks; tells of each change once, when a second look has found it.
    async fn has_changed(&mut self) -> bool {
        let found = stamps(&self.files).await;
        let is_settled = found == self.last;
        self.last = found;
        let has_changed = is_settled && self.last != self.applied;
        if has_changed {
            self.applied.clone_from(&self.last);
        }
        has_changed
    }
}

async fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let files = files.to_vec();
    let looked = tokio::task::spawn_blocking(move || files.iter().map(|path| stamp(path)).collect());
    looked.await.unwrap_or_default()
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()))
}
