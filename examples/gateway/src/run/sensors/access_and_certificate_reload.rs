//! Reload of the local clients' access control: users, rights and the listener's certificate are read again when their files change.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: files and a timer")]

use std::path::PathBuf;
use std::time::Duration;

use edge_bridge::access::{AccessRules, AclFile, LoginMemory, PasswordFile};
use edge_bridge::listener::Access;
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::net::{ClockFloor, ServerTls};

use crate::config::{AccessFiles, TlsAddresses};

use crate::run::configuration::file_stamp::{Stamp, stamp};
use crate::run::error::RunError;
use crate::run::status::snapshot::CurrentFacts;

use super::access_refusals::{CERTIFICATES, RULES, Refusals};
use super::listener_tls::{ListenerTls, Renewal};

/// Period of the checks for a change. A changed file is read when two checks in a row find it the same, so that it is not read while it is being
/// written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Content that is in force, with the stamps by which a change of the files is noticed.
pub(in crate::run) struct InForce {
    rules: RulesInForce,
    certificates: CertificatesInForce,
}

/// Users and rights.
struct RulesInForce {
    watch: Watch,
    passwords: Option<PasswordFile>,
    acl: Option<AclFile>,
    memory: LoginMemory,
}

/// Certificate of the listener, authorities of its clients, and lists of what these revoked.
struct CertificatesInForce {
    watch: Watch,
    tls: Option<ListenerTls>,
}

impl RulesInForce {
    /// Returns whether these files decide as those in force: written anew with the same users and rights, as a volume that is swapped as a whole is.
    fn decides_as(&self, rules: &AccessRules) -> bool {
        let are_same = |before: &PasswordFile, now: &PasswordFile| {
            before.len() == now.len() && now.users().all(|user| now.is_unchanged(before, user))
        };
        let has_same_users = match (&self.passwords, &rules.passwords) {
            (Some(before), Some(now)) => are_same(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        has_same_users && self.acl == rules.acl
    }
}

impl CertificatesInForce {
    /// Returns the reason why the listener has no certificate to show, without the paths of this machine; `None` if it has one, or needs none.
    fn without_tls(&self) -> Option<String> {
        Some(self.tls.as_ref()?.unusable.as_ref()?.shareable.clone())
    }
}

/// Reads the files for the listener's start.
///
/// # Errors
/// One of them is invalid.
pub(in crate::run) fn open(
    files: &AccessFiles,
    tls: Option<&TlsAddresses>,
    floor: ClockFloor,
) -> Result<(Access, Option<ServerTls>, InForce), RunError> {
    let configuration = |error: String| RunError::Configuration(format!("[local] {error}"));
    let memory = LoginMemory::new(secret()?);
    // Looked at before they are read: a change in between is found later.
    let rules_watch = Watch::new([&files.passwords, &files.acl].into_iter().flatten().cloned().collect());
    let of_tls = tls
        .iter()
        .flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref(), tls.client_crl.as_ref()]);
    let mut certificates = Watch::new(of_tls.flatten().cloned().collect());
    let rules = files.read().map_err(|error| RunError::Configuration(error.to_string()))?;
    let tls = tls.map(|files| ListenerTls::open(files, floor)).transpose();
    let tls = tls.map_err(|error| configuration(error.to_string()))?;
    if let Some(unusable) = tls.as_ref().and_then(|tls| tls.unusable.as_ref()) {
        unusable.tell();
        if unusable.is_unread {
            certificates.is_to_be_read_again();
        }
    }
    let server = tls.as_ref().map(|tls| tls.in_force.clone());
    let (passwords, acl) = (rules.passwords.clone(), rules.acl.clone());
    let in_force = RulesInForce { watch: rules_watch, passwords, acl, memory };
    let access = access(rules, &in_force);
    let certificates = CertificatesInForce { watch: certificates, tls };
    Ok((access, server, InForce { rules: in_force, certificates }))
}

/// Applies changes of the files for as long as the listener runs. Users with rights, and certificates, are looked at each by themselves: the disk of one may
/// be away.
pub(in crate::run) async fn follow(
    files: AccessFiles,
    tls: Option<TlsAddresses>,
    InForce { mut rules, mut certificates }: InForce,
    (listener, facts): (LocalPublisher, CurrentFacts),
) {
    let refusals = Refusals::new(&facts);
    facts.set_without_tls(certificates.without_tls());
    let of_rules = async {
        let (mut looks, mut is_open) = (refusals.looks(RULES), true);
        while is_open && !rules.watch.files.is_empty() {
            // At once: what there is to be told of the start is true from then on.
            looks.tell(&rules.watch.told);
            tokio::time::sleep(LOOK_EVERY).await;
            let watched = rules.watch.files.clone();
            let look = async {
                !rules.watch.has_changed().await
                    || follow_rules(&files, &mut rules, (&listener, &facts)).await
            };
            is_open = looks.wait(&watched, look).await;
        }
    };
    let of_certificates = async {
        let Some(tls) = &tls else { return };
        let (mut looks, mut is_open) = (refusals.looks(CERTIFICATES), true);
        while is_open {
            looks.tell(&certificates.watch.told);
            facts.set_without_tls(certificates.without_tls());
            tokio::time::sleep(LOOK_EVERY).await;
            let watched = certificates.watch.files.clone();
            let look = async {
                !certificates.watch.has_changed().await
                    || follow_certificate(tls, &mut certificates, &listener).await
            };
            is_open = looks.wait(&watched, look).await;
        }
    };
    tokio::join!(of_rules, of_certificates);
}

