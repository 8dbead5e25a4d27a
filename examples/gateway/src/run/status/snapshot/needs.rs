//! List of conditions that need the operator: each cause of a verdict, and further ones, as a plain sentence with the action to take. Pure.

mod queue;

use edge_bridge::wire::TopicError;

use crate::run::hub::hub_refusals::HubRefusals;
use crate::run::sensors::refused_topic::RefusedTopic;
use crate::run::status::certificates::{End, Role};
use crate::run::status::outputs::units::{counted, duration};

use super::facts::Facts;
use super::figures::Figures;
use super::{Lane, LedgerStatus, Level, LinkStatus, Need};

/// Duration in seconds from which an outage is listed; the alert of docs/reference/metrics.md has the same.
const OUTAGE_S: u64 = 900;

/// List under construction.
#[derive(Default)]
struct Needs(Vec<Need>);

impl Needs {
    fn act(&mut self, id: &str, text: String, action: impl Into<String>) {
        self.add(Level::Act, id, text, action.into());
    }

    fn look(&mut self, id: &str, text: String, action: impl Into<String>) {
        self.add(Level::Look, id, text, action.into());
    }

    fn add(&mut self, level: Level, id: &str, text: String, action: String) {
        self.0.push(Need { level, id: id.to_owned(), text, action });
    }

    /// Sorts the conditions, the worst first, otherwise in the order in which they were added.
    fn sorted(mut self) -> Vec<Need> {
        self.0.sort_by_key(|need| need.level);
        self.0
    }
}

/// Returns the conditions that need the operator of a gateway with a queue.
pub(in crate::run::status) fn needs(
    facts: &Facts,
    figures: &Figures,
    (lanes, link): (&[Lane], &LinkStatus),
    ledger: Option<&LedgerStatus>,
) -> Vec<Need> {
    let mut needs = Needs::default();
    queue::losses(&mut needs, facts, figures);
    queue::store(&mut needs, facts, figures, ledger);
    hub(&mut needs, facts, figures, link);
    certificates(&mut needs, &figures.sample.certificates);
    renewed_certificate(&mut needs, figures.sample.certificate_not_taken);
    queue::no_room(&mut needs, figures, lanes);
    queue::room(&mut needs, facts, figures, lanes);
    saved_clients(&mut needs, facts);
    configuration(&mut needs, facts);
    sensors(&mut needs, figures);
    clients(&mut needs, figures);
    refused_topics(&mut needs, facts, figures);
    needs.sorted()
}

/// Returns the conditions that need the operator while there is no queue, for this cause.
pub(in crate::run::status) fn without_queue(
    facts: &Facts,
    cause: &str,
    lost: u64,
    clock_synced: bool,
) -> Vec<Need> {
    let mut needs = Needs::default();
    let text = format!("There is no queue, so nothing is stored for the hub: {cause}.");
    needs.act(
        "no_queue",
        text,
        "Mend the disk or the path; it is tried again every minute, no restart is needed.",
    );
    if lost > 0 {
        let text = format!("{} at QoS 0 found no room.", counted(lost, "message"));
        needs.act("losing", text, "Sensors at QoS 1 keep theirs until there is a queue.");
    }
    saved_clients(&mut needs, facts);
    configuration(&mut needs, facts);
    clock(&mut needs, clock_synced);
    needs.sorted()
}

fn hub(needs: &mut Needs, facts: &Facts, figures: &Figures, link: &LinkStatus) {
    let (sample, state) = (&figures.sample, &facts.state);
    let refused = &sample.refused;
    if refused.link_refused {
        let text = "The hub refuses every message as not authorized.".to_owned();
        let name = &facts.client_id;
        needs.act(
            "link_refused",
            text,
            format!("Let client {name} publish at the hub; all is kept and tried again."),
        );
    }
    if refused.is_refusing() {
        let why = refused.last.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        let kept = refused.parked + refused.in_place + refused.held;
        // None waits for an attempt while all of them are parked.
        let topics = match refused.topics as u64 {
            0 => "messages".to_owned(),
            topics => counted(topics, "topic"),
        };
        let text =
            format!("The hub refuses {topics}{why}. Kept and tried again: {}.", counted(kept, "message"));
        needs.act("refused", text, format!("See what and why: edge-gateway parked list --state {state}"));
    }
    subscriptions(needs, facts, refused);
    if sample.taken_over {
        let text = format!("Another client connects to the hub as {}.", facts.client_id);
        needs.act(
            "taken_over",
            text,
            "Give each its own [hub] client_id. Nothing is lost; attempts are rare meanwhile.",
        );
    }
    if !link.is_up && link.since_s >= OUTAGE_S {
        let why = link.cause.as_deref().map_or_else(String::new, |why| format!(": {why}"));
        let text = format!("The hub has not answered for {}{why}.", duration(link.since_s));
        needs.look(
            "hub",
            text,
            "If the link should be up: look at the cause, the certificate and the way there.",
        );
    }
}

