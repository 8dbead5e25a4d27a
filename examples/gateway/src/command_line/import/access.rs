//! Reads who may enter without a user name. In gateway.toml that is one key for all addresses, and in a mosquitto.conf with
//! `per_listener_settings true` a line for each: then no address is opened to whom its own lines keep out.

use mosquitto_conf::conf::Line;
use mosquitto_conf::values::boolean;

use super::origin::Origin;
use super::output::{Output, Part};
use super::pools::{AccessLine, Pool};

/// Access of clients that show no certificate.
pub(super) struct ClientAccess {
    /// Lines of `allow_anonymous`, those in force alone: one of all listeners, or one at most of each.
    anonymous: Vec<AccessLine>,
    is_per_listener: bool,
    has_users: bool,
}

impl ClientAccess {
    /// Reads the lines. Those that a later one overrides become comments.
    pub(super) fn of(anonymous: Vec<AccessLine>, broker: &Pool, output: &mut Output) -> Self {
        let is_set = |line: &Line| !line.value.is_empty();
        let has_users = broker.lines().any(|line| line.word == "password_file" && is_set(line));
        let per_listener = broker.lines().filter(|line| line.word == "per_listener_settings").last();
        let is_per_listener = per_listener.is_some_and(|line| boolean(&line.value) == Ok(true));
        let mut in_force: Vec<AccessLine> = Vec::new();
        for AccessLine { listener, line } in anonymous {
            let before = in_force.iter_mut().find(|other| !is_per_listener || other.listener == listener);
            if let Some(before) = before {
                let why = format!("given again in line {}, which holds", line.place.line);
                output.leave_with_warning(Part::Local, &before.line, &why);
                *before = AccessLine { listener, line };
            } else {
                in_force.push(AccessLine { listener, line });
            }
        }
        Self { anonymous: in_force, is_per_listener, has_users }
    }

    /// Returns whether clients without a user name may enter at a listener. Without a line Mosquitto lets none in.
    fn lets_in_anonymous(&self, listener: usize) -> bool {
        let mut own = self.anonymous.iter().filter(|line| !self.is_per_listener || line.listener == listener);
        own.any(|AccessLine { line, .. }| boolean(&line.value) == Ok(true))
    }

    /// Returns whether any client may enter at a listener: by a password, or without one. It decides whether the address stays or is narrowed to the
    /// loopback interface.
    pub(super) fn lets_in(&self, listener: usize) -> bool {
        self.has_users || self.lets_in_anonymous(listener)
    }

    /// Writes the key. `listeners` are those that the gateway takes over and whose clients need no certificate. With users all of these have to let in
    /// clients without a name; without, those that do not are narrowed, so that one is enough.
    pub(super) fn write(self, listeners: &[usize], output: &mut Output) {
        let mut each = listeners.iter().map(|listener| self.lets_in_anonymous(*listener));
        let lets_in = match (self.is_per_listener, self.has_users) {
            (false, _) => self.lets_in_anonymous(0),
            (true, true) => !listeners.is_empty() && each.all(|lets_in| lets_in),
            (true, false) => each.any(|lets_in| lets_in),
        };
        let mut origins: Vec<Origin> = Vec::new();
        for AccessLine { listener, line } in &self.anonymous {
            let is_of_one = !self.is_per_listener || listeners.contains(listener);
            match boolean(&line.value) {
                Err(error) => output.leave_with_warning(Part::Local, line, &error),
                Ok(_) if !is_of_one => {
                    output.leave(
                        Part::Local,
                        line,
                        "of no listener that the gateway has for clients without certificates",
                    );
                }
                Ok(is) if is == lets_in => origins.push(line.into()),
                Ok(true) => {
                    let why = "the key is of all addresses, and another listener lets nobody in without a user: clients of this one need a user, too";
                    output.leave_with_warning(Part::Local, line, why);
                }
                Ok(false) => output.leave(Part::Local, line, "its address is one of this machine alone"),
            }
        }
        if lets_in || !origins.is_empty() {
            output.key(Part::Local, "allow_anonymous", &lets_in.to_string(), &origins, "");
        }
    }

    /// Writes comments, because the broker stays.
    pub(super) fn leave(self, output: &mut Output) {
        for AccessLine { line, .. } in &self.anonymous {
            output.leave(Part::Local, line, "of the local broker, which stays");
        }
    }
}
