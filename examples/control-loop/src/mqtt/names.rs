//! Names of inputs, outputs, interlocks and alarms, and the topics made of them.

use edge_bridge::wire::validate_topic_name;
use edge_filter::ConfigFile;
use edge_filter::control::Controller;

/// Topic prefix of outputs' values.
pub(super) const OUTPUT: &str = "out/";
/// Topic prefix of events.
pub(super) const EVENT: &str = "event/";
/// Topic prefix of commands.
pub const COMMAND: &str = "cmd/";

/// Topic filters of the loops' messages. Only the loops may publish there, because actuators rely on these messages: see
/// [`Config::own_topics`](edge_bridge::listener::Config::own_topics).
#[must_use]
pub fn own_topics() -> Vec<String> {
    vec![format!("{OUTPUT}#"), event_topics()]
}

/// Topic filter of events, one of [`own_topics`].
#[must_use]
pub fn event_topics() -> String {
    format!("{EVENT}#")
}

/// Names of the loops' parts.
#[derive(Clone, Debug)]
pub struct LoopNames {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) interlocks: Vec<String>,
    /// Input of each alarm.
    pub(super) alarms: Vec<String>,
    /// Set if commands are enabled.
    pub(super) take_commands: bool,
}

impl LoopNames {
    /// Returns the names of a controller, without commands.
    #[must_use]
    pub fn of(controller: &Controller) -> Self {
        let inputs = controller.inputs();
        let name = |input: usize| inputs.name(input).unwrap_or_default().to_owned();
        LoopNames {
            inputs: (0..inputs.len()).map(name).collect(),
            outputs: controller.outputs().iter().map(|output| output.name().to_owned()).collect(),
            interlocks: controller.interlocks().map(str::to_owned).collect(),
            alarms: controller.alarms().map(name).collect(),
            take_commands: false,
        }
    }

    /// Returns whether a message on this topic is for the loops: an input's value, or a command.
    #[must_use]
    pub fn take(&self, topic: &str) -> bool {
        topic.starts_with(COMMAND) || self.inputs.iter().any(|name| name == topic)
    }

    /// Returns whether a message on this topic is a command, and commands are enabled. It is then obeyed or refused, and answered.
    #[must_use]
    pub fn take_command(&self, topic: &str) -> bool {
        self.take_commands && topic.starts_with(COMMAND)
    }

    /// Returns whether an alarm command, by its topic below `cmd/alarm/`, is for an alarm of the loops.
    #[must_use]
    pub fn have_alarm_of(&self, topic: &str) -> bool {
        let mut parts = topic.rsplitn(3, '/').skip(2);
        parts.next().is_some_and(|input| self.alarms.iter().any(|name| name == input))
    }

    /// Reports every name in a file that is not valid in a topic, or that is one of the loops' own topics.
    pub(crate) fn check(file: &mut ConfigFile<'_>) {
        for table in ["input", "output", "interlock"] {
            for (index, name) in file.names(table) {
                let own = [OUTPUT, EVENT, COMMAND].into_iter().find(|prefix| name.starts_with(prefix));
                // The longest topic that is made of it.
                let topic = format!("{EVENT}interlock/{name}");
                if name.is_empty() || validate_topic_name(&topic).is_err() {
                    let problem = format!("{name:?} is a part of a topic, and cannot be one");
                    file.wrong_name(table, index, problem);
                } else if let Some(prefix) = own.filter(|_| table == "input") {
                    let problem = format!("{prefix}… is for what the loops say and are told");
                    file.wrong_name(table, index, problem);
                }
            }
        }
    }
}

/// Returns the index of a name.
pub(super) fn number(names: &[String], name: &str) -> Option<u16> {
    names.iter().position(|one| one == name).and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_named_after_their_inputs_of_which_others_have_none() {
        let rules = "[[input]]\nname = \"flow\"\nstale_after_ms = 1000\n[[input]]\nname = \"temp\"\nstale_after_ms = 1000\n[[alarm]]\nmatch = \"temp\"\nhigh = { limit = 80 }\n";
        let names = LoopNames::of(&Controller::from_toml(rules).unwrap());
        assert_eq!(
            (names.inputs, names.alarms),
            (vec!["flow".to_owned(), "temp".to_owned()], vec!["temp".to_owned()])
        );
    }
}
