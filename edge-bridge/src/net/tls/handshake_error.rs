//! Handshake of a client that failed, and the words for it. For a server's certificate that is refused: what is wrong, what the certificate says, and which
//! file or setting is to look at, by the program's own [names](TlsSettingNames); for its dates with the clock that refused it, since often the clock is
//! wrong and not the certificate. And for a signer that does not sign.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustls::{CertificateError, Error};
use rustls_pki_types::{ServerName, UnixTime};

use super::Tls;
use super::certificate_kind::unfit_kind;
use super::error::TlsError;
use super::own_refusal::OwnCertificate;
use super::peer_certificate::PeerCertificate;
use super::setting_names::{TlsSettingNames, in_brackets};
use crate::escape::Escaped;
use crate::net::utc::Utc;

/// Handshake with a server that failed.
#[derive(Debug)]
pub(in crate::net) struct HandshakeFailure {
    pub(in crate::net) error: io::Error,
    /// Certificate of the server that was refused; `None` if none was, or settings made by [`Tls::from_config`] refused it.
    pub(in crate::net) refused: Option<PeerCertificate>,
}

/// Returns the error of a handshake with the server of this name; one about a certificate, or of a signer, in words of this crate, any other as it is.
pub(in crate::net) fn in_words(failed: HandshakeFailure, tls: &Tls, name: &ServerName<'_>) -> io::Error {
    let HandshakeFailure { error, refused } = failed;
    let (file, names) = (tls.authorities_file(), tls.setting_names());
    let dialled = Dialled { name: name.to_str().into_owned(), refused, file, names };
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let words = match (of_tls, error.kind()) {
        (Some(Error::AlertReceived(alert)), _) => OwnCertificate::of(tls).and_then(|own| own.words(*alert)),
        (Some(of_tls), _) => dialled.words(of_tls, UnixTime::now()),
        // A server that does not speak TLS closes with or without having read all.
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Some(dialled.end()),
        _ => None,
    };
    match words {
        Some(words) => io::Error::new(error.kind(), words),
        None => error,
    }
}

/// Returns whether the handshake failed on this side, by the server's certificate or a signer that is away, so that nothing is known of the own certificate.
pub(in crate::net) fn says_nothing_of_own_certificate(error: &io::Error) -> bool {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of_tls {
        Some(Error::InvalidCertificate(_)) => true,
        Some(Error::Other(other)) => match other.0.downcast_ref() {
            Some(TlsError::Signer { source, .. }) => !source.is_of_other_key(),
            _ => false,
        },
        _ => false,
    }
}

/// Server that was dialled, as far as an error is about it.
#[derive(Debug)]
struct Dialled<'a> {
    /// Name that the certificate has to have.
    name: String,
    /// Certificate that was refused; `None` if it is not known.
    refused: Option<PeerCertificate>,
    /// File of the trusted authorities; `None` if it is not known.
    file: Option<&'a Path>,
    names: TlsSettingNames,
}

