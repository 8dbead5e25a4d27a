//! Names of inputs, outputs, interlocks and alarms, and the topics made of them.

use edge_filter::control::Controller;

#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    pub(super) interlocks: Vec<String>,
    /// The input of each alarm.
    pub(super) alarms: Vec<String>,
}

impl Names {
    pub(super) fn of(controller: &Controller) -> Self {
        let inputs = controller.inputs();
        let name = |input: usize| inputs.name(input).unwrap_or_default().to_owned();
        Names {
            inputs: (0..inputs.len()).map(name).collect(),
            outputs: controller.outputs().iter().map(|output| output.name().to_owned()).collect(),
            interlocks: controller.interlocks().map(str::to_owned).collect(),
            alarms: controller.alarms().map(name).collect(),
        }
    }
}

/// The number of a name.
pub(super) fn number(names: &[String], name: &str) -> Option<u16> {
    names.iter().position(|one| one == name).and_then(|number| u16::try_from(number).ok())
}
