//! Replacement of lists of revoked certificates while a program runs. A list that is missing, older, or out of date says nothing against the
//! certificates of its authority, so that the wrong file in its place would make revoked ones good without a word.

use std::path::Path;
use std::time::SystemTime;

use rustls::RootCertStore;

use super::error::{RevocationLoss, TlsError};
use super::revocation::{RevocationLists, issuer, next_update, this_update};
use super::{ServerTls, Tls, revocation_signature, roots};

/// Returns whether an authority in `ca` made one of the lists of revoked certificates in `crl`. PEM. A list of an authority below these counts too,
/// but only for certificates that are shown with that authority's own.
///
/// # Errors
///
/// A file cannot be read, or has no list or no certificate.
pub fn revocation_lists_are_of(crl: impl AsRef<Path>, ca: impl AsRef<Path>) -> Result<bool, TlsError> {
    Ok(are_of(&RevocationLists::read(crl.as_ref())?, &roots(ca.as_ref())?))
}

impl Tls {
    /// Checks that these settings, read again at the time `at`, revoke what `former` does: of each authority that has a list there and is still
    /// trusted they have one that is no older, and is not out of date unless that one is. Settings without any list are taken as they are, and a file
    /// without a list of a trusted authority gives way to any.
    ///
    /// # Errors
    ///
    /// [`TlsError::RevocationsLost`] names the file and the authority.
    pub fn keeps_revocations_of(&self, former: &Self, at: SystemTime) -> Result<(), TlsError> {
        let Some((new, former)) = self.verifier.as_ref().zip(former.verifier.as_ref()) else { return Ok(()) };
        check(new.authorities(), former.authorities(), at)
    }
}

impl ServerTls {
    /// Checks that these settings, read again at the time `at`, revoke what `former` does, as [`Tls::keeps_revocations_of`] does.
    ///
    /// # Errors
    ///
    /// [`TlsError::RevocationsLost`] names the file and the authority.
    pub fn keeps_revocations_of(&self, former: &Self, at: SystemTime) -> Result<(), TlsError> {
        let Some((new, former)) = self.verifier.as_ref().zip(former.verifier.as_ref()) else { return Ok(()) };
        check(new.authorities(), former.authorities(), at)
    }
}

/// Trusted authorities, and lists of what they revoked.
type Authorities<'a> = (&'a RootCertStore, Option<&'a RevocationLists>);

fn check(
    (new_roots, new): Authorities<'_>,
    (former_roots, former): Authorities<'_>,
    at: SystemTime,
) -> Result<(), TlsError> {
    let (Some(new), Some(former)) = (new, former) else { return Ok(()) };
    if !are_of(former, former_roots) {
        return Ok(());
    }
    for list in &former.lists {
        let Some(authority) = issuer(list) else { continue };
        // Of several lists of one authority the first counts.
        let in_force = of(former, authority).unwrap_or(list);
        // One of its name with another key is another one.
        if is_trusted(former_roots, authority) && !revocation_signature::is_of(in_force, new_roots) {
            continue;
        }
        if let Some(loss) = loss(of(new, authority), in_force, at) {
            let authority = revocation_signature::authority(list);
            return Err(TlsError::RevocationsLost { path: new.file.clone(), authority, loss });
        }
    }
    Ok(())
}

/// Compares by the times of the lists: the clock of this machine counts only for which of two is out of date.
fn loss(new: Option<&[u8]>, in_force: &[u8], at: SystemTime) -> Option<RevocationLoss> {
    let Some(new) = new else { return Some(RevocationLoss::Missing) };
    let has_ended = |list| next_update(list).is_some_and(|end| end <= at);
    if this_update(new) < this_update(in_force) {
        Some(RevocationLoss::Older)
    } else if has_ended(new) && !has_ended(in_force) {
        Some(RevocationLoss::OutOfDate)
    } else {
        None
    }
}

fn of<'a>(lists: &'a RevocationLists, authority: &[u8]) -> Option<&'a [u8]> {
    lists.lists.iter().find(|list| issuer(list) == Some(authority)).map(|list| &**list)
}

fn are_of(lists: &RevocationLists, roots: &RootCertStore) -> bool {
    lists.lists.iter().any(|list| issuer(list).is_some_and(|authority| is_trusted(roots, authority)))
}

fn is_trusted(roots: &RootCertStore, authority: &[u8]) -> bool {
    roots.roots.iter().any(|root| root.subject.as_ref() == authority)
}