impl Dialled<'_> {
    /// `clock` is this machine's clock. Its day alone is said, since these words are a label of a metric and a cause in the log: with the time of day each
    /// dial would be another one.
    fn words(&self, error: &Error, clock: UnixTime) -> Option<String> {
        let error = match error {
            Error::InvalidCertificate(error) => error,
            // Of a signer: rustls would put its own words before these.
            Error::Other(other) => return Some(other.0.to_string()),
            _ => return None,
        };
        let what = match error {
            CertificateError::NotValidYetContext { not_before, .. } => {
                let (from, clock) = (Utc::from(*not_before), Utc::from(clock).day());
                format!(
                    "is not valid before {from}{}, and it is {clock} by this machine's clock{}: set the clock if it is wrong{}, else replace the certificate at {}",
                    self.address_setting(),
                    self.certificate(),
                    self.trusted_clock(),
                    self.server()
                )
            }
            CertificateError::ExpiredContext { time, not_after } => {
                let (setting, said) = (self.address_setting(), expired(*time, *not_after, clock));
                // A clock that is ahead makes every certificate expired.
                let mend = if is_behind(*time, clock) { "" } else { "set the clock if it is wrong, else " };
                format!(
                    "has expired{setting}: {said}{}: {mend}replace it at {}",
                    self.certificate(),
                    self.server()
                )
            }
            // Without times: there is none at which it would be valid.
            CertificateError::Expired => {
                format!("ends before it begins{}: replace it at {}", self.certificate(), self.place())
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                self.wrong_name()
            }
            CertificateError::UnknownIssuer => format!(
                "does not lead to a root certificate in {}{}: put the certificate of its authority there, or let {} send those in between",
                self.authorities(),
                self.certificate(),
                self.peer()
            ),
            // An authority's key that is too short ends so, too. Without a certificate that was refused it is the signature of the handshake.
            CertificateError::BadSignature if self.refused.is_some() => format!(
                "is signed by another key than its authority has in {}, or that is an RSA key of less than 2048 bits{}: is that file of an earlier authority?",
                self.authorities(),
                self.certificate()
            ),
            // Of the handshake: whoever sent the certificate has not its key, or the key is too short.
            CertificateError::BadSignature => format!(
                "is not that of the key that signed the handshake, or that is an RSA key of less than 2048 bits{}: replace both at {}",
                self.certificate(),
                self.place()
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => format!(
                "is not one for servers, by its extended key usage{}: replace it at {}",
                self.certificate(),
                self.place()
            ),
            other => self.refusal(other),
        };
        Some(format!("{}'s certificate {what}", self.peer()))
    }

    /// Returns the words for a connection that ended in the handshake without a reason.
    fn end(&self) -> String {
        format!("{} ended the connection in the handshake: does it speak TLS at this port?", self.peer())
    }

    fn refusal(&self, error: &CertificateError) -> String {
        match (unfit_kind(error), error) {
            (Some(kind), _) => format!("{kind}{}: replace it at {}", self.certificate(), self.place()),
            (None, CertificateError::Other(other)) => format!("is refused: {}", other.0),
            (None, other) => format!("is refused: {other}{}", self.certificate()),
        }
    }

    /// Returns the word for the server.
    fn peer(&self) -> &'static str {
        if self.names.peer.is_empty() { "the hub" } else { self.names.peer }
    }

    /// Returns the server with the name that was dialled.
    fn server(&self) -> String {
        format!("{} \"{}\"", self.peer(), Escaped(&self.name))
    }

    /// Returns the server as [`server`](Self::server) does, and the name of the setting that has its address.
    fn place(&self) -> String {
        format!("{}{}", self.server(), self.address_setting())
    }

    /// Returns the name of the setting that has the server's address, behind a blank and in brackets. Where the words before it are long, it stands in front
    /// of them: a program may show their beginning alone.
    fn address_setting(&self) -> String {
        in_brackets(self.names.server_name)
    }

    /// Returns why a clock that may be wrong counts as right, in brackets; nothing if there is no setting for it.
    fn trusted_clock(&self) -> String {
        match self.names.clock {
            "" => String::new(),
            setting => format!(" (it counts as right by a time service, or by {setting})"),
        }
    }

    /// Returns what the certificate says, behind a blank and in brackets; nothing if it is not known.
    fn certificate(&self) -> String {
        self.refused.as_ref().map_or_else(String::new, |certificate| format!(" (one {certificate})"))
    }

    /// Returns the file of the authorities, and the name of the setting that has it.
    fn authorities(&self) -> String {
        let setting = in_brackets(self.names.authorities);
        match self.file {
            Some(file) => format!("{}{setting}", file.display()),
            None => format!("those that are trusted{setting}"),
        }
    }

    fn wrong_name(&self) -> String {
        let setting = in_brackets(self.names.server_name);
        let has = match &self.refused {
            None => "other names".to_owned(),
            Some(certificate) => match (certificate.names(), certificate.common_name()) {
                (Some(names), _) => names.to_owned(),
                (None, Some(name)) => {
                    format!(
                        "no name: its common name {name} does not count, a subject alternative name would"
                    )
                }
                (None, None) => "no name".to_owned(),
            },
        };
        format!("is not for \"{}\", which is dialled{setting}: it has {has}", Escaped(&self.name))
    }
}

/// Returns whether the clock is behind the time that was taken.
fn is_behind(taken: UnixTime, clock: UnixTime) -> bool {
    taken > UnixTime::since_unix_epoch(Duration::from_secs(clock.as_secs().saturating_add(1)))
}

