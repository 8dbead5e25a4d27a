//! `edge-gateway passwd FILE USER`: sets a user's password in a password file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use control_loop::OneLine;
use edge_bridge::access::PasswordFile;
use edge_state::file::folder_of;
use rustix::fs::OFlags;

use crate::config::operator_file;

/// Longest password in bytes, which MQTT's format sets.
const PASSWORD_MAX: usize = 65_535;
const ROOT: u32 = 0;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Password file; it is made if it is not there
    file: PathBuf,
    /// Name of the user
    user: String,
    /// Take the user out
    #[arg(long)]
    delete: bool,
}

/// Reads the password from standard input, one line, and writes a new version of the file.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match change(arguments) {
        Ok(what) => {
            edge_print::complain!("edge-gateway: {}", OneLine(&what));
            ExitCode::SUCCESS
        }
        Err(error) => {
            edge_print::complain!("edge-gateway: {}", OneLine(&error));
            ExitCode::FAILURE
        }
    }
}

fn change(arguments: &Arguments) -> Result<String, String> {
    let Arguments { file, user, delete } = arguments;
    let failed = |error: io::Error| format!("{}: {error}", file.display());
    let password = if *delete { Vec::new() } else { password()? };
    let new = NewFile::open(file).map_err(failed)?;
    let before = match operator_file::read_text(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !delete => None,
        Err(error) => return Err(failed(error)),
    };
    let is_theirs = |line: &&str| line.split_once(':').is_some_and(|(name, _)| name.trim() == user);
    let has_user = before.iter().flat_map(|text| text.lines()).any(|line| is_theirs(&line));
    let line = if *delete {
        if !has_user {
            return Err(format!("{}: no user \"{user}\"", file.display()));
        }
        None
    } else {
        let mut salt = [0; 12];
        rustix::rand::getrandom(&mut salt, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| format!("no random numbers: {error}"))?;
        let line = PasswordFile::line(user, &password, salt);
        Some(line.map_err(|error| format!("user \"{user}\": {error}"))?)
    };
    let kept = before.iter().flat_map(|text| text.lines()).filter(|line| !is_theirs(line));
    let lines: String = kept.chain(line.as_deref()).flat_map(|line| [line, "\n"]).collect();
    if let Err(errors) = PasswordFile::parse(&lines) {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        return Err(format!("{}: {}: nothing is changed", file.display(), errors.join("; ")));
    }
    let is_of_root_alone = new.replace(&lines, before.is_some()).map_err(failed)?;
    let done = match (delete, has_user) {
        (true, _) => format!("user \"{user}\" is taken out of {}", file.display()),
        (false, true) => format!("the password of user \"{user}\" is changed in {}", file.display()),
        (false, false) => format!("user \"{user}\" is added to {}", file.display()),
    };
    let warning = "; only root can read it: give it to the gateway's user, as by `chown edge-gateway`";
    Ok(if is_of_root_alone { done + warning } else { done })
}

/// Returns the first line of standard input.
fn password() -> Result<Vec<u8>, String> {
    let mut input = io::stdin().lock();
    if io::stdin().is_terminal() {
        edge_print::write_error(format_args!("password (it is shown): "));
    }
    let mut line = Vec::new();
    let limit = PASSWORD_MAX as u64 + 2;
    let read = io::Read::take(&mut input, limit).read_until(b'\n', &mut line);
    read.map_err(|error| format!("standard input: {error}"))?;
    let password = line.strip_suffix(b"\n").unwrap_or(&line);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    match password.len() {
        0 => Err("the password is empty: it is read from standard input".to_owned()),
        n if n > PASSWORD_MAX => Err(format!("the password has more than {PASSWORD_MAX} bytes")),
        _ => Ok(password.to_vec()),
    }
}

/// File that will replace the password file. It is locked, so that two changes at the same time follow one another.
struct NewFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
    is_in_place: bool,
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_in_place {
            // Nothing depends on it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl NewFile {
    fn open(path: &Path) -> io::Result<Self> {
        let target = match std::fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let path = target.with_file_name(name);
        loop {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            // Whoever else may write in the folder gets no other file changed.
            let file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path)?;
            file.lock()?;
            // Whoever had the lock has put it in place.
            if std::fs::symlink_metadata(&path)
                .is_ok_and(|found| file.metadata().is_ok_and(|own| own.ino() == found.ino()))
            {
                return Ok(Self { file, path, target, is_in_place: false });
            }
        }
    }

    /// Replaces the old file atomically, with its owner and mode, so that a reader sees the old or the new content. A new file that root makes in a
    /// folder of another user is that user's, who reads it. Returns whether a new one can be read by root alone.
    fn replace(mut self, text: &str, exists: bool) -> io::Result<bool> {
        self.file.set_len(0)?;
        let before = exists.then(|| std::fs::metadata(&self.target)).transpose()?;
        let mode = before.as_ref().map_or(0o600, |before| before.permissions().mode() & 0o777);
        if let Some(before) = before {
            fchown(&self.file, Some(before.uid()), Some(before.gid()))?;
        } else if self.file.metadata()?.uid() == ROOT {
            let folder = std::fs::metadata(folder_of(&self.path))?;
            // Where it is refused the file stays root's, which is told.
            let _ = fchown(&self.file, Some(folder.uid()), Some(folder.gid()));
        }
        self.file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_all()?;
        let is_of_root_alone = !exists && self.file.metadata()?.uid() == ROOT;
        std::fs::rename(&self.path, &self.target)?;
        self.is_in_place = true;
        Ok(is_of_root_alone)
    }
}