/// Adds subscriptions that the hub refuses or silently does not serve.
fn subscriptions(needs: &mut Needs, facts: &Facts, refused: &HubRefusals) {
    if let Some(first) = refused.subscriptions.first() {
        let others = refused.subscriptions.len() - 1;
        let more = if others == 0 { String::new() } else { format!(", and {others} more") };
        let text = format!("The hub refuses the subscription to {}: {}{more}.", first.filter, first.reason);
        let action = format!(
            "Let client {} subscribe there. Until then commands do not come, and compact batches carry the names of their sensors.",
            facts.client_id
        );
        needs.act("subscription", text, action);
    }
    if refused.unshown_tables > 0 {
        let topics = counted(refused.unshown_tables as u64, "topic");
        let text = format!(
            "The hub shows no session table of {topics}: compact batches carry their names and are larger."
        );
        let action = format!(
            "Let client {} publish to TO/table/{}/+ and read TO/table/{}/#, with retained messages.",
            facts.client_id, facts.gateway, facts.gateway
        );
        needs.look("tables", text, action);
    }
}

fn certificates(needs: &mut Needs, ends: &[End]) {
    for end in ends.iter().filter(|end| end.needs_somebody()) {
        let whose = match end.role {
            Role::Hub => "The gateway's certificate for the hub",
            Role::HubAuthority => "The certificate of the hub's authority",
            Role::Listener => "The gateway's certificate for its sensors",
            Role::SensorAuthority => "The certificate of the sensors' authority",
            Role::HubRevoked => "The list of revoked certificates of hubs",
            Role::SensorsRevoked => "The list of revoked certificates of sensors",
        };
        let text = match end.days_left {
            _ if end.role.is_list() && end.is_unreadable => {
                format!("{whose} cannot be read: the next start would fail.")
            }
            _ if end.is_foreign => {
                format!(
                    "{whose} is of another authority than the one that is named: it keeps out nobody whom that one revoked."
                )
            }
            _ if end.role.is_list() => format!("{whose} is out of date: who was revoked since is let in."),
            _ if end.is_unreadable => {
                format!("{whose} cannot be read, or its key is of another one: the next start would fail.")
            }
            _ if end.has_ended => format!("{whose} has ended."),
            0 => format!("{whose} ends within a day."),
            days => format!("{whose} ends in {}.", counted(days, "day")),
        };
        needs.act(
            "certificate",
            text,
            "Put the renewed files in place: they are read within ten seconds, no restart is needed.",
        );
    }
}

fn renewed_certificate(needs: &mut Needs, is_not_taken: bool) {
    if is_not_taken {
        needs.act(
            "certificate_not_taken",
            "The hub does not take the gateway's renewed certificate: the link goes on with the former one, and the next start would fail.".to_owned(),
            "Put files in place that the hub's authority signed, or have the hub trust the new authority.",
        );
    }
}

/// Adds that local clients' sessions and retained messages would not survive a restart.
fn saved_clients(needs: &mut Needs, facts: &Facts) {
    if let Some(why) = &facts.unsaved_clients {
        let text = format!("Sessions and retained messages of local clients are not saved: {why}.");
        let action = format!(
            "Free space on the disk of {}, or mend it: tried again every minute. A restart before that brings back what was saved last.",
            facts.state
        );
        needs.act("clients_unsaved", text, action);
    }
}

