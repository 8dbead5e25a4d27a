//! Words for a hub's certificate that is refused for its dates, with the clock that refused it, since often the clock is wrong and not the
//! certificate; for one that is revoked; and for a signer that does not sign.

use std::io;
use std::time::Duration;

use rustls::{CertificateError, Error};
use rustls_pki_types::UnixTime;

use super::super::tls::error::TlsError;
use super::super::utc::Utc;

/// Returns the error of a handshake; one about a certificate's dates or its revocation, or of a signer, in words of this crate, any other as it is.
pub(super) fn in_words(error: io::Error) -> io::Error {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match of_tls.and_then(|of_tls| words(of_tls, UnixTime::now())) {
        Some(words) => io::Error::new(error.kind(), words),
        None => error,
    }
}

/// Returns whether the handshake failed on this side, by the hub's certificate or a signer that is away, so that nothing is known of the own certificate.
pub(super) fn says_nothing_of_own_certificate(error: &io::Error) -> bool {
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

/// `clock` is this machine's clock. Its day alone is said, since these words are a label of a metric and a cause in the log: with the time of day each
/// dial would be another one.
fn words(error: &Error, clock: UnixTime) -> Option<String> {
    let error = match error {
        Error::InvalidCertificate(error) => error,
        // Of a signer: rustls would put its own words before these.
        Error::Other(other) => return Some(other.0.to_string()),
        _ => return None,
    };
    Some(match error {
        CertificateError::NotValidYetContext { not_before, .. } => {
            let (from, clock) = (Utc::from(*not_before), Utc::from(clock).day());
            format!(
                "the hub's certificate is not valid before {from}, and it is {clock} by this machine's clock"
            )
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let end = Utc::from(*not_after);
            let clock_s = Duration::from_secs(clock.as_secs().saturating_add(1));
            let (taken, is_behind) = (Utc::from(*time).day(), *time > UnixTime::since_unix_epoch(clock_s));
            let clock = Utc::from(clock).day();
            if is_behind {
                format!(
                    "the hub's certificate has expired: it ended at {end}, and it is {taken} at least, although this machine's clock, which is not \
                     known to be right, says {clock}"
                )
            } else {
                format!(
                    "the hub's certificate has expired: it ended at {end}, and it is {clock} by this machine's clock"
                )
            }
        }
        CertificateError::Other(other) => format!("the hub's certificate is refused: {}", other.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn dates_are_said_with_the_clock_that_refused_them() {
        let said = |error| words(&Error::InvalidCertificate(error), at(86_400));
        let early = CertificateError::NotValidYetContext { time: at(86_400), not_before: at(951_782_400) };
        let early = said(early).unwrap();
        assert!(
            early.contains("not valid before 2000-02-29T00:00:00Z, and it is 1970-01-02 by this"),
            "{early}"
        );
        let late = |time| said(CertificateError::ExpiredContext { time, not_after: at(3_600) }).unwrap();
        assert!(late(at(86_400)).contains("1970-01-01T01:00:00Z, and it is 1970-01-02 by this"));
        let floor = late(at(951_782_400));
        assert!(floor.contains("it is 2000-02-29 at least") && floor.ends_with("says 1970-01-02"), "{floor}");
        assert_eq!(said(CertificateError::UnknownIssuer), None);
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
        let error =
            io::Error::new(io::ErrorKind::InvalidData, Error::InvalidCertificate(CertificateError::Revoked));
        assert!(in_words(error).get_ref().unwrap().is::<Error>());
        assert_eq!(in_words(io::ErrorKind::UnexpectedEof.into()).kind(), io::ErrorKind::UnexpectedEof);
    }
}
