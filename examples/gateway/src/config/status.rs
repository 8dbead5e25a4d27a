//! `[status]`: the status page's bearer token.

use std::fmt;
use std::net::SocketAddr;

use super::section::Section;
use super::{Findings, password, secret_file};

/// Shortest token in bytes. The page has no limit of attempts, so a short token could be guessed.
const BYTES_MIN: usize = 16;
/// Longest token in bytes, because the HTTP server reads no longer header.
const BYTES_MAX: usize = 512;

/// Token of the status page.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Vec<u8>);

impl Token {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    /// Writes the type's name, without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Reads the token. `None`: the key is missing, or its file has a mistake, which is in `findings`. `pages` is the address of the pages.
pub(super) fn status(
    section: &mut Section<'_>,
    pages: Option<SocketAddr>,
    findings: &mut Findings,
) -> Option<Token> {
    const KEY: &str = "status.token_file";
    let file = section.path("token_file", findings)?;
    if pages.is_none() {
        findings.warning(file.at, KEY, "without `[metrics] listen` there is no page that asks for it");
    }
    let token = match password::read(&file.value) {
        Ok(token) => token,
        Err(problem) => {
            findings.error(file.at, KEY, format!("{}: {problem}", file.value.display()));
            return None;
        }
    };
    secret_file::warn_if_open(&file, KEY, "token", findings);
    let is_printable = token.iter().all(u8::is_ascii_graphic);
    if !(BYTES_MIN..=BYTES_MAX).contains(&token.len()) || !is_printable {
        // Not quoted: it is a secret.
        let message = format!(
            "{}: a token has {BYTES_MIN} to {BYTES_MAX} printable ASCII characters without spaces, as `openssl rand -hex 24` makes it",
            file.value.display()
        );
        findings.error(file.at, KEY, message);
        return None;
    }
    Some(Token(token))
}