/// Says since which time a certificate has expired, by this machine's clock or by the time that it is at least.
fn expired(taken: UnixTime, not_after: UnixTime, clock: UnixTime) -> String {
    let end = Utc::from(not_after);
    let is_behind = is_behind(taken, clock);
    let (taken, clock) = (Utc::from(taken).day(), Utc::from(clock).day());
    if is_behind {
        format!(
            "it ended at {end}, and it is {taken} at least, although this machine's clock, which is not known to be right, says {clock}"
        )
    } else {
        format!("it ended at {end}, and it is {clock} by this machine's clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialled(certificate: Option<&[u8]>) -> Dialled<'static> {
        Dialled {
            name: "hub.example".to_owned(),
            refused: certificate.map(PeerCertificate::new),
            file: Some(Path::new("/etc/plant.crt")),
            names: TlsSettingNames {
                server_name: "hub.url",
                authorities: "hub.ca",
                clock: "clock.trusted",
                ..TlsSettingNames::default()
            },
        }
    }

    fn words(error: &Error, clock: UnixTime) -> Option<String> {
        dialled(None).words(error, clock)
    }

    /// A certificate of "hub CA" for these names.
    fn certificate(names: &[&str], common_name: &str) -> Vec<u8> {
        let mut authority = rcgen::CertificateParams::default();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "hub CA");
        let authority = rcgen::Issuer::new(authority, rcgen::KeyPair::generate().unwrap());
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        let key = rcgen::KeyPair::generate().unwrap();
        params.signed_by(&key, &authority).unwrap().der().to_vec()
    }

    #[test]
    fn what_is_wrong_is_said_with_file_setting_and_what_the_certificate_says() {
        let der = certificate(&["a.example", "10.1.0.2"], "x");
        let said = |error| dialled(Some(&der)).words(&Error::InvalidCertificate(error), at(86_400)).unwrap();
        let of = "(one of \"a.example\", 10.1.0.2, issued by \"hub CA\")";
        let name = said(CertificateError::NotValidForName);
        assert_eq!(
            name,
            "the hub's certificate is not for \"hub.example\", which is dialled (hub.url): it has \"a.example\", 10.1.0.2"
        );
        for (error, words) in [
            (
                CertificateError::UnknownIssuer,
                "does not lead to a root certificate in /etc/plant.crt (hub.ca)",
            ),
            (
                CertificateError::BadSignature,
                "than its authority has in /etc/plant.crt (hub.ca), or that is an RSA key of less than 2048 bits",
            ),
            (CertificateError::InvalidPurpose, "is not one for servers, by its extended key usage"),
            (
                CertificateError::ExpiredContext { time: at(86_400), not_after: at(3_600) },
                "by this machine's clock",
            ),
            (
                CertificateError::NotValidYetContext { time: at(86_400), not_before: at(951_782_400) },
                "by this machine's clock",
            ),
        ] {
            let said = said(error);
            assert!(said.contains(&format!("{words} {of}: ")), "{said}");
        }
        let der = certificate(&[], "hub.example");
        let said =
            dialled(Some(&der)).words(&Error::InvalidCertificate(CertificateError::NotValidForName), at(0));
        let said = said.unwrap();
        assert!(said.ends_with("it has no name: its common name \"hub.example\" does not count, a subject alternative name would"), "{said}");
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_said_with_the_clock_that_refused_them() {
        let said = |error| words(&Error::InvalidCertificate(error), at(86_400));
        let early = CertificateError::NotValidYetContext { time: at(86_400), not_before: at(951_782_400) };
        let early = said(early).unwrap();
        assert!(
            early.contains("not valid before 2000-02-29T00:00:00Z (hub.url), and it is 1970-01-02 by this"),
            "{early}"
        );
        let late = |time| said(CertificateError::ExpiredContext { time, not_after: at(3_600) }).unwrap();
        assert!(late(at(86_400)).contains("1970-01-01T01:00:00Z, and it is 1970-01-02 by this"));
        let floor = late(at(951_782_400));
        assert!(floor.contains("it is 2000-02-29 at least") && floor.contains("says 1970-01-02:"), "{floor}");
        // Whatever is wrong with it, the server is named, with its setting.
        let server = "at the hub \"hub.example\"";
        assert!(floor.contains("'s certificate has expired (hub.url): it ended at 1970"), "{floor}");
        assert!(floor.ends_with(&format!(": replace it {server}")), "{floor}");
        let clock = ": set the clock if it is wrong (it counts as right by a time service, or by clock.trusted), else";
        assert!(early.ends_with(&format!("{clock} replace the certificate {server}")), "{early}");
        for error in [CertificateError::Expired, CertificateError::InvalidPurpose] {
            let said = said(error).unwrap();
            assert!(said.ends_with(&format!(": replace it {server} (hub.url)")), "{said}");
        }
    }

    /// Each other text is a series of its own in a metric, and a cause of its own in the log.
    #[test]
    fn the_words_are_the_same_one_second_later() {
        let early = |s| CertificateError::NotValidYetContext { time: at(s), not_before: at(951_782_400) };
        let late = |s| CertificateError::ExpiredContext { time: at(s), not_after: at(3_600) };
        // The floor of the clock is 30 years ahead of the clock.
        let floor = |s| CertificateError::ExpiredContext { time: at(951_782_400 + s), not_after: at(3_600) };
        let said = |error, clock| words(&Error::InvalidCertificate(error), at(clock)).unwrap();
        for second in 86_400..86_500 {
            assert_eq!(said(early(second), second), said(early(86_400), 86_400));
            assert_eq!(said(late(second), second), said(late(86_400), 86_400));
            assert_eq!(said(floor(second), second), said(floor(86_400), 86_400));
        }
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let tls = Tls::from_config(config.into());
        let name = ServerName::try_from("hub.example").unwrap();
        let said = |error| in_words(HandshakeFailure { error, refused: None }, &tls, &name);
        let alert = Error::AlertReceived(rustls::AlertDescription::UnknownCA);
        let alert = io::Error::new(io::ErrorKind::InvalidData, alert);
        assert!(said(alert).get_ref().unwrap().is::<Error>());
        assert_eq!(said(io::ErrorKind::UnexpectedEof.into()).kind(), io::ErrorKind::UnexpectedEof);
    }
}
