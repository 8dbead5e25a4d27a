//! Refusal of a changed configuration: the reason, and the remedy that fits it. Pure.

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
