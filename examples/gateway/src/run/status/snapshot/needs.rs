//! List of conditions that need the operator: each cause of a verdict, and further ones, as a plain sentence with the action to take. Pure.

mod answers;
mod hub;
mod queue;

use edge_bridge::wire::TopicError;

use crate::config::tls::UnfitForClients;
use crate::run::configuration::refusal::Refusal;
use crate::run::hub::link_trouble::LinkTrouble;
use crate::run::sensors::refused_topic::RefusedTopic;
use crate::run::status::certificates::{End, Role};
use crate::run::status::outputs::units::counted;

use super::facts::Facts;
use super::figures::Figures;
use super::{Lane, LedgerStatus, Level, LinkStatus, Need};

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
    hub::refusals(&mut needs, facts, figures);
    hub::link(&mut needs, facts, figures, link);
    certificates(&mut needs, facts, &figures.sample.certificates);
    renewed_certificate(&mut needs, figures.sample.own_certificate.is_not_taken);
    hub::enrolment(&mut needs, &figures.sample.own_certificate.enrolment);
    queue::no_room(&mut needs, figures, lanes);
    queue::room(&mut needs, facts, figures, lanes);
    saved_clients(&mut needs, facts);
    configuration(&mut needs, facts);
    sensors(&mut needs, figures);
    clients(&mut needs, figures);
    refused_topics(&mut needs, facts, figures);
    // Behind what causes a verdict, whose reason the first one is taken for.
    answers::refused_answers(&mut needs, facts, &figures.sample.refused.refused_answers);
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

fn certificates(needs: &mut Needs, facts: &Facts, ends: &[End]) {
    // The refusal of the configuration names one, and why; the listener itself what it cannot show, and since when.
    let named = match facts.refused.as_ref().and_then(Refusal::certificate_key) {
        Some("hub.cert" | "hub.key") => Some(Role::Hub),
        Some("local.cert" | "local.key") => Some(Role::Listener),
        Some("local.broker_cert" | "local.broker_key") => Some(Role::Broker),
        _ => None,
    };
    let is_told = |end: &End| {
        let has_none = end.role == Role::Listener && facts.without_tls.is_some();
        end.is_unreadable && (named == Some(end.role) || has_none)
    };
    for end in ends.iter().filter(|end| end.needs_somebody() && !is_told(end)) {
        let whose = match end.role {
            Role::Hub => "The gateway's certificate for the hub",
            Role::HubAuthority => "The certificate of the hub's authority",
            Role::Listener => "The gateway's certificate for its sensors",
            Role::SensorAuthority => "The certificate of the sensors' authority",
            Role::HubRevoked => "The list of revoked certificates of hubs",
            Role::SensorsRevoked => "The list of revoked certificates of sensors",
            Role::Broker => "The gateway's certificate for the local broker",
            Role::BrokerAuthority => "The certificate of the local broker's authority",
            Role::BrokerRevoked => "The list of revoked certificates of local brokers",
        };
        let text = match end.days_left {
            _ if end.unfit.is_some() && !end.is_unreadable => {
                let unfit = end.unfit.map_or("", UnfitForClients::words);
                // While a good one is in force, the need `access` says so.
                format!("{whose}, as its file has it, {unfit}: clients refuse it.")
            }
            _ if end.role.is_list() && end.is_unreadable => {
                format!("{whose} cannot be used: what was read before counts, and the next start would fail.")
            }
            _ if end.is_foreign => {
                format!(
                    "{whose} is of another authority than the one that is named: it keeps out nobody whom that one revoked."
                )
            }
            _ if end.role.is_list() => format!("{whose} is out of date: who was revoked since is let in."),
            _ if end.is_unreadable && end.role.is_authority() => {
                format!("{whose} cannot be read: the next start would fail.")
            }
            _ if end.is_unreadable && end.role == Role::Listener => {
                format!(
                    "{whose} cannot be read, or its key is of another one: what was read before is shown, and after a start nobody would be served with TLS."
                )
            }
            _ if end.is_unreadable => {
                format!(
                    "{whose} cannot be read, or its key is of another one: after a start no connection is made with it."
                )
            }
            // While a good one is in force, the need `access` says so.
            _ if end.has_ended && end.role == Role::Listener => {
                format!("{whose}, as its file has it, has ended.")
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
            "The hub does not take the gateway's renewed certificate: the link goes on with the former one, and would be down after the next start.".to_owned(),
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
    if let Some(why) = &facts.unkept_configuration {
        let text = format!("The configuration in force is not kept for the next start: {why}.");
        let action = format!(
            "Free space on the disk of {}, or mend it: tried again every 10 s. Until then a start whose files have a mistake goes back to an older configuration.",
            facts.state
        );
        needs.act("configuration_unkept", text, action);
    }
    if let Some(refusal) = &facts.refused {
        needs.act("configuration", refusal.text(), refusal.action());
    }
    if let Some(why) = &facts.refused_access {
        let text = format!("Changed files of the local clients' access are not in force: {why}.");
        needs.act(
            "access",
            text,
            "What was in force goes on. Mend the file: it is read within seconds, no restart is needed. Do so before the next start, a power cut's too: with a mistake in users, rights, client_ca or client_crl none takes place (exit code 2), and a list of revoked certificates that is only older, or of another authority, counts from then on.",
        );
    }
    if let Some(why) = &facts.without_tls {
        let text = format!(
            "No client is served with TLS (tls_listen, wss_listen): the listener has no certificate to show since its start, {why}."
        );
        needs.act(
            "certificate",
            text,
            "Put a certificate and a key that fit in place, which the log names: they are read within seconds, no restart is needed. What listens without TLS is served.",
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
        let text =
            format!("Since the start {messages} held no reading, or had too long or too deep a topic.");
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
    local_broker(needs, figures);
}

fn local_broker(needs: &mut Needs, figures: &Figures) {
    if figures.local_broker_connected != Some(false) {
        return;
    }
    let cause = figures.local_broker_cause.as_deref();
    let trouble = cause.and_then(LinkTrouble::of).filter(|trouble| trouble.needs_somebody());
    let (text, action) = match trouble {
        None => (
            format!(
                "There is no connection to the local broker{}.",
                cause.map_or(String::new(), |cause| format!(": {cause}"))
            ),
            "Nothing comes in from sensors: look at the broker and at [local].",
        ),
        Some(LinkTrouble::Refused(reason)) => (
            format!("The local broker refuses the login: {reason}."),
            "Nothing comes in from sensors: mend broker_user or client_id of [local], or the file of broker_password_file, which is read again at each attempt, or the broker's users.",
        ),
        Some(LinkTrouble::Tls(why)) => (
            format!("There is no TLS with the local broker: {why}."),
            "Nothing comes in from sensors: look at the certificates, and at broker_ca, broker_cert and broker_tls_server_name of [local]. Files are read again at each attempt.",
        ),
    };
    needs.act("local_broker", text, action);
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
