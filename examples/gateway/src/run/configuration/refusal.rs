//! Refusal of a changed configuration: the reason, and the remedy that fits it. Pure.

/// Reason why other lanes are not in force. It has no number of waiting messages, which would soon be another.
pub(super) const OTHER_LANES: &str = "queue.lanes: what waits in a lane goes by its place in the list, under the limit of that place; let the queue drain, then restart the gateway with other lanes";

/// Remedy for a configuration that is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    MendFile,
    Restart,
    RemoveCause,
}

/// Reason why the files' present configuration is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    why: String,
    remedy: Remedy,
}

impl Refusal {
    /// Creates the refusal of a configuration with mistakes, of which `why` is the first.
    pub(crate) fn mistake(why: String) -> Self {
        Self { why, remedy: Remedy::MendFile }
    }

    /// Creates the refusal of a valid change that no reload can apply.
    pub(crate) fn needs_restart(why: String) -> Self {
        Self { why, remedy: Remedy::Restart }
    }

    /// Creates the refusal of a configuration that did not start because messages wait in other lanes.
    pub(crate) fn other_lanes() -> Self {
        Self::needs_restart(OTHER_LANES.to_owned())
    }

    /// Creates the refusal of a configuration that did not start, for this error.
    pub(crate) fn no_start(error: &str) -> Self {
        Self { why: format!("it does not start: {error}"), remedy: Remedy::RemoveCause }
    }

    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Returns the action for the operator.
    pub(crate) fn action(&self) -> &'static str {
        match self.remedy {
            Remedy::MendFile => {
                "What was in force goes on. Mend the file: `edge-gateway check` names every mistake; then reload it."
            }
            Remedy::Restart => {
                "What was in force goes on. The file is valid, but a reload cannot apply this change: restart the gateway when the plant allows it."
            }
            Remedy::RemoveCause => {
                "What was in force goes on. Remove this cause, such as an address in use, or take the change back; then reload it."
            }
        }
    }
}
