//! Certificate that a renewal by EST has replaced, kept beside `cert` until the hub has accepted a CONNECT with the new one. A start before that begins with
//! the former one and offers the new one, as the link does while it runs: a certificate that the hub does not take cuts no gateway off while the former
//! one is valid. The key is the same, so that both fit at any power cut.

#[cfg(feature = "est")]
use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "est")]
use edge_state::file;

use crate::config::client_tls::ClientFiles;
use crate::config::{Hub, operator_file};

/// Returns the path of the former certificate; `None` if there is none, or nothing in its place.
pub(super) fn of(hub: &Hub) -> Option<PathBuf> {
    let cert = hub.cert.as_deref().filter(|cert| hub.est.is_some() && operator_file::is_there(cert))?;
    Some(beside(cert)).filter(|former| operator_file::is_there(former))
}

/// Returns the files with which the link starts if there is a former certificate of this key.
pub(super) fn files(hub: &Hub) -> Option<ClientFiles> {
    Some(ClientFiles { cert: Some(of(hub)?), ..hub.tls_files() })
}

fn beside(cert: &Path) -> PathBuf {
    let mut path = cert.as_os_str().to_owned();
    path.push(".former");
    path.into()
}

/// Keeps the certificate in `cert`, unless one is kept already, which the hub may have taken: that in `cert` it has not.
#[cfg(feature = "est")]
pub(super) fn keep(cert: &Path, mode: u32) -> io::Result<()> {
    let former = beside(cert);
    if operator_file::is_there(&former) || !operator_file::is_there(cert) {
        return Ok(());
    }
    let (dir, name) = file::folder_and_name(&former)?;
    file::replace_with_mode(dir, name, mode, &operator_file::read(cert)?)
}

/// Removes the former certificate, because the hub has taken the new one.
#[cfg(feature = "est")]
pub(super) fn remove(hub: &Hub) -> io::Result<()> {
    of(hub).map_or(Ok(()), std::fs::remove_file)
}
