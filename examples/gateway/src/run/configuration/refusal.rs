//! Refusal of a changed configuration: the reason, and the remedy that fits it. Pure.

use std::fmt;

use crate::config::{Findings, Severity, Sources};

/// Change of a valid configuration that a reload cannot apply. Displays the reason, behind the key if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    StateDirectory,
    Lanes,
    /// The key file has another key than the open queue, or is new, or left out.
    QueueKey,
    /// Control loops run, and these tables are read at a start.
    Loops(Vec<&'static str>),
}

impl Unfit {
    fn key(&self) -> Option<&'static str> {
        match self {
            Self::StateDirectory => Some("gateway.state"),
            Self::Lanes => Some("queue.lanes"),
            Self::QueueKey => Some("queue.key_file"),
            Self::Loops(_) => None,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key() {
            write!(f, "{key}: ")?;
        }
        match self {
            Self::StateDirectory => f.write_str("another directory is another queue; stop the gateway for it"),
            // No number of waiting messages, which would soon be another.
            Self::Lanes => f.write_str("what waits in a lane goes by its place in the list, under the limit of that place; let the queue drain, then restart the gateway with other lanes"),
            Self::QueueKey => f.write_str("a queue stays as it was made, with its key or without one: neither a reload nor a restart changes that"),
            Self::Loops(tables) => write!(
                f,
                "{} is read at a start, at which control loops stop and outputs become safe; restart the gateway when the plant allows it",
                tables.join(", ")
            ),
        }
    }
}

/// Remedy for a configuration that is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    MendFile,
    FitCertificate,
    Reload,
    Restart,
    Drain,
    PutKeyBack,
    LetLessWait,
    RemoveCause,
}

/// Reason why the files' present configuration is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    why: String,
    /// The reason without what may be a secret that was typed in the place of its path.
    shareable: String,
    /// Key of the gateway's own certificate, or of its key, that the reason is about, where such are all that is wrong.
    certificate_key: Option<String>,
    remedy: Remedy,
}

impl Refusal {
    /// Creates the refusal of a configuration with mistakes. Certificates that cannot be used are no change of it, and may be all that is wrong.
    pub(crate) fn mistakes(findings: &Findings) -> Self {
        let why = findings.summaries(Severity::Error).next().unwrap_or_default();
        let shareable = findings.shareable_summaries(Severity::Error).next().unwrap_or_default();
        let key = findings.first_error_key().filter(|_| findings.are_of_identities());
        let certificate_key = key.map(str::to_owned);
        let remedy = if certificate_key.is_some() { Remedy::FitCertificate } else { Remedy::MendFile };
        Self { why, shareable, certificate_key, remedy }
    }

    /// Creates the refusal of a configuration that had mistakes and has none any more, in a gateway that reads its files at a signal.
    pub(crate) fn not_reloaded() -> Self {
        Self::of_valid("it has no mistake any more, and waits for its reload".to_owned(), Remedy::Reload)
    }

    /// Creates the refusal of a valid change that no reload can apply. `sources`: files of the changed configuration.
    pub(crate) fn unfit(why: &Unfit, sources: &Sources) -> Self {
        let place = why.key().map_or_else(String::new, |key| format!("{}: ", sources.line_of(key)));
        let remedy = match why {
            Unfit::Lanes => Remedy::Drain,
            Unfit::QueueKey => Remedy::PutKeyBack,
            Unfit::StateDirectory | Unfit::Loops(_) => Remedy::Restart,
        };
        Self::of_valid(format!("{place}{why}"), remedy)
    }

    /// Creates the refusal of limits below what waits. `place`: file and line of the limit.
    pub(crate) fn more_waits(why: &str, place: &str) -> Self {
        Self::of_valid(format!("{place}: {why}"), Remedy::LetLessWait)
    }

    /// Creates the refusal of a configuration that did not start, for this error.
    pub(crate) fn no_start(error: &str) -> Self {
        Self::of_valid(format!("it does not start: {error}"), Remedy::RemoveCause)
    }

    /// Creates the refusal of a valid configuration: each path in it is one, and no secret stands in its place.
    fn of_valid(why: String, remedy: Remedy) -> Self {
        Self { shareable: why.clone(), why, certificate_key: None, remedy }
    }

    /// Returns the full key of the certificate, or of its key, that the text names. `None`: it is about something else. Others may be unusable, too.
    pub(crate) fn certificate_key(&self) -> Option<&str> {
        self.certificate_key.as_deref()
    }

    /// Returns the reason for the log of this machine. A mistake may quote what stands in the place of the path of a secret.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Returns the sentence for pages, for the hub and for whoever helps: without what may be a secret that was typed in the place of its path.
    pub(crate) fn text(&self) -> String {
        let why = &self.shareable;
        match self.remedy {
            Remedy::FitCertificate => {
                format!(
                    "A certificate of the gateway's own that gateway.toml names, or its key, cannot be used: {why}."
                )
            }
            _ => format!("The changed gateway.toml is not in force: {why}."),
        }
    }

    /// Returns the action for the operator.
    pub(crate) fn action(&self) -> &'static str {
        match self.remedy {
            Remedy::MendFile => {
                "What was in force goes on. Mend the file: `edge-gateway check` names every mistake; then reload it."
            }
            Remedy::FitCertificate => {
                "Put a certificate and a key that fit in place: they are read by themselves, no restart is needed. `edge-gateway check` names every mistake. The configuration that was in force goes on. If gateway.toml has changed, too, reload it then."
            }
            Remedy::Reload => {
                "What was in force goes on. Reload the file: a change that no reload can apply is told then."
            }
            Remedy::Restart => {
                "What was in force goes on. The file is valid, but a reload cannot apply this change: restart the gateway when the plant allows it."
            }
            Remedy::Drain => {
                "What was in force goes on. Neither a reload nor a restart applies this while messages wait: let them be delivered, or carry them to the hub (`edge-gateway mule export`); then stop the gateway and start it with the other lanes."
            }
            Remedy::PutKeyBack => {
                "What was in force goes on. Put the former key back into the file that [queue] key_file names, or take the change back; then reload it. Do so before the next start, which ends where that file has another key than before. For another key, let what waits be delivered, then stop the gateway and start it with a new state directory."
            }
            Remedy::LetLessWait => {
                "What was in force goes on. Take the change back, or reload again once less waits. A restart applies it at once: with the next message what waits beyond the limit is given up, or keeps it out, as on_full says."
            }
            Remedy::RemoveCause => {
                "What was in force goes on. Remove this cause, such as an address in use, or take the change back; then reload it."
            }
        }
    }
}
