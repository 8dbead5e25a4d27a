//! Access control of the listener, decided by the application: which clients may connect, and what each may publish and receive.

use std::fmt;
use std::net::SocketAddr;

use crate::ingest::Now;
use crate::wire::{Connect, ReasonCode};

/// A client, as the application's access decisions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientRef<'a> {
    /// Client identifier, also one that the listener chose.
    pub client_id: &'a str,
    /// Name in the client's certificate, or else the user name of its CONNECT; `None` without either.
    pub user: Option<&'a str>,
    /// True if the name comes from a verified certificate.
    pub is_certified: bool,
}

/// Request of a client to connect.
#[derive(Debug, Clone, Copy)]
pub struct LoginRequest<'a> {
    /// Address of the client's connection; `None` if the caller did not report it.
    pub peer: Option<SocketAddr>,
    /// Name in the client's verified certificate, which replaces the user name of the CONNECT; `None` without a certificate.
    pub certificate_name: Option<&'a str>,
    /// CONNECT packet that the client sent.
    pub connect: &'a Connect,
}

/// Decides about each CONNECT. Must be pure and quick, because it is called on the shell's thread, and must not panic: a panic ends the server,
/// whose calls return errors from then on. A function can be used:
///
/// ```
/// use edge_bridge::listener::{Access, Authenticate, Config, Listener, Observe};
/// use edge_bridge::wire::{Connect, ReasonCode};
///
/// fn sensors_only(connect: &Connect) -> Result<(), ReasonCode> {
///     match (connect.username.as_deref(), connect.password.as_deref()) {
///         (Some("sensor"), Some(b"secret")) => Ok(()),
///         _ => Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
///     }
/// }
///
/// let listener = Listener::new(Config::default(), Observe(|_, _: &_| {})).with_access(Access::of(sensors_only));
/// # drop(listener);
/// ```
pub trait Authenticate: Send {
    /// Returns `Ok` to accept the client. `Err` refuses it with a reason of CONNACK, of which 3.1.1 knows
    /// [`BAD_USER_NAME_OR_PASSWORD`](ReasonCode::BAD_USER_NAME_OR_PASSWORD) and [`NOT_AUTHORIZED`](ReasonCode::NOT_AUTHORIZED).
    fn authenticate(&mut self, now: Now, login: &LoginRequest<'_>) -> Result<(), ReasonCode>;

    /// Decides about a client that earlier rules accepted. Called for each client, also absent ones, when the listener's access changes.
    /// Default: the client stays.
    fn standing(&self, _client: ClientRef<'_>) -> Standing {
        Standing::Stays
    }
}

/// Consequence of new access rules for a client. New kinds come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The client goes on as before.
    Stays,
    /// The client is disconnected, and has to log in again to resume its session.
    LogsInAgain,
    /// The client is disconnected and its session ends, because its user no longer exists.
    Gone,
}

/// Accepts every client, for loopback and for networks in which the address is proof enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAnonymous;

impl Authenticate for AllowAnonymous {
    fn authenticate(&mut self, _: Now, _: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        Ok(())
    }
}

impl<F: FnMut(&Connect) -> Result<(), ReasonCode> + Send> Authenticate for F {
    fn authenticate(&mut self, _: Now, login: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        self(login.connect)
    }
}

/// Decides what a client may publish and receive. Must be pure and quick, because it is called for every message and every subscriber of it.
pub trait Authorize: Send {
    /// Returns whether the client may publish to the topic. A forbidden message is answered by 0x87 (not authorized); in 3.1.1, whose PUBACK
    /// has no reasons, the connection ends instead; at QoS 0 it is dropped.
    fn may_publish(&mut self, client: ClientRef<'_>, topic: &str) -> bool;

    /// Returns whether the client may receive messages of the topic. Subscriptions are granted in any case, but bring only permitted messages.
    fn may_receive(&mut self, client: ClientRef<'_>, topic: &str) -> bool;
}

/// Access control of a listener: which clients may connect, and what they may publish and receive.
pub struct Access {
    pub(super) authenticate: Box<dyn Authenticate>,
    /// Rights of each client; `None` permits everything.
    pub(super) authorize: Option<Box<dyn Authorize>>,
}

impl Access {
    /// Creates access control that permits everything to the clients that `authenticate` accepts.
    pub fn of(authenticate: impl Authenticate + 'static) -> Self {
        Self { authenticate: Box::new(authenticate), authorize: None }
    }

    /// Decides about each message and subscriber by `authorize`.
    #[must_use]
    pub fn with_rights(mut self, authorize: impl Authorize + 'static) -> Self {
        self.authorize = Some(Box::new(authorize));
        self
    }
}

impl Default for Access {
    /// Accepts every client and permits everything.
    fn default() -> Self {
        Self::of(AllowAnonymous)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("has_rights", &self.authorize.is_some()).finish_non_exhaustive()
    }
}
