//! Watch on the TLS files of the link, or of the client of a local broker: authorities, lists of revoked certificates, and the certificate with its key are read again when they have
//! changed, each by itself. What cannot be read stays as it was and is told, and holds up none of the others.

#![allow(clippy::disallowed_methods, reason = "a shell: dates are those of this machine's clock")]

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use edge_bridge::Tls;
use edge_bridge::net::TlsError;

use crate::config::client_tls::ClientFiles;
use crate::config::peer::Peer;
use crate::run::configuration::file_stamp::{Stamp, stamp};

/// Stamps of the TLS files.
#[derive(Debug)]
pub(in crate::run) struct Stamps([Vec<Stamp>; PARTS.len()]);

impl Stamps {
    /// Takes the stamps. To be called before the files are read: a change in between is found at the next look then.
    pub(in crate::run) fn of(files: &ClientFiles) -> Self {
        Self(PARTS.map(|part| stamps(files, part)))
    }

    /// Has the certificate read at the first look: another one was read.
    pub(in crate::run) fn have_no_identity(&mut self) {
        let [_, _, identity] = &mut self.0;
        identity.clear();
    }
}

/// Returns a function that reads the link's TLS files again, which were `first` at the start and had these stamps before. It returns `None` while they are
/// unchanged. With an error the certificate of then cannot be used, and is tried again until it can.
pub(in crate::run) fn changed_tls(
    files: ClientFiles,
    stamps: Stamps,
    first: (Tls, Option<TlsError>),
) -> impl Fn() -> io::Result<Option<Tls>> + Send + Sync + 'static {
    let watch = Mutex::new(TlsWatch::new(Peer::Hub, files, stamps, first));
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
pub(in crate::run) struct TlsWatch {
    peer: Peer,
    files: ClientFiles,
    in_force: Tls,
    /// Settings at the time at which the lists were read: what they must not lose depends on the authorities of then.
    listed: Tls,
    stamps: [Vec<Stamp>; PARTS.len()],
    /// Set until there is a certificate that can be used, where there was none at the start.
    is_without: bool,
    /// Error of the certificate at the last look, where there is none that can be used, and none is to come.
    unusable: Option<String>,
    /// Errors at the last look of what was read before, in one text.
    stale: String,
}

impl TlsWatch {
    /// Tells if the certificate cannot be used.
    pub(in crate::run) fn new(
        peer: Peer,
        files: ClientFiles,
        Stamps(stamps): Stamps,
        (in_force, unusable): (Tls, Option<TlsError>),
    ) -> Self {
        let unusable = unusable.map(|error| error.to_string());
        let is_without = unusable.is_some() || files.waits_for_certificate();
        let listed = in_force.clone();
        let watch =
            Self { peer, files, listed, in_force, stamps, is_without, unusable, stale: String::new() };
        watch.tell_unusable();
        watch
    }

    fn tell_unusable(&self) {
        let Some(error) = &self.unusable else { return };
        match self.peer {
            Peer::Hub => {
                tracing::warn!(%error, "the link's certificate cannot be used: no connection is made until its files fit");
            }
            Peer::LocalBroker => {
                tracing::warn!(%error, "the certificate for the local broker cannot be used: no connection is made until its files fit");
            }
        }
    }

    fn tell_stale(&self) {
        let error = &self.stale;
        match self.peer {
            _ if error.is_empty() => {}
            Peer::Hub => {
                tracing::warn!(%error, "TLS files of the link cannot be read again: what was read last of them is used");
            }
            Peer::LocalBroker => {
                tracing::warn!(%error, "TLS files for the local broker cannot be read again: what was read last of them is used");
            }
        }
    }

    /// Returns the reason for which the certificate cannot be used, and could not since the start; `None` if it can, or is to come.
    pub(in crate::run) fn unusable(&self) -> Option<&str> {
        self.unusable.as_deref()
    }

    /// Returns what is in force if some of it has changed. A part that cannot be read is looked at again the next time: a certificate whose key the signer
    /// does not have yet, too.
    pub(in crate::run) fn look(&mut self) -> Option<Tls> {
        let (mut stale, mut unusable, mut is_changed) = (Vec::new(), None, false);
        for (part, last) in PARTS.into_iter().zip(&mut self.stamps) {
            let found = stamps(&self.files, part);
            // One that is yet to come is no mistake, and its key alone is of no use.
            let is_to_come = matches!(part, Part::Identity) && self.files.waits_for_certificate();
            let is_without = matches!(part, Part::Identity) && self.is_without;
            if is_to_come && is_without {
                self.in_force = self.in_force.clone().awaiting_certificate();
            }
            if found == *last && !is_without || is_to_come {
                continue;
            }
            match renewed(&self.files, part, &self.in_force, &self.listed) {
                Ok(tls) => {
                    (self.in_force, *last, is_changed) = (tls, found, true);
                    self.is_without &= !is_without;
                    if matches!(part, Part::Revocations) {
                        self.listed = self.in_force.clone();
                    }
                }
                Err(error) if is_without => {
                    self.in_force = self.in_force.clone().with_unusable_certificate(&error);
                    unusable = Some(error.to_string());
                }
                Err(error) => stale.push(error.to_string()),
            }
        }
        if self.unusable != unusable {
            self.unusable = unusable;
            // Each dial says the reason.
            is_changed = true;
            self.tell_unusable();
        }
        let stale = stale.join("; ");
        if self.stale != stale {
            self.stale = stale;
            self.tell_stale();
        }
        is_changed.then(|| self.in_force.clone())
    }
}

