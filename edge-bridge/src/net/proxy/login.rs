//! Login at a proxy: Basic authentication (RFC 7617), with a password that may change while the link runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::base64;
use crate::net::reread_source::RereadSource;

/// User and password for the proxy, shared by all dials of a link.
#[derive(Clone)]
pub(in crate::net) struct ProxyLogin {
    user: String,
    /// Password that was configured or read last; `None` if there is none yet.
    last: Arc<Mutex<Option<Bytes>>>,
    source: Option<RereadSource<Bytes>>,
}

impl ProxyLogin {
    pub(in crate::net) fn new(
        user: String,
        password: Option<Bytes>,
        source: Option<RereadSource<Bytes>>,
    ) -> Self {
        Self { user, last: Arc::new(Mutex::new(password)), source }
    }

    /// Reads the password again, and returns the value of `Proxy-Authorization`; `None` if the password was never read.
    pub(in crate::net) async fn authorization(&self) -> Option<String> {
        let read = match &self.source {
            Some(source) => source.read().await,
            None => None,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if read.is_some() {
            *last = read;
        }
        let password = last.as_ref()?;
        let login = [self.user.as_bytes(), b":", password].concat();
        Some(format!("Basic {}", base64::encode(&login)))
    }
}

impl fmt::Debug for ProxyLogin {
    /// Shows all but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::net::reread_source::Subject;

    /// The example of RFC 7617 §2.
    #[tokio::test]
    async fn the_login_is_that_of_the_rfc_and_follows_the_source() {
        let login = ProxyLogin::new("Aladdin".to_owned(), Some("open sesame".into()), None);
        let expected = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(login.authorization().await, expected);
        assert!(!format!("{login:?}").contains("sesame"));

        let file = Arc::new(Mutex::new(None::<&str>));
        let read = file.clone();
        let source = RereadSource::new(Subject::ProxyPassword, move || {
            let content = *read.lock().unwrap();
            content.map(Bytes::from).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        });
        let login = ProxyLogin::new("Aladdin".to_owned(), None, Some(source));
        assert_eq!(login.authorization().await, None, "never read");
        *file.lock().unwrap() = Some("open sesame");
        assert_eq!(login.authorization().await, expected);
        *file.lock().unwrap() = None;
        assert_eq!(login.authorization().await, expected, "the last one");
        *file.lock().unwrap() = Some("other");
        assert_ne!(login.authorization().await, expected);
    }
}
