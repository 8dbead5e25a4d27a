//! Question of `edge-gateway check FILE` to the signers that have private keys: whether they are there, and have the keys of the certificates.

use std::path::Path;
use std::process::ExitCode;

use control_loop::OneLine;
use edge_bridge::net::ServerTls;

use crate::config::{Config, Local};

/// Asks the signers, and complains of each that cannot be used.
///
/// # Errors
/// The exit code, if there is one.
pub(super) fn check(config: &Config) -> Result<(), ExitCode> {
    // A first certificate is yet to come, and no signer has its key.
    let hub = config.hub.cert.as_ref().zip(config.hub.key.as_ref());
    let hub = hub.filter(|_| !config.hub.waits_for_certificate());
    let (local_key, local) = match &config.local {
        Local::Listen { addresses, .. } => {
            ("local.key", addresses.tls.as_ref().map(|tls| (&tls.cert, &tls.key)))
        }
        Local::Broker { way, .. } => {
            let files = way.tls.as_ref().map(|tls| &tls.files);
            ("local.broker_key", files.and_then(|files| files.cert.as_ref().zip(files.key.as_ref())))
        }
    };
    let keys = [("hub.key", hub), (local_key, local)];
    let mut outcome = Ok(());
    for (key, (cert, private_key)) in keys.into_iter().filter_map(|(key, files)| Some((key, files?))) {
        if let Some(problem) = problem(cert, private_key) {
            edge_print::complain!("error: {key}: {}", OneLine(&problem));
            outcome = Err(ExitCode::from(2));
        }
    }
    outcome
}

/// Returns the reason why the signer of this certificate cannot be used; `None` if it can, or if the key is in a file.
fn problem(cert: &Path, key: &Path) -> Option<String> {
    // Nothing else takes a certificate and its key alone, without authorities.
    let asked = ServerTls::from_pem(cert, key, None).and_then(|tls| tls.check_signer());
    asked.err().map(|error| error.to_string())
}
