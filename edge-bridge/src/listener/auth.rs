//! Access of clients, decided by the application: who may come in, and what each may publish and get.

use std::fmt;
use std::net::SocketAddr;

use crate::ingest::Now;
use crate::wire::{Connect, ReasonCode};

/// A client as decisions about it see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientRef<'a> {
    /// Client identifier, also one that the listener chose.
    pub client_id: &'a str,
    /// Name in its certificate, or user name of its CONNECT.
    pub user: Option<&'a str>,
    /// True if the name is that of a certificate which was verified.
    pub is_certified: bool,
}

/// A client that wants to come in.
#[derive(Debug, Clone, Copy)]
pub struct LoginRequest<'a> {
    /// Address of its connection; `None` where the listener was not told it.
    pub peer: Option<SocketAddr>,
    /// Name in its certificate, which was verified; then the user name of the CONNECT counts for nothing.
    pub certificate_name: Option<&'a str>,
    /// The packet that it sent.
    pub connect: &'a Connect,
}

/// Decides about each CONNECT. Pure and quick: it is called on the shell's thread. A function will do:
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
    /// `Err` refuses the client with a reason of CONNACK; [`BAD_USER_NAME_OR_PASSWORD`](ReasonCode::BAD_USER_NAME_OR_PASSWORD) and
    /// [`NOT_AUTHORIZED`](ReasonCode::NOT_AUTHORIZED) are those that 3.1.1 knows too.
    fn authenticate(&mut self, now: Now, login: &LoginRequest<'_>) -> Result<(), ReasonCode>;

    /// Returns what becomes of a client that others let in before: asked of each, also of absent ones, when the listener's access changes. Default: it
    /// stays.
    fn standing(&self, _client: ClientRef<'_>) -> Standing {
        Standing::Stays
    }
}

/// Fate of a client when the rules change. Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on as it was.
    Stays,
    /// It is disconnected, and finds its session when it comes back.
    LogsInAgain,
    /// It is disconnected, and its session ends: there is no such user any more.
    Gone,
}

/// Lets everybody in: for loopback, and networks where the address is the authority.
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

/// Decides what a client may publish and get. Pure and quick: it is asked for every message and every subscriber of it.
pub trait Authorize: Send {
    /// Returns whether the client may publish to the topic. If not, its message is answered 0x87 (not authorized); in 3.1.1, whose PUBACK could only
    /// say that all is well, its connection ends; at QoS 0 it is dropped.
    fn may_publish(&mut self, client: ClientRef<'_>, topic: &str) -> bool;

    /// Returns whether the client gets messages of the topic. Subscriptions are granted in any case, and bring what the client may have.
    fn may_receive(&mut self, client: ClientRef<'_>, topic: &str) -> bool;
}

/// Access control of a listener: who may come in, and what they may do there.
pub struct Access {
    pub(super) authenticate: Box<dyn Authenticate>,
    /// `None`: everything.
    pub(super) authorize: Option<Box<dyn Authorize>>,
}

impl Access {
    /// Grants everything to whom `authenticate` lets in.
    pub fn of(authenticate: impl Authenticate + 'static) -> Self {
        Self { authenticate: Box::new(authenticate), authorize: None }
    }

    /// Asks `authorize` about each message.
    #[must_use]
    pub fn with_rights(mut self, authorize: impl Authorize + 'static) -> Self {
        self.authorize = Some(Box::new(authorize));
        self
    }
}

impl Default for Access {
    /// Grants everything to everybody.
    fn default() -> Self {
        Self::of(AllowAnonymous)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("has_rights", &self.authorize.is_some()).finish_non_exhaustive()
    }
}
