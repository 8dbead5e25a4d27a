//! Watch on the TLS files of `[hub]`: authorities, lists of revoked certificates, and the certificate with its key are read again when they have
//! changed, each by itself. What cannot be read stays as it was and is told, and holds up none of the others.

#![allow(clippy::disallowed_methods, reason = "a shell: dates are those of this machine's clock")]

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use edge_bridge::Tls;
use edge_bridge::net::TlsError;

use crate::config::Hub;
use crate::run::configuration::file_stamp::{Stamp, stamp};

/// Returns a function that reads the TLS files again, which were `first` at the start. It returns `None` while they are unchanged.
pub(super) fn changed_tls(
    hub: &Hub,
    first: Tls,
) -> impl Fn() -> io::Result<Option<Tls>> + Send + Sync + 'static {
    let watch = Mutex::new(TlsWatch::new(hub, first));
    move || Ok(watch.lock().unwrap_or_else(PoisonError::into_inner).look())
}

/// Part of the settings that is renewed as a whole, or not at all.
#[derive(Clone, Copy, Debug)]
enum Part {
    Authorities,
    Revocations,
    Identity,
}

const PARTS: [Part; 3] = [Part::Authorities, Part::Revocations, Part::Identity];

/// Settings in force, and the stamps of the files that they are from.
#[derive(Debug)]
struct TlsWatch {
    hub: Hub,
    in_force: Tls,
    /// Settings at the time at which the lists were read: what they must not lose depends on the authorities of then.
    listed: Tls,
    stamps: [Vec<Stamp>; PARTS.len()],
    /// Error text in the last log line.
    told: String,
}

impl TlsWatch {
    fn new(hub: &Hub, in_force: Tls) -> Self {
        let stamps = PARTS.map(|part| stamps(hub, part));
        Self { hub: hub.clone(), listed: in_force.clone(), in_force, stamps, told: String::new() }
    }

    /// Returns what is in force if some of it has changed. A part that cannot be read is looked at again before the next dial: a certificate whose key
    /// the signer does not have yet, too.
    fn look(&mut self) -> Option<Tls> {
        let (mut failed, mut is_changed) = (Vec::new(), false);
        for (part, last) in PARTS.into_iter().zip(&mut self.stamps) {
            let found = stamps(&self.hub, part);
            if found == *last {
                continue;
            }
            match renewed(&self.hub, part, &self.in_force, &self.listed) {
                Ok(tls) => {
                    (self.in_force, *last, is_changed) = (tls, found, true);
                    if matches!(part, Part::Revocations) {
                        self.listed = self.in_force.clone();
                    }
                }
                Err(error) => failed.push(error.to_string()),
            }
        }
        let error = failed.join("; ");
        if self.told != error && !error.is_empty() {
            tracing::warn!(%error, "TLS files of the link cannot be read again: what was read last of them is used");
        }
        self.told = error;
        is_changed.then(|| self.in_force.clone())
    }
}

fn renewed(hub: &Hub, part: Part, in_force: &Tls, listed: &Tls) -> Result<Tls, TlsError> {
    let tls = in_force.clone();
    match (part, &hub.crl, &hub.cert, &hub.key) {
        (Part::Authorities, ..) => tls.with_authorities(hub.ca.as_deref()),
        (Part::Revocations, Some(crl), ..) => {
            let tls = tls.with_crl(crl)?;
            tls.keeps_revocations_of(listed, SystemTime::now())?;
            Ok(tls)
        }
        (Part::Identity, _, Some(cert), Some(key)) => {
            let tls = tls.with_identity(cert, key)?;
            tls.check_signer()?;
            Ok(tls)
        }
        _ => Ok(tls),
    }
}

fn stamps(hub: &Hub, part: Part) -> Vec<Stamp> {
    let files: &[&Option<PathBuf>] = match part {
        Part::Authorities => &[&hub.ca],
        Part::Revocations => &[&hub.crl],
        Part::Identity => &[&hub.cert, &hub.key],
    };
    files.iter().filter_map(|file| file.as_deref()).map(stamp).collect()
}