/// Reads users and rights again and applies them. Returns whether the listener still runs.
async fn follow_rules(
    files: &AccessFiles,
    in_force: &mut RulesInForce,
    (listener, facts): (&LocalPublisher, &CurrentFacts),
) -> bool {
    let read = files.clone();
    let read = tokio::task::spawn_blocking(move || read.read()).await;
    let rules = match read {
        Ok(Ok(rules)) => rules,
        Ok(Err(error)) => {
            if in_force.watch.is_told(error.is_of_content(), &error.to_string()) {
                tracing::warn!(%error, "the access of local clients stays as it was");
            }
            return true;
        }
        Err(_) => return true,
    };
    in_force.watch.is_applied();
    if in_force.decides_as(&rules) {
        return true;
    }
    let users = rules.passwords.as_ref().map_or(0, PasswordFile::len);
    let rights = rules.acl.as_ref().map_or(0, AclFile::len);
    let (passwords, acl) = (rules.passwords.clone(), rules.acl.clone());
    let access = access(rules, in_force);
    (in_force.passwords, in_force.acl) = (passwords, acl);
    // Whoever is refused by the new rights is told again.
    facts.set_refused_topic(None);
    let is_open = listener.set_access(access).await.is_ok();
    tracing::info!(users, rights, "the access of local clients has changed");
    is_open
}

/// Reads the TLS files again and applies what can be read. Returns whether the listener still runs.
async fn follow_certificate(
    files: &TlsAddresses,
    in_force: &mut CertificatesInForce,
    listener: &LocalPublisher,
) -> bool {
    let Some(former) = in_force.tls.clone() else { return true };
    let (read, unusable) = (files.clone(), former.unusable.clone());
    let Ok(renewal) = tokio::task::spawn_blocking(move || former.renewed(&read)).await else { return true };
    match &renewal.failed {
        None => in_force.watch.is_applied(),
        Some(error) => {
            if in_force.watch.is_told(renewal.is_of_content, error) {
                tracing::warn!(%error, "TLS files of the listener stay as they were");
            }
        }
    }
    if let Some(now) = &renewal.tls.unusable {
        if Some(now) != unusable.as_ref() {
            now.tell();
        }
        if now.is_unread {
            in_force.watch.is_to_be_read_again();
        }
    }
    let Renewal { tls, shows_another, doubt, verifies_again, .. } = renewal;
    in_force.tls = Some(tls.clone());
    if !shows_another && !verifies_again {
        return true;
    }
    let is_open = listener.set_tls(tls.in_force, verifies_again).await.is_ok();
    if verifies_again {
        tracing::info!(
            "the authorities of local clients, or what they revoked, have changed: clients with a certificate come again"
        );
    } else {
        tracing::info!("the listener's certificate has changed: who connects from now on sees it");
    }
    if let Some(error) = doubt {
        tracing::warn!(%error, "the listener shows a certificate that clients refuse, or may refuse");
    }
    is_open
}

fn access(rules: AccessRules, in_force: &RulesInForce) -> Access {
    rules.access(in_force.memory.clone(), in_force.passwords.as_ref())
}

/// Returns random bytes of the system.
fn secret() -> Result<[u8; 32], RunError> {
    let mut secret = [0; 32];
    let failed = |error| RunError::Failed(format!("no random numbers: {error}"));
    rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty()).map_err(failed)?;
    Ok(secret)
}

/// Watched files, with their stamps.
struct Watch {
    files: Vec<PathBuf>,
    last: Vec<Stamp>,
    /// Stamps of the files when their content was last applied, or reported as wrong.
    applied: Vec<Stamp>,
    /// Error text in the last log line.
    told: String,
    /// Set if the files could not be read then, so that their content is unknown.
    is_unread: bool,
}

impl Watch {
    fn new(files: Vec<PathBuf>) -> Self {
        let last: Vec<_> = files.iter().map(|path| stamp(path)).collect();
        Self { files, applied: last.clone(), last, told: String::new(), is_unread: false }
    }

    /// Checks the files. Returns true if they differ from the applied content and two checks in a row found them the same, until
    /// [`is_applied`](Self::is_applied).
    async fn has_changed(&mut self) -> bool {
        let files = self.files.clone();
        let looked =
            tokio::task::spawn_blocking(move || files.iter().map(|path| stamp(path)).collect::<Vec<_>>());
        let Ok(found) = looked.await else { return false };
        let is_settled = found == self.last;
        self.last = found;
        let is_changed = self.last != self.applied;
        if is_settled && !is_changed && self.is_unread {
            // They are back as they were.
            self.is_applied();
        }
        is_settled && is_changed
    }

