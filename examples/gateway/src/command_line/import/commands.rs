//! Import of `[[command]]` tables from those `topic` lines by which Mosquitto brings messages from the hub.

use edge_bridge::bridge::topic_rules::Rule;
use edge_bridge::wire::QoS;
use mosquitto_conf::conf::Line;

use crate::config::overlap::overlap;
use crate::config::{LocalTopic, answers_by_default, own_topic};

use super::origin::Origin;
use super::output::{Output, quoted};

/// Rules for commands written so far.
#[derive(Debug)]
pub(super) struct WaysIn {
    listens: bool,
    written: Vec<(String, Origin)>,
}

/// Topic filter at the hub, and the topic for local clients.
#[derive(Debug)]
pub(super) struct WayIn {
    filter: String,
    to: String,
}

impl WaysIn {
    /// Creates the list. `listens` is set if the gateway has a listener of its own, without a broker between it and its clients.
    pub(super) fn new(listens: bool) -> Self {
        Self { listens, written: Vec::new() }
    }

    /// Makes a command from a topic rule.
    ///
    /// # Errors
    ///
    /// The reason why the rule cannot become a command.
    pub(super) fn find(&self, rule: &Rule) -> Result<WayIn, String> {
        if !self.listens {
            return Err("the gateway gives commands to clients of its own listener alone, and here the broker stays; mqtt-bridge carries commands, beside it".to_owned());
        }
        let filter = rule.remote_filter().map(ToString::to_string).unwrap_or_default();
        let to = format!("{}{}", rule.local_prefix(), rule.pattern());
        if let Some((_, origin)) = self.written.iter().find(|(other, _)| *other == filter) {
            return Err(format!("{origin} has these topics already"));
        }
        LocalTopic::new(&filter, &to)?;
        if let Some(own) = own_topic(&to) {
            return Err(format!("on {own} the gateway alone speaks"));
        }
        // The gateway's name may hold a variable.
        if overlap(&filter, &answers_by_default("+")) {
            return Err(format!(
                "\"{filter}\" is also where the ends of commands are told: write [[command]]s for the topics that are meant"
            ));
        }
        Ok(WayIn { filter, to })
    }

    /// Writes the command, with warnings about differences from Mosquitto, which has no expiry and no memory of delivered messages.
    pub(super) fn write(
        &mut self,
        line: &Line,
        rule: &Rule,
        WayIn { filter, to }: WayIn,
        output: &mut Output,
    ) {
        let origin = Origin::from(line);
        let keys = [
            ("match", quoted(&filter)),
            ("to", quoted(&to)),
            ("delivery", quoted("at-least-once")),
            ("allow_unbounded", "true".to_owned()),
        ];
        output.command(&keys, std::slice::from_ref(&origin));
        let text = format!(
            "\"{filter}\": what is retained at the hub, and what no client has taken within `expiry`, is refused and the hub told; Mosquitto gives both on"
        );
        output.warn(Some(origin.clone()), &text);
        if rule.qos() == QoS::ExactlyOnce {
            let text = format!(
                "\"{filter}\": commands come at QoS 1, and a copy is given again. To have none twice write delivery = \"at-most-once\""
            );
            output.warn(Some(origin.clone()), &text);
        }
        self.written.push((filter, origin));
    }
}