fn renewed(files: &ClientFiles, part: Part, in_force: &Tls, listed: &Tls) -> Result<Tls, TlsError> {
    let tls = in_force.clone();
    match (part, &files.crl, &files.cert, &files.key) {
        (Part::Authorities, crl, ..) => match (tls.clone().with_authorities(files.ca.as_deref()), crl) {
            // One of the same name with another key comes with its list, or stays out.
            (Err(TlsError::RevocationsOfOtherKey { .. }), Some(crl)) => {
                let tls = tls.with_authorities_and_crl(files.ca.as_deref(), crl)?;
                tls.keeps_revocations_of(listed, SystemTime::now())?;
                Ok(tls)
            }
            (renewed, _) => renewed,
        },
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

fn stamps(files: &ClientFiles, part: Part) -> Vec<Stamp> {
    let paths: &[&Option<PathBuf>] = match part {
        Part::Authorities => &[&files.ca],
        Part::Revocations => &[&files.crl],
        Part::Identity => &[&files.cert, &files.key],
    };
    paths.iter().filter_map(|file| file.as_deref()).map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use edge_bridge::net::ClockFloor;

    use crate::config::Config;

    use super::*;

    #[test]
    fn a_file_that_is_replaced_while_it_is_read_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            std::fs::write(dir.path().join("new"), params.self_signed(&key).unwrap().pem()).unwrap();
            std::fs::rename(dir.path().join("new"), dir.path().join("ca")).unwrap();
        };
        write("first");
        let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtts://hub\"\nca = \"ca\"\n[[route]]\nmatch = \"a\"\n";
        let files =
            Config::parse(&dir.path().join("gateway.toml"), text, &|_| None).unwrap().0.hub.tls_files();
        let read = || files.tls(Peer::Hub, ClockFloor::new(|| None)).unwrap();
        for is_replaced in [false, true] {
            let stamps = Stamps::of(&files);
            let tls = read();
            if is_replaced {
                write("second");
            }
            let mut watch = TlsWatch::new(Peer::Hub, files.clone(), stamps, tls);
            assert_eq!(watch.look().is_some(), is_replaced);
            assert!(watch.look().is_none() && watch.stale.is_empty());
        }
    }

    /// Each dial says the reason, which is that of the files of now.
    #[test]
    fn a_certificate_that_is_of_no_use_since_the_start_is_told_by_each_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let pair = |cert: &str, key: &str| {
            let pair = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["g".to_owned()]).unwrap();
            std::fs::write(path(cert), params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(path(key), pair.serialize_pem()).unwrap();
        };
        pair("cert", "key");
        pair("ca", "other");
        std::fs::copy(path("other"), path("key")).unwrap();
        let [ca, cert, key] = ["ca", "cert", "key"].map(|name| Some(path(name)));
        let files = ClientFiles { ca, cert, key, ..Default::default() };
        let read = files.tls(Peer::Hub, ClockFloor::new(|| None)).unwrap();
        let mut watch = TlsWatch::new(Peer::Hub, files.clone(), Stamps::of(&files), read);
        let unfitting = watch.unusable().unwrap().to_owned();
        assert!(watch.look().is_none(), "the reason is the same");
        std::fs::write(path("key"), "no key").unwrap();
        assert!(watch.look().is_some() && watch.look().is_none());
        let unreadable = watch.unusable().unwrap().to_owned();
        assert!(unfitting != unreadable && [&unfitting, &unreadable].iter().all(|why| why.contains("key")));
        pair("cert", "key");
        assert!(watch.look().is_some());
        assert_eq!((watch.unusable(), watch.stale.as_str()), (None, ""));
    }

    #[test]
    fn a_certificate_that_is_to_come_is_told_by_each_reason_too() {
        let dir = tempfile::tempdir().unwrap();
        let [ca, cert, key] = ["ca", "cert", "key"].map(|name| dir.path().join(name));
        let pair = || {
            let pair = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["g".to_owned()]).unwrap();
            (params.self_signed(&pair).unwrap().pem(), pair.serialize_pem())
        };
        let ((own, fitting), (other, _)) = (pair(), pair());
        std::fs::write(&ca, &own).unwrap();
        std::fs::write(&key, fitting).unwrap();
        let files = ClientFiles {
            ca: Some(ca.clone()),
            cert: Some(cert.clone()),
            key: Some(key),
            is_claimed: true,
            ..Default::default()
        };
        let read = files.tls(Peer::Hub, ClockFloor::new(|| None)).unwrap();
        let mut watch = TlsWatch::new(Peer::Hub, files.clone(), Stamps::of(&files), read);
        assert_eq!((watch.look().is_some(), watch.unusable()), (false, None), "it is to come");
        std::fs::write(&ca, "no authority").unwrap();
        assert!(watch.look().is_none() && watch.stale.contains("ca"), "{}", watch.stale);
        assert_eq!(watch.unusable(), None, "the other file says nothing of the certificate");
        std::fs::write(&cert, other).unwrap();
        assert!(watch.look().is_some() && watch.look().is_none());
        let why = watch.unusable().unwrap();
        assert!(
            why.contains("the key does not belong") && !why.contains(';'),
            "of the certificate alone: {why}"
        );
        std::fs::write(&ca, &own).unwrap();
        assert!(watch.look().is_some() && watch.stale.is_empty(), "{}", watch.stale);
        std::fs::remove_file(&cert).unwrap();
        assert_eq!((watch.look().is_some(), watch.unusable()), (true, None), "to enrol anew");
        std::fs::write(&cert, own).unwrap();
        assert_eq!((watch.look().is_some(), watch.unusable()), (true, None));
    }
}
