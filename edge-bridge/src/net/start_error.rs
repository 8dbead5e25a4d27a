//! Errors of a start.

use std::error::Error;
use std::path::PathBuf;

use super::hub_address::TargetError;
use super::proxy_address::ProxyAddressError;
use super::tls_names::TlsNameError;
use crate::wire::TopicError;

/// Error of starting a bridge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The text is no address of a hub.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Some of the addresses are `mqtt` and some `mqtts`: the keys and the password would go to both.
    #[error("the addresses must all be mqtt:// or all mqtts://")]
    MixedSchemes,
    /// The client identifier is missing: the hub keeps the session under it.
    #[error("client_id is missing: the hub keeps the session under this name")]
    ClientId,
    /// A text that MQTT does not carry.
    #[error("{what} is not a string of MQTT")]
    Text {
        /// Name of the setting.
        what: &'static str,
    },
    /// A topic of the will that is none: a wildcard, say.
    #[error("the topic of the will cannot be published to")]
    WillTopic(#[source] TopicError),
    /// The address is `mqtts` and there are no keys.
    #[error("mqtts:// needs tls(): an authority to trust, at least")]
    TlsMissing,
    /// There are keys and the address is not `mqtts`.
    #[error("tls() is set, but the address is mqtt://, which would be sent in the clear")]
    TlsUnused,
    /// A setting of TLS, and the address is not `mqtts`.
    #[error("{what} is set, but the address is mqtt://, which has no TLS")]
    NotOverTls {
        /// Name of the setting.
        what: &'static str,
    },
    /// A name that TLS does not carry.
    #[error(transparent)]
    TlsName(#[from] TlsNameError),
    /// The text is no address of a proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyAddressError),
    /// Half a login at the proxy, or one without a proxy.
    #[error("a user in proxy() and its proxy_password() belong together: one of them is missing")]
    ProxyLogin,
    /// `spool_dir` without the feature that has a disk queue.
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
        bridge.close().await.unwrap();
    }
}
