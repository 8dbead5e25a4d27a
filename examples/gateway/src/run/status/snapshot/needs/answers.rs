//! Condition of answers to commands that the hub refuses: they are dropped, so that no sender learns the end of its command. Pure.

use edge_bridge::escape::Escaped;
use edge_bridge::wire::ReasonCode;

use crate::run::hub::hub_refusals::RefusedAnswers;
use crate::run::status::outputs::units::duration;
use crate::run::status::snapshot::Level;
use crate::run::status::snapshot::facts::Facts;

use super::Needs;

/// Adds the topic on which answers are refused: the one of them that a rule names, or else the one that is refused longest.
pub(super) fn refused_answers(needs: &mut Needs, facts: &Facts, refused: &[RefusedAnswers]) {
    let is_of_rule = |answers: &RefusedAnswers| facts.answers.contains(&answers.topic);
    let Some(first) = refused.iter().max_by_key(|answers| (is_of_rule(answers), answers.since_s)) else {
        return;
    };
    let (reason, topic) = (first.reason, Escaped(&first.topic));
    let others = refused.len() - 1;
    let more = if others == 0 { String::new() } else { format!(", and on {others} more") };
    // In minutes, because the page is loaded anew with each change of a need.
    let minutes = first.since_s / 60;
    let since = if minutes == 0 { String::new() } else { format!(", for {}", duration(minutes * 60)) };
    let text = format!(
        "The hub refuses answers to commands on \"{topic}\"{more}: {reason}{since}. They are dropped."
    );
    let client = &facts.client_id;
    let remedy = match reason {
        ReasonCode::NOT_AUTHORIZED => format!("Let client {client} publish to \"{topic}\" at the hub"),
        _ => "The hub's log may say why; see edge_refusals_total of /metrics".to_owned(),
    };
    // A Response Topic is the choice of whoever commands.
    let (level, or) = match is_of_rule(first) {
        true => (Level::Act, "or name another topic as `answers` of [[command]]"),
        false => (Level::Look, "or have the sender name another Response Topic"),
    };
    needs.add(
        level,
        "answers",
        text,
        format!("{remedy}, {or}. It ends with the next answer there that the hub accepts, or, an hour after the last refusal, elsewhere."),
    );
}
