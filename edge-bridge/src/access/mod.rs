//! Access control by Mosquitto's two files: logins ([`PasswordFile`]), and rights to publish and receive ([`AclFile`]).
//!
//! Pure: the application reads the files, also when they change, and gives their content to the listener as
//! [`Access`](crate::listener::Access).
//!
//! ```
//! use edge_bridge::access::{AclFile, LoginMemory, Logins, PasswordFile};
//! use edge_bridge::listener::{Access, Config, Listener, Observe};
//!
//! # fn main() -> Result<(), Vec<edge_bridge::access::LineError>> {
//! let passwords = PasswordFile::parse(
//!     "sensor:$7$101$c2FsdHNhbHRzYWw=$\
//!      Hd71hnNoKcARd6Fkl1rUE+opfs3V78ZJB2AgXXC1kaKQiWfi5S5qX7D1mY5b+bIzvyidWMnS8VA+YAsAygq9EA==",
//! )?;
//! let rules = AclFile::parse("user sensor\ntopic write plant/#\n")?;
//! // 32 random bytes of the process.
//! let logins = Logins::new(passwords, LoginMemory::new([7; 32]));
//! let access = Access::of(logins).with_rights(rules);
//! let listener = Listener::new(Config::default(), Observe(|_, _: &_| {})).with_access(access);
//! # drop(listener);
//! # Ok(())
//! # }
//! ```

#![deny(clippy::indexing_slicing)]

mod acl_file;
mod known_logins;
mod line_error;
mod login_limit;
mod logins;
mod memory;
mod password_file;
mod rules;

pub use acl_file::AclFile;
pub use line_error::{LineError, LineProblem};
pub use logins::{LoginMemory, Logins};
pub use password_file::PasswordFile;
pub use rules::AccessRules;
