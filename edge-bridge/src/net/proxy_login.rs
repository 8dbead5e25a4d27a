//! Login at a proxy: Basic authentication (RFC 7617), with a password that may change while the link runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::password_source::PasswordSource;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// User and password at a proxy, shared by all dials of a link.
#[derive(Clone)]
pub(super) struct ProxyLogin {
    user: String,
    /// The password that was given or read last.
    last: Arc<Mutex<Option<Bytes>>>,
    source: Option<PasswordSource>,
}

impl ProxyLogin {
    pub(super) fn new(user: String, password: Option<Bytes>, source: Option<PasswordSource>) -> Self {
        Self { user, last: Arc::new(Mutex::new(password)), source }
    }

    /// Reads the password again, and returns the value of `Proxy-Authorization`. `None`: it was never read.
    pub(super) async fn authorization(&self) -> Option<String> {
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
        Some(format!("Basic {}", base64(&login)))
    }
}

impl fmt::Debug for ProxyLogin {
    /// Shows all but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().chain(&[0; 2]).take(3).fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..4 {
            let digit = ALPHABET.get((group >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::net::password_source::Owner;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let plain = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let coded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(plain.map(|text| base64(text.as_bytes())), coded);
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    /// The example of RFC 7617 §2.
    #[tokio::test]
    async fn the_login_is_that_of_the_rfc_and_follows_the_source() {
        let login = ProxyLogin::new("Aladdin".to_owned(), Some("open sesame".into()), None);
        let expected = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(login.authorization().await, expected);
        assert!(!format!("{login:?}").contains("sesame"));

        let file = Arc::new(Mutex::new(None::<&str>));
        let read = file.clone();
        let source = PasswordSource::new(Owner::Proxy, move || {
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
