//! PEM files of certificates and private keys, read within a limit. Only regular files are read: a pipe in the place of one, be it for a moment, would hold
//! up the reader until somebody wrote to it.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;

/// Most bytes of a file of certificates or a key. A system's bundle has a fifth of that.
const PEM_BYTES_MAX: u64 = 1 << 20;
/// Words of an encrypted key: of PKCS #8 (RFC 7468 §11), and of the older form (RFC 1421 §4.6.1.1), whose header is taken for a part of the key.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read_pem(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|source| {
        let text = String::from_utf8_lossy(&bytes);
        match ENCRYPTED.iter().any(|words| text.contains(words)) {
            true => TlsError::EncryptedKey(path.to_owned()),
            false => TlsError::Pem { path: path.to_owned(), source },
        }
    })
}

pub(in crate::net) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let error = |source| TlsError::Pem { path: path.to_owned(), source };
    let list: Vec<_> =
        CertificateDer::pem_slice_iter(&read_pem(path)?).collect::<Result<_, _>>().map_err(error)?;
    if list.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(list) }
}

/// Reads a file of at most [`PEM_BYTES_MAX`].
pub(in crate::net) fn read_pem(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|file| file.take(PEM_BYTES_MAX + 1).read_to_end(&mut bytes));
    let read = read.and_then(|_| match bytes.len() as u64 {
        0..=PEM_BYTES_MAX => Ok(bytes),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {PEM_BYTES_MAX} bytes"))),
    });
    read.map_err(|error| TlsError::Pem { path: path.to_owned(), source: pem::Error::Io(error) })
}

/// Opens a regular file, and waits for nothing.
fn open(path: &Path) -> io::Result<File> {
    // Before it is opened, which some devices notice, and behind it, when another one may be there.
    no_other_kind(path.metadata()?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
    );
    let file = options.open(path)?;
    no_other_kind(file.metadata()?.file_type())?;
    Ok(file)
}

fn no_other_kind(kind: FileType) -> io::Result<()> {
    match kind {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "is no regular file, but a pipe, a socket or a device",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_file_is_no_error_of_reading_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let is_unread = || certificates(&file).unwrap_err().is_unread();
        assert!(is_unread(), "it is not there");
        for content in ["", "no PEM", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, content).unwrap();
            assert!(!is_unread(), "{content}");
        }
        std::fs::File::create(&file).unwrap().set_len(PEM_BYTES_MAX + 1).unwrap();
        assert!(!is_unread(), "too large");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(is_unread(), "a directory");
    }

    /// A pipe in the place of a file, be it for a moment, would hold up whoever reads it for ever.
    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        for path in [pipe, dir.path().join("socket"), "/dev/zero".into()] {
            let (sender, read) = std::sync::mpsc::channel();
            let file = path.clone();
            std::thread::spawn(move || sender.send(certificates(&file)));
            let error = read.recv_timeout(std::time::Duration::from_secs(5)).unwrap().unwrap_err();
            assert!(error.is_unread(), "{error}");
            assert!(error.to_string().contains("is no regular file"), "{error}");
        }
    }
}