    /// Records that the files' present content is applied.
    fn is_applied(&mut self) {
        self.applied.clone_from(&self.last);
        self.told.clear();
        self.is_unread = false;
    }

    /// Has the files read again at the next check, although they may be the same.
    fn is_to_be_read_again(&mut self) {
        self.applied.clear();
    }

    /// Records an error. A file with an error in its content is not read again until it changes; after any other error it is read again at the
    /// next check. Returns whether the error is to be logged.
    fn is_told(&mut self, is_of_content: bool, error: &str) -> bool {
        if is_of_content {
            self.applied.clone_from(&self.last);
        }
        self.is_unread = !is_of_content;
        let is_news = self.told != error || is_of_content;
        error.clone_into(&mut self.told);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that was not there for a moment, such as a volume that is mounted again.
    #[tokio::test]
    async fn files_that_are_back_as_they_were_are_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let (at, away) = (dir.path().join("at"), dir.path().join("away"));
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("users"), "").unwrap();
        let mut watch = Watch::new(vec![at.join("users")]);
        std::fs::rename(&at, &away).unwrap();
        assert!(!watch.has_changed().await && watch.has_changed().await);
        assert!(watch.is_told(false, "not found") && !watch.is_told(false, "not found"));
        std::fs::rename(&away, &at).unwrap();
        assert!(!watch.has_changed().await && !watch.has_changed().await);
        assert_eq!(watch.told, "");
    }

    /// Whoever reads the log or the status does not know which setting names the file.
    #[test]
    fn an_error_of_a_file_names_the_file_and_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let (users, rights) = (dir.path().join("users"), dir.path().join("rights"));
        std::fs::write(&users, "oven:secret\n").unwrap();
        std::fs::write(&rights, "topic up and down\n").unwrap();
        let gone = dir.path().join("gone");
        for (passwords, acl, said) in [
            (Some(&users), None, format!("{} ([local] password_file): line 1: ", users.display())),
            (None, Some(&rights), format!("{} ([local] acl_file): line 1: ", rights.display())),
            (Some(&gone), None, format!("{} ([local] password_file): No such file", gone.display())),
            (None, Some(&gone), format!("{} ([local] acl_file): No such file", gone.display())),
        ] {
            let files =
                AccessFiles { passwords: passwords.cloned(), acl: acl.cloned(), ..AccessFiles::default() };
            let changed = files.read().unwrap_err().to_string();
            assert!(changed.starts_with(&said), "{changed}");
            let Err(at_start) = open(&files, None, ClockFloor::new(|| None)) else { panic!("{said}") };
            assert!(at_start.to_string().contains(&said), "{at_start}");
            assert_eq!(at_start.to_string().matches("[local]").count(), 1, "{at_start}");
        }
    }

    /// A volume of Kubernetes is swapped as a whole, whichever of its files is another one.
    #[test]
    fn files_that_are_written_again_decide_as_before_unless_a_user_or_a_right_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let (users, rights) = (dir.path().join("users"), dir.path().join("rights"));
        let user = |name: &str, salt: u8| PasswordFile::line(name, b"secret", [salt; 12]).unwrap() + "\n";
        let (one, other) = (user("oven", 1), user("panel", 2));
        let files = AccessFiles {
            passwords: Some(users.clone()),
            acl: Some(rights.clone()),
            ..AccessFiles::default()
        };
        let write = |of_users: &str, of_rights: &str| {
            std::fs::write(&users, of_users).unwrap();
            std::fs::write(&rights, of_rights).unwrap();
        };
        write(&format!("{one}{other}"), "user oven\ntopic read a/#\n");
        let (_, _, in_force) = open(&files, None, ClockFloor::new(|| None)).unwrap();
        let decides_as = |of_users: &str, of_rights: &str| {
            write(of_users, of_rights);
            in_force.rules.decides_as(&files.read().unwrap())
        };
        let both = format!("{one}{other}");
        assert!(decides_as(&both, "user oven\ntopic read a/#\n"));
        assert!(decides_as(&format!("{other}{one}"), "# a word\nuser oven\ntopic read a/#\n"));
        assert!(!decides_as(&one, "user oven\ntopic read a/#\n"), "a user less");
        assert!(
            !decides_as(&format!("{one}{}", user("panel", 3)), "user oven\ntopic read a/#\n"),
            "a password"
        );
        assert!(
            !decides_as(&format!("{one}{}", user("pane2", 2)), "user oven\ntopic read a/#\n"),
            "another user"
        );
        assert!(!decides_as(&both, "user oven\ntopic readwrite a/#\n"), "a right");
        assert!(!decides_as(&both, "topic read a/#\n"), "of whom");
    }
}
