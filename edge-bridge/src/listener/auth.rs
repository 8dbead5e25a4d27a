//! Authentication of clients by the application.

use crate::wire::{Connect, ReasonCode};

/// Decides about each CONNECT. Pure and quick: it is called on the shell's thread. A function will do:
///
/// ```
/// use edge_bridge::listener::{Authenticate, Config, Listener, Observe};
/// use edge_bridge::wire::{Connect, ReasonCode};
///
/// fn sensors_only(connect: &Connect) -> Result<(), ReasonCode> {
///     match (connect.username.as_deref(), connect.password.as_deref()) {
///         (Some("sensor"), Some(b"secret")) => Ok(()),
///         _ => Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
///     }
/// }
///
/// let listener = Listener::new(Config::default(), Observe(|_, _: &_| {})).with_authenticate(Box::new(sensors_only));
/// # drop(listener);
/// ```
pub trait Authenticate: Send {
    /// `Err` refuses the client with a reason of CONNACK; [`BAD_USER_NAME_OR_PASSWORD`](ReasonCode::BAD_USER_NAME_OR_PASSWORD) and
    /// [`NOT_AUTHORIZED`](ReasonCode::NOT_AUTHORIZED) are those that 3.1.1 knows too.
    fn authenticate(&mut self, connect: &Connect) -> Result<(), ReasonCode>;
}

/// Lets everybody in: for loopback, and networks where the address is the authority.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAnonymous;

impl Authenticate for AllowAnonymous {
    fn authenticate(&mut self, _: &Connect) -> Result<(), ReasonCode> {
        Ok(())
    }
}

impl<F: FnMut(&Connect) -> Result<(), ReasonCode> + Send> Authenticate for F {
    fn authenticate(&mut self, connect: &Connect) -> Result<(), ReasonCode> {
        self(connect)
    }
}
