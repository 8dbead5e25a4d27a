//! Password file in Mosquitto's format, with one line `USER:$7$ITERATIONS$SALT$HASH` for each user, made by `mosquitto_passwd`.
//!
//! `$7$` is PBKDF2 with HMAC-SHA-512 (RFC 8018); `$6$`, which has no iterations, is the SHA-512 of password and salt. Salt and hash are base64.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};

use super::line_error::{LineError, LineProblem};
use super::memory;
use crate::base64;

/// Most iterations of a login, some 20 ms on a small gateway, during which no other client is served.
const ITERATIONS_MAX: u32 = 10_000;
const HASH_BYTES: usize = digest::SHA512_OUTPUT_LEN;
/// Most bytes of a salt; Mosquitto's have 12, or 64.
const SALT_MAX: usize = 64;

/// Users and the hashes of their passwords.
#[derive(Clone, Default)]
pub struct PasswordFile {
    users: HashMap<Box<str>, PasswordHash>,
    /// Hash that is computed for unknown users, so that the time of an answer does not tell which users exist, if all have the same
    /// iterations; `None` without users.
    decoy: Option<PasswordHash>,
}

#[derive(Clone, PartialEq, Eq)]
struct PasswordHash {
    scheme: Scheme,
    salt: Box<[u8]>,
    hash: [u8; HASH_BYTES],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Sha512,
    Pbkdf2 { iterations: NonZeroU32 },
}

impl PasswordFile {
    /// Number of iterations in hashes written here, the same as in `mosquitto_passwd` of Mosquitto 2.0.
    pub const ITERATIONS: u32 = 101;

    /// Reads the text of a file. Blank lines and lines that begin with `#` are skipped; blanks around user and hash are ignored.
    ///
    /// # Errors
    ///
    /// All lines that are not a login, whose hash cannot be read, or that repeat a user.
    pub fn parse(text: &str) -> Result<Self, Vec<LineError>> {
        let mut file = Self::default();
        let mut lines = HashMap::new();
        let mut errors = Vec::new();
        for (n, text) in text.lines().enumerate() {
            let line = n + 1;
            if text.starts_with('#') || text.trim().is_empty() {
                continue;
            }
            let parsed = login(text).and_then(|(user, login)| match lines.insert(user, line) {
                None => Ok((user, login)),
                Some(first) => Err(LineProblem::Twice(first)),
            });
            match parsed {
                Ok((user, login)) => drop(file.users.insert(user.into(), login)),
                Err(problem) => errors.push(LineError { line, problem }),
            }
        }
        let mut counts = HashMap::<u32, usize>::new();
        file.users.values().for_each(|login| *counts.entry(login.iterations()).or_default() += 1);
        // Not the most: everybody could make others wait for it.
        let usual = counts.into_iter().max_by_key(|(iterations, users)| (*users, Reverse(*iterations)));
        file.decoy = usual
            .and_then(|(usual, _)| file.users.values().find(|login| login.iterations() == usual))
            .cloned();
        if errors.is_empty() { Ok(file) } else { Err(errors) }
    }

    /// Returns the line of a user, without a line end. `salt`: 12 random bytes.
    ///
    /// # Errors
    ///
    /// The name is empty, has a colon, a line's end or blanks around it, or begins with `#`.
    pub fn line(user: &str, password: &[u8], salt: [u8; 12]) -> Result<String, LineProblem> {
        if user.is_empty() {
            return Err(LineProblem::NoName);
        }
        if user.trim() != user || user.starts_with('#') || user.contains([':', '\n', '\r']) {
            return Err(LineProblem::UnfitName);
        }
        let iterations = NonZeroU32::new(Self::ITERATIONS).unwrap_or(NonZeroU32::MIN);
        let mut hash = [0; HASH_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, iterations, &salt, password, &mut hash);
        Ok(format!("{user}:$7${iterations}${}${}", base64::encode(&salt), base64::encode(&hash)))
    }

    /// Returns whether a user has this password. For an unknown user it takes as long as for most users. Computes the iterations of the hash,
    /// some 2 µs each.
    pub fn verify(&self, user: &str, password: &[u8]) -> bool {
        let found = self.users.get(user);
        let Some(login) = found.or(self.decoy.as_ref()) else { return false };
        login.verify(password) & found.is_some()
    }

