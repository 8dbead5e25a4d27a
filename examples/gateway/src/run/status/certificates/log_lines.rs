//! Log lines about certificates, and lists of revoked ones, that need somebody: one a day for each file.

use std::time::SystemTime;

use crate::config::tls::UnfitForClients;

use super::File;

/// Logs what is wrong with a file.
pub(super) fn tell(file: &File, now: SystemTime, unfit: Option<UnfitForClients>) {
    let (role, path, days) = (file.role, file.path.display(), file.days_left(now));
    if role.is_list() {
        if file.is_unreadable() {
            tracing::warn!(%role, %path, "a list of revoked certificates cannot be used: the last one counts, the next start fails");
        } else if file.is_foreign {
            tracing::warn!(%role, %path, "a list of revoked certificates is of another authority than the one that is named: it keeps out nobody whom that one revoked");
        } else {
            tracing::warn!(%role, %path, "a list of revoked certificates is out of date, by this machine's clock: who was revoked since is let in until there is a new one");
        }
    } else if file.is_unreadable() && role.is_authority() {
        tracing::warn!(%role, %path, "an authority's certificate cannot be read: the next start fails");
    } else if file.is_unreadable() {
        tracing::warn!(%role, %path, "a certificate cannot be read, or its key is of another one: after a start no connection is made with it");
    } else if let Some(unfit) = unfit {
        let problem = unfit.words();
        tracing::warn!(%role, %path, problem, "a certificate that clients refuse: put one in place that they take ([local] cert)");
    } else if file.end().is_some_and(|end| end <= now) {
        tracing::warn!(%role, %path, "a certificate has ended, by this machine's clock: renew it");
    } else {
        tracing::warn!(%role, %path, days, "a certificate ends soon, by this machine's clock: renew it");
    }
}
