//! Connections to the hub, as the command line asks for them.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::Duration;

use edge_bridge::net::{StartError, signer_socket};
use edge_bridge::{Bridge, Builder, Tls};
use edge_state::{operator_file, password_file};
use tokio::time::timeout;

use crate::arguments::Subscribe;
use crate::{Failure, tell};

/// Time limit of the first connection; a later one is attempted again for ever.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Time after which a hub that has not answered the SUBSCRIBE is told of: without its answer no batch comes.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The day that a session with a name is kept.
const SESSION_S: u32 = 86_400;

/// Address, identity and credentials of the connections.
#[derive(Debug)]
pub(super) struct Hub<'a> {
    options: &'a Subscribe,
    client_id: String,
}

impl<'a> Hub<'a> {
    pub(super) fn new(options: &'a Subscribe) -> Self {
        let random = || format!("edge-decode-{:016x}", RandomState::new().build_hasher().finish());
        Self { options, client_id: options.client_id.clone().unwrap_or_else(random) }
    }

    /// Starts the connection that batches come by. Its session is kept if it has a name.
    pub(super) async fn batches(&self) -> Result<Bridge, Failure> {
        let expiry_s = if self.options.client_id.is_some() { SESSION_S } else { 0 };
        let builder = self.builder(&self.client_id)?.session_expiry_s(expiry_s);
        builder.start().await.map_err(failure)
    }

    /// Starts a connection for session tables. It has a window of its own: one that is full of batches which wait for their tables
    /// would never let the tables through.
    pub(super) async fn tables(&self) -> Result<Bridge, Failure> {
        let builder = self.builder(&format!("{}-tables", self.client_id))?.session_expiry_s(0);
        builder.start().await.map_err(failure)
    }

    fn builder(&self, client_id: &str) -> Result<Builder, Failure> {
        let options = self.options;
        let packet_max = u32::try_from(options.message_max.0).unwrap_or(u32::MAX);
        let mut builder = Bridge::builder(&options.url).client_id(client_id).max_packet_size(packet_max);
        let files = [&options.ca, &options.cert, &options.key].into_iter().flatten();
        for file in files.filter(|file| signer_socket(file).is_none()) {
            let wrong = |error| Failure::Usage(format!("{}: {error}", file.display()));
            operator_file::check(file).map_err(wrong)?;
        }
        if let Some(ca) = &options.ca {
            let tls = match (&options.cert, &options.key) {
                (Some(cert), Some(key)) => Tls::from_pem(ca, cert, key),
                _ => Tls::from_ca(ca),
            };
            builder = builder.tls(tls.map_err(|error| Failure::Usage(error.to_string()))?);
        }
        if let Some(name) = &options.user {
            builder = builder.credentials(name, password(options.password_file.as_deref())?);
        }
        Ok(builder)
    }
}

/// Returns the password in the file, or in the environment.
fn password(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let Some(file) = file else {
        return Ok(std::env::var("EDGE_DECODE_PASSWORD").unwrap_or_default().into_bytes());
    };
    password_file::read(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
}

fn failure(error: StartError) -> Failure {
    Failure::Usage(match error {
        StartError::TlsMissing => "mqtts:// needs --ca: the authority to trust".to_owned(),
        StartError::TlsUnused => {
            "--ca is given, but the address is mqtt://, which would be sent in the clear".to_owned()
        }
        error => error.to_string(),
    })
}

/// Waits for the first connection.
pub(super) async fn connected(bridge: &Bridge) -> Result<(), Failure> {
    let mut stats = bridge.watch();
    let connected = timeout(CONNECT_WITHIN, stats.wait_for(|stats| stats.connects > 0)).await;
    match connected {
        Ok(Ok(_)) => Ok(()),
        _ => {
            let why = bridge.stats().last_error.unwrap_or_else(|| "no answer".to_owned());
            Err(Failure::Failed(format!("no connection within {} s: {why}", CONNECT_WITHIN.as_secs())))
        }
    }
}

/// Tells once if the hub does not answer the SUBSCRIBE in time. Never ends: the answer is waited for as long as it takes.
pub(super) async fn tell_unanswered(bridge: &Bridge, filter: &str) -> Infallible {
    let mut stats = bridge.watch();
    let granted = stats.wait_for(|stats| stats.granted_subscriptions > 0);
    // What it returns is not kept: it would lock the figures.
    let is_late = timeout(ANSWER_WITHIN, granted).await.is_err();
    if is_late {
        let within = ANSWER_WITHIN.as_secs();
        tell(format_args!(
            "the hub has not answered the subscription to {filter} within {within} s: nothing comes before it does"
        ));
    }
    std::future::pending().await
}

/// Waits until the hub refuses the subscription.
pub(super) async fn refused(bridge: &Bridge, filter: &str) -> Failure {
    let mut stats = bridge.watch();
    let mut why = None;
    let refused = stats.wait_for(|stats| {
        let refused = stats.refused_subscriptions.iter().find(|refused| refused.filter.as_str() == filter);
        why = refused.map(|refused| refused.reason.to_string());
        why.is_some()
    });
    if refused.await.is_err() {
        // The link has ended, which its messages tell.
        std::future::pending::<()>().await;
    }
    Failure::Failed(format!("the hub refused the subscription to {filter}: {}", why.unwrap_or_default()))
}
