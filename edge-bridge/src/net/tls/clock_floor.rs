//! Clock floor: the earliest time that it can be, by which certificates are judged while the wall clock is not known to be right. A board without
//! a battery-backed clock boots in 1970, or in the past, and would refuse its hub's certificate as not valid yet for as long as no time server
//! answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, Error, ServerConfig};
use rustls_pki_types::UnixTime;

use super::error::TlsError;
use super::{ServerTls, server_config};
use crate::net::utc::Utc;

/// Most certificates of a chain whose beginnings are taken for the time. Chains are shorter.
const CHAIN_MAX: usize = 8;

/// Earliest time that it can be, for certificates of the other side ([`Tls::with_clock_floor`](crate::net::Tls::with_clock_floor),
/// [`ServerTls::with_clock_floor`](crate::net::ServerTls::with_clock_floor)). Clones share it. Default of a bridge and of a server: none, so that the
/// wall clock alone counts.
///
/// While there is a floor, a certificate is judged by the latest of three times: the wall clock's, the floor's, and the beginning of the
/// certificate's validity (`notBefore`), or of that of an authority between it and the trusted one. So one that has ended before the floor is
/// refused, and none is refused because the clock is behind. Everything else is checked as ever. The first time that the wall clock is not the
/// latest, a line of the log says so.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use edge_bridge::net::ClockFloor;
/// use edge_bridge::{Bridge, Tls};
///
/// # fn is_clock_right() -> bool { false }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Asked in each handshake; `None` once the clock is known to be right.
/// let released = UNIX_EPOCH + Duration::from_secs(1_795_737_600);
/// let floor = ClockFloor::new(move || (!is_clock_right()).then_some(released));
/// # if std::path::Path::new("ca.crt").exists() {
/// let bridge = Bridge::builder("mqtts://hub:8883").client_id("site7").tls(Tls::from_ca("ca.crt")?.with_clock_floor(floor));
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClockFloor(Arc<Inner>);

struct Inner {
    floor: Box<dyn Fn() -> Option<SystemTime> + Send + Sync>,
    /// Set once the log says that another time than the clock's is taken, until there is no floor.
    is_told: AtomicBool,
}

impl ClockFloor {
    /// Creates a floor. `floor` is called in each handshake and should take microseconds. It returns `None` if the wall clock is known to be right,
    /// so that it alone counts.
    pub fn new(floor: impl Fn() -> Option<SystemTime> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { floor: Box::new(floor), is_told: AtomicBool::new(false) }))
    }

    /// Returns the floor; `None` if the wall clock is known to be right.
    #[must_use]
    pub fn get(&self) -> Option<SystemTime> {
        (self.0.floor)()
    }

    /// Judges certificates at the time `at`, or at the later beginning of one's validity while there is a floor.
    pub(in crate::net) fn judge<T>(
        &self,
        at: UnixTime,
        verify: impl Fn(UnixTime) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut result = verify(at);
        if self.get().is_none() {
            self.0.is_told.store(false, Ordering::Relaxed);
            return result;
        }
        let mut taken = at;
        for _ in 0..CHAIN_MAX {
            let Some(not_before) = begins_later(&result, taken) else { break };
            taken = not_before;
            result = verify(taken);
        }
        // Who is refused does not choose what is told.
        if result.is_ok() {
            self.tell(taken);
        }
        result
    }

    fn tell(&self, taken: UnixTime) {
        let clock = Utc::from(UnixTime::now());
        if Utc::from(taken) > clock && !self.0.is_told.swap(true, Ordering::Relaxed) {
            let taken = Utc::from(taken);
            tracing::warn!(%clock, %taken, "the clock is behind and not known to be right: certificates are judged by a later time until it is");
        }
    }
}

/// Returns the beginning of the validity that the result misses; `None` for any other result.
fn begins_later<T>(result: &Result<T, Error>, taken: UnixTime) -> Option<UnixTime> {
    match result {
        Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            Some(*not_before).filter(|not_before| *not_before > taken)
        }
        _ => None,
    }
}

impl TimeProvider for ClockFloor {
    fn current_time(&self) -> Option<UnixTime> {
        let floor = self.get().and_then(|floor| floor.duration_since(UNIX_EPOCH).ok());
        let floor = floor.map(UnixTime::since_unix_epoch);
        Some(floor.map_or_else(UnixTime::now, |floor| floor.max(UnixTime::now())))
    }
}

impl fmt::Debug for ClockFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockFloor").finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Judges the certificates of clients within this floor while the wall clock is not known to be right. Without it the wall clock alone counts.
    /// Of settings made by [`from_config`](Self::from_config) a certificate's beginning does not count for the time, because their verifier is not
    /// this crate's.
    ///
    /// # Errors
    ///
    /// rustls refuses the settings, which it took before.
    pub fn with_clock_floor(self, floor: ClockFloor) -> Result<Self, TlsError> {
        let verifier = self.verifier.clone().map(|verifier| verifier.within(floor.clone()));
        let mut config = match &verifier {
            None => ServerConfig::clone(&self.config),
            Some(_) => server_config(verifier.as_ref(), self.config.cert_resolver.clone())
                .map_err(|error| TlsError::Verifier(error.to_string()))?,
        };
        config.time_provider = Arc::new(floor);
        Ok(Self { config: Arc::new(config), verifier, ..self })
    }
}
