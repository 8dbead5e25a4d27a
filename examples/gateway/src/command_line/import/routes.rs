//! Import of `[[route]]` and `[[command]]` tables from the `topic` lines of a connection.

use edge_bridge::bridge::topic_rules::{Direction, Rule};
use edge_bridge::wire::{QoS, validate_characters, validate_topic_name};
use mosquitto_conf::conf::Line;
use mosquitto_conf::prefix_order;
use mosquitto_conf::values::topic;

use super::commands::WaysIn;
use super::origin::Origin;
use super::output::{Output, Part, quoted};
use super::pools::Pool;

const PART: Part = Part::Routes;

/// Route that was written, for comparison with further ones.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) filter: String,
    pub(super) to: String,
    pub(super) origin: Origin,
}

/// Writes the routes. `listens` is set if the gateway has a listener of its own, and no broker.
pub(super) fn routes(pool: &mut Pool, listens: bool, output: &mut Output) -> Vec<Written> {
    let mut rules = Vec::new();
    for line in pool.take(&["topic"]) {
        match topic(&line) {
            Ok(topic) => {
                prefix_order::traps(&topic.rule)
                    .iter()
                    .for_each(|trap| output.warn(Some((&line).into()), trap));
                rules.push((line, topic.rule));
            }
            Err(error) => output.leave_with_warning(PART, &line, &error),
        }
    }
    // Mosquitto lets the first rule with a prefix name a topic, and the gateway the first route, or the first command.
    let has_prefix = |rule: &Rule| !rule.local_prefix().is_empty() || !rule.remote_prefix().is_empty();
    rules.sort_by_key(|(_, rule)| !has_prefix(rule));
    let mut written: Vec<Written> = Vec::new();
    let mut ways_in = WaysIn::new(listens);
    for (line, rule) in rules {
        let made = match rule.direction() {
            Direction::In => ways_in.find(&rule).map(|way_in| ways_in.write(&line, &rule, way_in, output)),
            Direction::Out | Direction::Both => {
                route(&line, &rule, (&written, &mut ways_in), listens, output)
                    .map(|route| written.push(route))
            }
        };
        if let Err(mut why) = made {
            if rule.direction() == Direction::Both {
                why.push_str("; its way in is not carried over either");
            }
            output.leave_with_warning(PART, &line, &why);
        }
    }
    written
}

fn route(
    line: &Line,
    rule: &Rule,
    (written, ways_in): (&[Written], &mut WaysIn),
    listens: bool,
    output: &mut Output,
) -> Result<Written, String> {
    let filter = rule.local_filter().map(ToString::to_string).unwrap_or_default();
    if let Some(same) = written.iter().find(|route| route.filter == filter) {
        return Err(format!("{} has these topics already", same.origin));
    }
    if filter.starts_with("$share/") {
        return Err("a shared subscription is none of a route".to_owned());
    }
    if listens && filter.starts_with('$') {
        return Err("topics that begin with $ are a broker's own; the gateway has none".to_owned());
    }
    let to = prefix(rule);
    let name = format!("{to}x");
    validate_topic_name(&name)
        .and_then(|()| validate_characters(&name))
        .map_err(|error| error.to_string())?;
    warn(line, rule, &filter, &to, output);
    let mut remarks = Vec::new();
    if rule.direction() == Direction::Both {
        match ways_in.find(rule) {
            Ok(way_in) => ways_in.write(line, rule, way_in, output),
            Err(why) => {
                remarks.push(format!("The way in of this line is not carried over: {why}."));
                let from = rule.remote_filter().map_or("", |filter| filter.as_str());
                let text = format!("the way in, from \"{from}\", is not carried over: {why}");
                output.warn(Some(line.into()), &text);
            }
        }
    }
    let qos = (rule.qos() as u8).to_string();
    let keys = [("match", quoted(&filter)), ("to", quoted(&to)), ("qos", qos), ("format", quoted("raw"))];
    let origin = Origin::from(line);
    output.route(&keys, std::slice::from_ref(&origin), &remarks);
    Ok(Written { filter, to, origin })
}

/// Returns the prefix that a route puts before the local topic: the remote one, without the local prefix if it ends in that, since Mosquitto takes
/// the local prefix away and a route keeps it.
fn prefix(rule: &Rule) -> String {
    let (local, remote) = (rule.local_prefix().as_str(), rule.remote_prefix().as_str());
    remote.strip_suffix(local).unwrap_or(remote).to_owned()
}

/// Warns of differences from Mosquitto in the topics at the hub.
fn warn(line: &Line, rule: &Rule, filter: &str, to: &str, output: &mut Output) {
    let origin = Some(Origin::from(line));
    let (local, remote) = (rule.local_prefix().as_str(), rule.remote_prefix().as_str());
    if !remote.ends_with(local) {
        let text = format!(
            "other topics at the hub: Mosquitto cuts \"{local}\" off and sends \"{remote}…\"; a route puts its `to` before the whole topic: \"{remote}{local}…\""
        );
        output.warn(origin.clone(), &text);
    }
    if !to.is_empty() && !to.ends_with('/') {
        let text = format!(
            "the prefix \"{to}\" has no / at its end: it stands right before the topic, as in Mosquitto"
        );
        output.warn(origin.clone(), &text);
    }
    if rule.qos() == QoS::AtMostOnce {
        let text = format!(
            "QoS 0: what the gateway has stored of \"{filter}\" goes at QoS 1, and is not lost when the link breaks"
        );
        output.warn(origin, &text);
    }
}
