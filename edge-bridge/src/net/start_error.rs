//! Errors of a start.

use std::error::Error;
use std::path::PathBuf;

use super::hub_address::TargetError;
use super::proxy::address::ProxyAddressError;
use super::tls::names::TlsNameError;
use crate::wire::TopicError;

/// Error of starting a bridge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The text is no address of a hub.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Some of the addresses are `mqtt` and some `mqtts`, so that keys or password would be sent to both.
    #[error("the addresses must all be mqtt:// or all mqtts://")]
    MixedSchemes,
    /// The client identifier is missing, under which the hub keeps the session.
    #[error("client_id is missing: the hub keeps the session under this name")]
    ClientId,
    /// A text is not a valid MQTT string.
    #[error("{what} is not a string of MQTT")]
    Text {
        /// Name of the setting.
        what: &'static str,
    },
    /// The topic of the will cannot be published to, for example because of a wildcard.
    #[error("the topic of the will cannot be published to")]
    WillTopic(#[source] TopicError),
    /// The address is `mqtts`, and there are no TLS settings.
    #[error("mqtts:// needs tls(): an authority to trust, at least")]
    TlsMissing,
    /// There are TLS settings, and the address is not `mqtts`.
    #[error("tls() is set, but the address is mqtt://, which would be sent in the clear")]
    TlsUnused,
    /// A TLS setting was made, and the address is not `mqtts`.
    #[error("{what} is set, but the address is mqtt://, which has no TLS")]
    NotOverTls {
        /// Name of the setting.
        what: &'static str,
    },
    /// A name cannot be used in TLS.
    #[error(transparent)]
    TlsName(#[from] TlsNameError),
    /// The text is no address of a proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyAddressError),
    /// Only user or password of the login at the proxy is set, or a password without a proxy.
    #[error("a user in proxy() and its proxy_password() belong together: one of them is missing")]
    ProxyLogin,
    /// `spool_dir` is used without the feature `spool-queue`.
    #[error("spool_dir needs the feature \"spool-queue\"")]
    NoDiskSpool,
    /// The queue on disk did not open.
    #[error("the spool in {} did not open", dir.display())]
    Spool {
        /// Directory of the spool.
        dir: PathBuf,
        /// Error of the queue: an `edge_queue::OpenError`, or an `edge_queue::ConsumerError`.
        source: Box<dyn Error + Send + Sync>,
    },
}

#[cfg(all(test, feature = "spool-queue"))]
mod tests {
    use super::*;
    use crate::net::{Bridge, PublishError};

    /// It was: the queue's error in words alone, so that a program could not tell a lock from a full disk.
    #[tokio::test]
    async fn errors_of_the_spool_are_there_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let start = || Bridge::builder("mqtt://127.0.0.1:9").client_id("a").spool_dir(dir.path()).start();
        let bridge = start().await.unwrap();
        let locked = start().await.unwrap_err();
        let source = locked.source().and_then(|source| source.downcast_ref::<edge_queue::OpenError>());
        assert!(matches!(source, Some(edge_queue::OpenError::Busy)), "{locked:?}");
        let refused = bridge.publish("t", vec![0; 1 << 20]).await.unwrap_err();
        let PublishError::Refused { source } = refused else { panic!("{refused:?}") };
        assert!(source.is::<edge_queue::PushError>(), "{source:?}");
        let _ = bridge.close().await.unwrap();
    }
}
