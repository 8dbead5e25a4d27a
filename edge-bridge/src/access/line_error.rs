//! Errors in password files and access lists, with their lines.

use crate::wire::TopicError;

/// Error in one line of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: usize,
    /// Rule that the line breaks.
    pub problem: LineProblem,
}

/// Rule that a line breaks. No text quotes a password or its hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// Line of a password file without its two parts.
    #[error("not USER:HASH")]
    NotALogin,
    /// A user name without a character.
    #[error("the user name is empty")]
    NoName,
    /// A user name that no line can have.
    #[error("a user name has no colon, no line's end and no blanks around it, and does not begin with #")]
    UnfitName,
    /// Second login of a user.
    #[error("the user stands there twice: the first time in line {0}")]
    Twice(usize),
    /// Password that was never hashed.
    #[error("the password is not hashed: `mosquitto_passwd -U FILE` does it")]
    NotHashed,
    /// Hash of a kind that is not read.
    #[error("a hash of the kind ${0}$: $7$ and $6$ are read, as Mosquitto 2 writes them")]
    OtherHash(String),
    /// Hash that lacks a part, or whose parts are not base64 of their lengths.
    #[error("the hash is damaged")]
    DamagedHash,
    /// More iterations than a login may cost.
    #[error("{iterations} iterations: from 1 to {limit}, for everybody waits for the check of a password")]
    Iterations {
        /// Iterations that the line asks for.
        iterations: u64,
        /// Limit of the iterations.
        limit: u32,
    },
    /// First word of a line of an access list.
    #[error("\"{0}\": a line begins with topic, user or pattern, or with # if it is a comment")]
    Word(String),
    /// Second word of a line of an access list.
    #[error("\"{0}\": the access is read, write, readwrite or deny")]
    Access(String),
    /// A line of an access list that ends too early.
    #[error("the topic is missing")]
    NoTopic,
    /// Filter that MQTT does not know.
    #[error("\"{filter}\": {error}")]
    Filter {
        /// The filter.
        filter: String,
        /// Rule that the filter breaks.
        error: TopicError,
    },
}
