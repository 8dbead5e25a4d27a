//! End of a certificate's validity (RFC 5280 §4.1.2.5), read from DER.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::certificates;
use super::der::{GENERALIZED_TIME, SEQUENCE, UTC_TIME, element, fields};
use super::error::TlsError;

/// Returns the last second in which each certificate in `path` is valid, in the order of the file; in a chain the first one is the owner's.
/// PEM. A certificate whose dates cannot be read is left out.
///
/// # Errors
///
/// The file cannot be read, or has no certificate.
pub fn certificate_ends(path: impl AsRef<Path>) -> Result<Vec<SystemTime>, TlsError> {
    let all = certificates(path.as_ref())?;
    Ok(all.iter().filter_map(|certificate| not_after(certificate)).collect())
}

/// Returns the last second in which a certificate is valid.
pub(in crate::net) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (_issuer, _, fields) = element(from_issuer(certificate)?)?;
    let (SEQUENCE, validity, _) = element(fields)? else { return None };
    let (_, _, rest) = element(validity)?;
    let (kind, text, _) = element(rest)?;
    time(kind, text)
}

/// Returns the fields of a certificate from the name of its issuer on; the validity stands behind it, then the subject's name.
pub(in crate::net) fn from_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (_serial_number, _, fields) = element(fields(certificate)?)?;
    let (_signature, _, fields) = element(fields)?;
    Some(fields)
}

/// Returns the time of an element of this kind (RFC 5280 §4.1.2.5).
pub(in crate::net) fn time(kind: u8, text: &[u8]) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds(kind, text)?))
}

/// Seconds since 1970 of `YYMMDDhhmmssZ`, whose years are 1950 to 2049, or `YYYYMMDDhhmmssZ`. A time before 1970 is 0; `None` for another
/// text.
fn seconds(kind: u8, text: &[u8]) -> Option<u64> {
    let text = text.strip_suffix(b"Z")?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { year + 2_000 } else { year + 1_900 }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let [month, day, hour, minute, second] = parts(rest)?;
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    let is_time = hour < 24 && minute < 60 && second < 60;
    if !is_date || !is_time {
        return None;
    }
    let of_day = (hour * 60 + minute) * 60 + second;
    Some(u64::try_from(days(year, month, day) * 86_400 + of_day).unwrap_or(0))
}

/// Reads five numbers of two digits each.
fn parts(text: &[u8]) -> Option<[i64; 5]> {
    let mut all = [0; 5];
    if text.len() != 2 * all.len() {
        return None;
    }
    for (part, digits) in all.iter_mut().zip(text.chunks(2)) {
        *part = number(digits)?;
    }
    Some(all)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |all, b| b.is_ascii_digit().then(|| all * 10 + i64::from(b - b'0')))
}

/// Days from 1970-01-01 in the Gregorian calendar. The year begins in March, so that the leap day is its last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn until(year: i32, month: u8, day: u8) -> rcgen::Certificate {
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    #[test]
    fn the_end_is_that_of_the_file_in_both_notations() {
        // Seconds by another program (`date -u -d DATE +%s`); years from 2050 on are written in four digits.
        for ((year, month, day), seconds) in [
            ((1970, 1, 1), 0),
            ((2000, 2, 29), 951_782_400),
            ((2026, 11, 26), 1_795_651_200),
            ((2049, 12, 31), 2_524_521_600),
            ((2050, 1, 1), 2_524_608_000),
            ((2100, 3, 1), 4_107_542_400),
            ((4096, 1, 1), 67_090_118_400),
        ] {
            let end = not_after(until(year, month, day).der()).unwrap();
            assert_eq!(end, UNIX_EPOCH + Duration::from_secs(seconds), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn a_chain_has_the_ends_of_all_and_what_is_no_file_of_certificates_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.crt");
        std::fs::write(&path, until(2027, 1, 1).pem() + &until(2030, 1, 1).pem()).unwrap();
        let ends = certificate_ends(&path).unwrap();
        assert_eq!(ends, [1_798_761_600, 1_893_456_000].map(|end| UNIX_EPOCH + Duration::from_secs(end)));
        std::fs::write(&path, "nothing").unwrap();
        assert!(certificate_ends(&path).is_err());
        assert!(certificate_ends(dir.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_time_that_is_none_has_no_seconds_and_no_bytes_panic() {
        assert_eq!(seconds(UTC_TIME, b"700101000001Z"), Some(1));
        assert_eq!(seconds(UTC_TIME, b"500101000000Z"), Some(0), "before 1970");
        assert_eq!(seconds(GENERALIZED_TIME, b"19700101000001Z"), Some(1));
        for (kind, text) in [
            (UTC_TIME, "700101000001"),
            (UTC_TIME, "19700101000001Z"),
            (GENERALIZED_TIME, "700101000001Z"),
            (UTC_TIME, "701301000000Z"),
            (UTC_TIME, "700100000000Z"),
            (UTC_TIME, "700101240000Z"),
            (UTC_TIME, "70010100000xZ"),
            (SEQUENCE, "700101000001Z"),
        ] {
            assert_eq!(seconds(kind, text.as_bytes()), None, "{text}");
        }
        let certificate = until(2027, 1, 1);
        let der = certificate.der();
        for cut in 0..der.len() {
            let _ = not_after(&der[..cut]);
            for value in [0, 0x7f, 0x80, 0x82, 0xff] {
                let mut wrong = der.to_vec();
                wrong[cut] = value;
                let _ = not_after(&wrong);
            }
        }
    }

    /// Numbers that are no date or no time of day are none.
    #[test]
    fn a_time_that_there_is_not_is_none() {
        let of =
            |text: &str| seconds(if text.len() == 13 { UTC_TIME } else { GENERALIZED_TIME }, text.as_bytes());
        // `date -u -d 2049-12-31T23:59:59Z +%s`, and of 1999-01-01.
        assert_eq!((of("491231235959Z"), of("990101000000Z")), (Some(2_524_607_999), Some(915_148_800)));
        assert_eq!((of("500101000000Z"), of("19500101000000Z")), (Some(0), Some(0)), "1950");
        for wrong in [
            "20260001000000Z",
            "20261301000000Z",
            "20260100000000Z",
            "20260132000000Z",
            "20260101240000Z",
            "20260101006000Z",
            "20260101000060Z",
            "20260101000000",
            "202601010000Z0",
            "2026010100000aZ",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