    /// Returns the hash of the user's password; `None` without the user.
    pub(super) fn hash(&self, user: &str) -> Option<&[u8]> {
        self.users.get(user).map(|login| login.hash.as_ref())
    }

    /// Returns the iterations that [`verify`](Self::verify) does for this user.
    pub fn iterations(&self, user: &str) -> u32 {
        self.users.get(user).or(self.decoy.as_ref()).map_or(1, PasswordHash::iterations)
    }

    /// Returns the names of all users.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(|user| &**user)
    }

    /// Returns whether the user exists.
    pub fn has_user(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Returns whether a user has the same login in both files.
    pub fn is_unchanged(&self, before: &Self, user: &str) -> bool {
        self.users.get(user) == before.users.get(user)
    }

    /// Number of users.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Bytes that the content takes in memory, from above.
    pub fn memory_bytes(&self) -> usize {
        let names = self.users().map(|user| memory::allocation(user.len()));
        let salts = self.users.values().chain(&self.decoy).map(|login| memory::allocation(login.salt.len()));
        memory::table::<(Box<str>, PasswordHash)>(self.users.len())
            + names.sum::<usize>()
            + salts.sum::<usize>()
    }

    /// Returns whether there is no user, so that no client can log in.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

impl fmt::Debug for PasswordFile {
    /// Shows the number of users, no hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordFile").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

impl PasswordHash {
    fn iterations(&self) -> u32 {
        match self.scheme {
            Scheme::Sha512 => 1,
            Scheme::Pbkdf2 { iterations } => iterations.get(),
        }
    }

    /// Returns whether the password has this hash. The comparison takes as long for a wrong one as for the right one, so its time betrays nothing.
    fn verify(&self, password: &[u8]) -> bool {
        match self.scheme {
            Scheme::Pbkdf2 { iterations } => {
                pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, iterations, &self.salt, password, &self.hash)
                    .is_ok()
            }
            Scheme::Sha512 => {
                let mut hash = digest::Context::new(&digest::SHA512);
                hash.update(password);
                hash.update(&self.salt);
                // Two byte sequences are equal if their authentication codes are, and these are compared in constant time.
                let key = hmac::Key::new(hmac::HMAC_SHA256, &self.salt);
                let right = hmac::sign(&key, &self.hash);
                hmac::verify(&key, hash.finish().as_ref(), right.as_ref()).is_ok()
            }
        }
    }
}

/// Reads one line.
fn login(line: &str) -> Result<(&str, PasswordHash), LineProblem> {
    let (user, hash) = line.split_once(':').ok_or(LineProblem::NotALogin)?;
    let (user, hash) = (user.trim(), hash.trim());
    if user.is_empty() {
        return Err(LineProblem::NoName);
    }
    let hash = hash.strip_prefix('$').ok_or(LineProblem::NotHashed)?;
    let (kind, hash) = hash.split_once('$').ok_or(LineProblem::DamagedHash)?;
    let (scheme, hash) = match kind {
        "6" => (Scheme::Sha512, hash),
        "7" => {
            let (iterations, hash) = hash.split_once('$').ok_or(LineProblem::DamagedHash)?;
            (Scheme::Pbkdf2 { iterations: checked(iterations)? }, hash)
        }
        other => return Err(LineProblem::OtherHash(other.chars().take(16).collect())),
    };
    let (salt, hash) = hash.split_once('$').ok_or(LineProblem::DamagedHash)?;
    let salt = base64::decode(salt).filter(|salt| (1..=SALT_MAX).contains(&salt.len()));
    let hash = base64::decode(hash).and_then(|hash| hash.try_into().ok());
    let (salt, hash) = salt.zip(hash).ok_or(LineProblem::DamagedHash)?;
    Ok((user, PasswordHash { scheme, salt: salt.into(), hash }))
}

fn checked(iterations: &str) -> Result<NonZeroU32, LineProblem> {
    let iterations: u64 = iterations.parse().map_err(|_| LineProblem::DamagedHash)?;
    let small = u32::try_from(iterations).ok().filter(|n| *n <= ITERATIONS_MAX).and_then(NonZeroU32::new);
    small.ok_or(LineProblem::Iterations { iterations, limit: ITERATIONS_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that `mosquitto_passwd` of Mosquitto 2.0.11 wrote, the second with `-H sha512`: ann has "secret", bob "täglich".
    const MADE_BY_MOSQUITTO: &str = "ann:$7$101$z+a7ATw2uQ1VGDZh$WIGBMhfUVg5EqhEmixOzytG1iE/kJ3uJQRkbBQd0j6VBIPiqbFDdEMVdB2Xp4raQm1W6TxP+Xr+80fwGZ61jug==\n\
        bob:$6$3nh93/SalGsETPv3$DjjWNfOt9IsGGf0djlFFG9Gy7AHskFIMB3TcMEjFJyNcJ8zzJbbrrLxgLGbQ0nMxL7TgoubYhiP8MxBUbQpScA==\n";

    fn problems(text: &str) -> Vec<(usize, LineProblem)> {
        let errors = PasswordFile::parse(text).unwrap_err();
        errors.into_iter().map(|error| (error.line, error.problem)).collect()
    }

    #[test]
    fn logins_made_by_mosquitto_are_read() {
        let file = PasswordFile::parse(MADE_BY_MOSQUITTO).unwrap();
        assert_eq!(file.len(), 2);
        assert!(file.verify("ann", b"secret") && file.verify("bob", "täglich".as_bytes()));
        for (user, password) in
            [("ann", "Secret"), ("ann", ""), ("bob", "secret"), ("eve", "secret"), ("", "")]
        {
            assert!(!file.verify(user, password.as_bytes()), "{user} {password}");
        }
        assert_eq!((file.iterations("ann"), file.iterations("bob"), file.iterations("eve")), (101, 1, 1));
    }

    #[test]
    fn what_is_written_here_is_read() {
        let line = PasswordFile::line("ann", b"p:$\0\xff", [9; 12]).unwrap();
        let file = PasswordFile::parse(&format!("# users\n\n {line} \r\n")).unwrap();
        assert!(file.verify("ann", b"p:$\0\xff") && !file.verify("ann", b"p:$\0\xfe"));
        assert_ne!(line, PasswordFile::line("ann", b"p:$\0\xff", [8; 12]).unwrap());
        for name in ["", " ann", "a:b", "#ann", "a\nb"] {
            assert!(PasswordFile::line(name, b"x", [0; 12]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_wrong_line_is_named() {
        let line = |user| PasswordFile::line(user, b"x", [1; 12]).unwrap();
        let (ann, bob) = (line("ann"), line("bob"));
        let (kind, zero, many) =
            (bob.replace("$7$", "$argon2id$"), bob.replace("$101$", "$0$"), bob.replace("$101$", "$10001$"));
        let cut = &bob[..bob.len() - 4];
        let text = format!(
            "{ann}\nwords\n:{ann}\nbob:secret\n{kind}\n{zero}\n{many}\n{cut}\n{ann}\nbob:$\nbob:$7$101$AA=="
        );
        let limit = ITERATIONS_MAX;
        let expected = [
            (2, LineProblem::NotALogin),
            (3, LineProblem::NoName),
            (4, LineProblem::NotHashed),
            (5, LineProblem::OtherHash("argon2id".to_owned())),
            (6, LineProblem::Iterations { iterations: 0, limit }),
            (7, LineProblem::Iterations { iterations: 10_001, limit }),
            (8, LineProblem::DamagedHash),
            (9, LineProblem::Twice(1)),
            (10, LineProblem::DamagedHash),
            (11, LineProblem::DamagedHash),
        ];
        assert_eq!(problems(&text), expected);
        assert!(PasswordFile::parse("\n#\n").unwrap().is_empty());
    }

    #[test]
    fn a_changed_login_is_told_from_one_that_stayed() {
        let line = |user, password| PasswordFile::line(user, password, [1; 12]).unwrap();
        let parse = |lines: &[String]| PasswordFile::parse(&lines.join("\n")).unwrap();
        let before = parse(&[line("ann", b"a"), line("bob", b"b"), line("cat", b"c")]);
        let after = parse(&[line("ann", b"a"), line("bob", b"B")]);
        assert_eq!(["ann", "bob", "cat"].map(|user| after.is_unchanged(&before, user)), [true, false, false]);
    }
}
