//! Local control: the loops' thread, alarms and the commands to them, and the messages that they cause.

pub(super) mod alarm_commands;
pub(super) mod alarm_file;
pub(super) mod control;
pub(super) mod to_hub;
