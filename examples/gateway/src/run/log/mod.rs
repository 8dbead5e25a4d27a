//! Limits of log lines that peers can cause as often as they like.

#[cfg(test)]
pub(super) mod captured_log;
pub(super) mod once_a_minute;
pub(super) mod once_an_hour;
pub(super) mod token_bucket;
