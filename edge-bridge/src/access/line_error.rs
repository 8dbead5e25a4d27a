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
    /// A line of a password file is not of the form `USER:HASH`.
    #[error("not USER:HASH")]
    NotALogin,
    /// The user name is empty.
    #[error("the user name is empty")]
    NoName,
    /// The user name cannot be written in a line.
    #[error("a user name has no colon, no line's end and no blanks around it, and does not begin with #")]
    UnfitName,
    /// The user has a second login; contains the line of the first.
    #[error("the user stands there twice: the first time in line {0}")]
    Twice(usize),
    /// The password is not hashed.
    #[error("the password is not hashed: `mosquitto_passwd -U FILE` does it")]
    NotHashed,
    /// The hash is of a kind that is not supported.
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
    /// The first word of a line of an access list is unknown. It is not quoted: the file may be one of passwords.
    #[error("a line begins with topic, user or pattern, or with # if it is a comment")]
    Word,
    /// The access, the second word of a line of an access list, is unknown. It is not quoted either.
    #[error("the access is read, write, readwrite or deny")]
    Access,
    /// A line of an access list ends before the topic.
    #[error("the topic is missing")]
    NoTopic,
    /// The filter is not valid in MQTT.
    #[error("\"{filter}\": {error}")]
    Filter {
        /// Filter as the line has it.
        filter: String,
        /// Rule that the filter breaks.
        error: TopicError,
    },
}
