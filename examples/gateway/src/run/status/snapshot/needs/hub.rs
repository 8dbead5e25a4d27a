//! Conditions of the link and the hub that need the operator. Pure.

use crate::run::hub::enrolment_state::Enrolment;
use crate::run::hub::hub_refusals::HubRefusals;
use crate::run::hub::link_trouble::LinkTrouble;
use crate::run::status::outputs::units::{counted, duration};

use super::super::LinkStatus;
use super::super::facts::Facts;
use super::super::figures::Figures;
use super::Needs;

/// Duration in seconds from which an outage is listed; the alert of docs/reference/metrics.md has the same.
const OUTAGE_S: u64 = 900;

/// Adds messages and subscriptions that the hub refuses.
pub(super) fn refusals(needs: &mut Needs, facts: &Facts, figures: &Figures) {
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
}

/// Adds a link that does not come up, or does not last.
pub(super) fn link(needs: &mut Needs, facts: &Facts, figures: &Figures, link: &LinkStatus) {
    let (sample, name) = (&figures.sample, &facts.client_id);
    if sample.taken_over {
        needs.act(
            "taken_over",
            format!("Another client connects to the hub as {name}."),
            "Give each its own [hub] client_id. Nothing is lost; attempts are rare meanwhile.",
        );
    } else if sample.may_be_taken_over {
        needs.act(
            "taken_over",
            format!("Another client may connect to the hub as {name}: the hub closes one connection after the other soon after it accepted it."),
            "Give each its own [hub] client_id. If each has one, the hub's log says why it closes. Nothing is lost.",
        );
    }
    // Nothing is dialled without a certificate.
    if link.is_up || sample.own_certificate.enrolment.waits_for_first {
        return;
    }
    let cause = link.cause.as_deref();
    match cause.and_then(LinkTrouble::of).filter(|trouble| trouble.needs_somebody()) {
        Some(LinkTrouble::Refused(why)) => needs.act(
            "hub",
            format!("The hub refuses the connection: {why}."),
            format!("Let client {name} log in at the hub, or mend [hub] user and password_file, which is read again at each attempt."),
        ),
        Some(LinkTrouble::Tls(why)) => needs.act(
            "hub",
            format!("TLS with the hub fails: {why}."),
            "Mend the hub's certificate, or [hub] ca, cert and key: `edge-gateway check --online` tries them.",
        ),
        None if link.since_s >= OUTAGE_S => {
            let why = cause.map_or_else(String::new, |why| format!(": {why}"));
            let text = format!("The hub has not answered for {}{why}.", duration(link.since_s));
            needs.look("hub", text, "If the link should be up: look at the cause, the certificate and the way there.");
        }
        None => {}
    }
}

/// Adds that the first certificate is yet to come, or that the next one does not.
pub(super) fn enrolment(needs: &mut Needs, enrolment: &Enrolment) {
    let why = enrolment.failure.as_ref();
    if enrolment.waits_for_first {
        let text =
            "The gateway waits for its first certificate, and does not connect to the hub before".to_owned();
        let action = "What comes in is stored. The EST server is asked by itself, again and again";
        match why {
            None => needs.look("first_certificate", text + ".", format!("{action}.")),
            Some(why) => needs.act(
                "first_certificate",
                format!("{text}: {why}."),
                format!("{action}: let the authority approve it, or mend the server or [hub.est]."),
            ),
        }
    } else if let Some(why) = why {
        let text = format!("The gateway's certificate is to be renewed, and is not: {why}.");
        needs.look("certificate_renewal", text, "The EST server is asked again by itself, and the certificate in use goes on: mend the server, or [hub.est].");
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