fn configuration(needs: &mut Needs, facts: &Facts) {
    if let Some(refusal) = &facts.refused {
        let text = format!("The changed gateway.toml is not in force: {}.", refusal.why());
        needs.act("configuration", text, refusal.action());
    }
    if let Some(why) = &facts.refused_access {
        let text = format!("Changed files of the local clients' access are not in force: {why}.");
        needs.act(
            "access",
            text,
            "What was in force goes on. Mend the file: it is read within seconds, no restart is needed.",
        );
    }
}

fn clock(needs: &mut Needs, synced: bool) {
    if !synced {
        let text = "The wall clock is not known to be right.".to_owned();
        let action = "Set up a time service, or [clock] trusted = true if it is right all the same.";
        needs.look("clock", text, action);
    }
}

fn sensors(needs: &mut Needs, figures: &Figures) {
    let (sample, counts) = (&figures.sample, &figures.sample.counts);
    let dropped = counts.dropped_for_time();
    if dropped > 0 {
        let readings = counted(dropped, "reading");
        let text = format!("The rules dropped {readings} because of the time.");
        let action = "Mend the sensors' clocks, or the rules' time_guard. The log has the sensors.";
        if sample.drops_for_time {
            needs.act("time", text, action);
        } else {
            needs.look("time", text, action);
        }
    }
    if counts.undecodable > 0 {
        let messages = counted(counts.undecodable, "message");
        let text = format!("Since the start {messages} held no reading, or had too long a topic.");
        needs.look(
            "undecodable",
            text,
            "They went to dead-letter/TOPIC; the log has topic and reason of the first of each hour.",
        );
    }
    if counts.unrouted > 0 {
        let text = format!("Since the start no route wanted {}.", counted(counts.unrouted, "message"));
        needs.look("unrouted", text, "They are acknowledged and not kept: add a [[route]] if they matter.");
    }
    clock(needs, sample.clock_synced);
    if figures.local_broker_connected == Some(false) {
        let text = "There is no connection to the local broker.".to_owned();
        needs.act("local_broker", text, "Nothing comes in from sensors: look at the broker and at [local].");
    }
}

fn clients(needs: &mut Needs, figures: &Figures) {
    let Some(listener) = &figures.sample.listener else { return };
    let crowded = listener.displaced + listener.not_accepted;
    for (id, count, fate, action) in [
        (
            "clients_refused",
            listener.refused,
            "got refused",
            "A wrong password, or no place: the log has client and reason.",
        ),
        (
            "clients_memory",
            listener.closed_for_memory,
            "ended for memory",
            "Raise [local] max_memory, or find the client in the log.",
        ),
        (
            "clients_places",
            crowded,
            "found no place",
            "Raise [local] max_connections and the limit of open files.",
        ),
    ] {
        if count > 0 {
            let text = format!("Since the start {} of local clients {fate}.", counted(count, "connection"));
            needs.look(id, text, action);
        }
    }
}

/// Adds messages of local clients that were refused for their topic. A client without the right to it needs somebody: what it sends is lost, or, in
/// MQTT 3.1.1, it gets no further than that message.
fn refused_topics(needs: &mut Needs, facts: &Facts, figures: &Figures) {
    let count = figures.sample.listener.as_ref().map_or(0, |listener| listener.topics_refused);
    if count == 0 {
        return;
    }
    let messages = counted(count, "message");
    let Some(RefusedTopic { client, user, topic, error }) = &facts.refused_topic else {
        let text = format!("Local clients had {messages} refused for the topic, since the start.");
        return needs.look("topics_refused", text, "None since the rights changed.");
    };
    let of = user.as_ref().map_or_else(|| "without a user".to_owned(), |user| format!("of user \"{user}\""));
    let text = format!(
        "Local clients had {messages} refused for the topic, since the start; last told: client \"{client}\" {of} on \"{topic}\": {error}."
    );
    match error {
        TopicError::Denied => needs.act(
            "topics_refused",
            text,
            "Give the user the topic in [local] acl_file (read within seconds), or mend the sensor. The log names others.",
        ),
        _ => needs.look("topics_refused", text, "Mend the client. The log names others, and the key that decides."),
    }
}
