//! Access control of local clients: the password file and the access list, in Mosquitto's formats.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use edge_bridge::access::{AccessRules, AclFile, LineError, LoginMemory, PasswordFile};

use super::section::{Placed, Section};
use super::{Addresses, Findings, operator_file, secret_file};

/// Most wrong lines of a file that are reported.
const LINES_MAX: usize = 10;
/// Keys of `[local]` that name the files.
const PASSWORDS: &str = "password_file";
const RIGHTS: &str = "acl_file";

/// Files that control the access of local clients. Without a password file any client may connect, and without an access list each may publish
/// and read everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessFiles {
    pub(crate) passwords: Option<PathBuf>,
    pub(crate) acl: Option<PathBuf>,
    /// Set if clients without a user name may connect, too.
    pub(crate) allow_anonymous: bool,
    /// Set if certificates name users, so that no client may use such a user name without a certificate or a password.
    pub(crate) has_certificates: bool,
}

/// Reason why a file's content was not applied.
#[derive(Debug)]
pub(crate) struct FileError {
    path: PathBuf,
    /// Key of `[local]` that names the file.
    key: &'static str,
    reasons: Vec<String>,
    is_of_content: bool,
}

impl FileError {
    /// Returns whether the error is in the file's content, so that reading it again would find the same.
    pub(crate) fn is_of_content(&self) -> bool {
        self.is_of_content
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ([local] {}): {}", self.path.display(), self.key, self.reasons.join("; "))
    }
}

impl AccessFiles {
    /// Returns words for the clients without restriction. `None`: the access list restricts all clients.
    pub(super) fn unrestricted(&self, addresses: &Addresses) -> Option<&'static str> {
        let are_known = addresses.are_certified() || self.passwords.is_some() && !self.allow_anonymous;
        match (are_known, &self.acl) {
            (false, _) => Some("anyone who reaches local.listen"),
            (true, None) => Some("every user who logs in, without an acl_file,"),
            (true, Some(_)) => None,
        }
    }

    /// Returns the most memory that users and rights take with the files as they are, in bytes: two copies in force, three of changed files while they
    /// are applied, the text of one, and the logins that were right or wrong. A file that cannot be read counts as empty.
    pub(crate) fn ram_bytes(&self) -> u64 {
        let read = |path: &Option<PathBuf>| {
            path.as_deref().and_then(|path| operator_file::read_text(path).ok()).unwrap_or_default()
        };
        let (users, rights) = (read(&self.passwords), read(&self.acl));
        let text = 2 * users.len().max(rights.len());
        let users = PasswordFile::parse(&users).unwrap_or_default();
        let rights = AclFile::parse(&rights).unwrap_or_default();
        let logins = self.passwords.as_ref().map_or(0, |_| LoginMemory::memory_bytes_max(&users));
        (5 * (users.memory_bytes() + rights.memory_bytes()) + text + logins) as u64
    }

    /// Reads both files.
    ///
    /// # Errors
    /// One of the files cannot be read, or has lines that are not valid.
    pub(crate) fn read(&self) -> Result<AccessRules, FileError> {
        let passwords = self.passwords.as_deref().map(|path| parse(path, PASSWORDS, PasswordFile::parse));
        let acl = self.acl.as_deref().map(|path| parse(path, RIGHTS, AclFile::parse));
        let mut rules = AccessRules::default();
        (rules.passwords, rules.acl) = (passwords.transpose()?, acl.transpose()?);
        rules.allow_anonymous = self.allow_anonymous || rules.passwords.is_none();
        rules.certificates_name_users = self.has_certificates;
        Ok(rules)
    }
}

fn parse<T>(
    path: &Path,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, Vec<LineError>>,
) -> Result<T, FileError> {
    let failed = |reasons, is_of_content| FileError { path: path.to_owned(), key, reasons, is_of_content };
    let text = operator_file::read_text(path)
        .map_err(|error| failed(vec![error.to_string()], error.kind() == io::ErrorKind::InvalidData))?;
    parse(&text).map_err(|errors| {
        let more = errors.len().saturating_sub(LINES_MAX);
        let mut reasons: Vec<_> = errors.iter().take(LINES_MAX).map(LineError::to_string).collect();
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        failed(reasons, true)
    })
}

/// Reads the keys, and parses the files to report their mistakes.
pub(super) fn access(section: &Section<'_>, findings: &mut Findings) -> AccessFiles {
    let passwords = section.path(PASSWORDS, findings);
    let acl = section.path(RIGHTS, findings);
    let anonymous = section.boolean("allow_anonymous", findings).unwrap_or(false);
    let read = passwords.as_ref().and_then(|file| {
        secret_file::warn_if_open(file, "local.password_file", "hashes", findings);
        told(parse(&file.value, PASSWORDS, PasswordFile::parse), file, "local.password_file", findings)
    });
    if let (Some(file), Some(read)) = (&passwords, &read)
        && read.is_empty()
        && !anonymous
    {
        findings.warning(file.at, "local.password_file", "no user stands there: nobody can log in");
    }
    let rules = acl.as_ref().and_then(|file| {
        secret_file::warn_if_writable(file, "local.acl_file", "the rights of clients", findings);
        told(parse(&file.value, RIGHTS, AclFile::parse), file, "local.acl_file", findings)
    });
    if let (Some(file), Some(rules)) = (&acl, &rules) {
        check_users(rules, read.as_ref(), (file.at, section), findings);
    }
    AccessFiles {
        passwords: passwords.map(|file| file.value),
        acl: acl.map(|file| file.value),
        allow_anonymous: anonymous,
        has_certificates: section.get("client_ca").is_some(),
    }
}

fn told<T>(
    result: Result<T, FileError>,
    file: &Placed<PathBuf>,
    key: &str,
    findings: &mut Findings,
) -> Option<T> {
    match result {
        Ok(content) => Some(content),
        Err(FileError { path, reasons, .. }) => {
            for reason in reasons {
                findings.error(file.at, key, format!("{}: {reason}", path.display()));
            }
            None
        }
    }
}

/// Reports user names in an access list that no client can have, and a missing name of every client.
fn check_users(
    rules: &AclFile,
    passwords: Option<&PasswordFile>,
    (at, section): (usize, &Section<'_>),
    findings: &mut Findings,
) {
    const KEY: &str = "local.acl_file";
    if rules.is_empty() {
        findings.warning(at, KEY, "no rule stands there: nobody may publish or read anything");
    }
    let mut names: Vec<&str> = rules.users().collect();
    names.sort_unstable();
    let has = |key: &str| section.get(key).is_some();
    if !has("password_file") && !has("client_ca") && !names.is_empty() {
        let message = "without `password_file` everybody can call themselves what they like, also by the names of this list";
        findings.warning(at, KEY, message);
    }
    let Some(passwords) = passwords.filter(|_| !has("client_ca")) else { return };
    for name in names.into_iter().filter(|name| !passwords.has_user(name)) {
        findings.warning(at, KEY, format!("user \"{name}\" has rules, but no login in `password_file`"));
    }
}
