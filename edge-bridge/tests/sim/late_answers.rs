//! A hub with a PUBACK left from the life before: the client restarted without its session, and the hub, which has it, answers one of the old
//! messages when the new life has sent some of its own. Packet identifiers that begin where those of the old life began then acknowledge a
//! message that the hub never saw.

use edge_bridge::wire::PacketId;

use crate::ctx::Ctx;
use crate::hub::{Hub, Late, Unanswered};
use crate::ledger::Msg;
use crate::net::LinkId;

/// Messages of the new life before the late answer, at most.
const AFTER_MAX: u64 = 30;

#[derive(Debug, Default)]
pub(crate) struct LateAnswers {
    /// Switches the habit on.
    pub(crate) gives: bool,
    /// The client has no session state from before.
    restarted: bool,
    /// To be given after so many messages. One only: identifiers that begin at random meet it once in some thousand restarts.
    left: Option<(u64, PacketId, Msg)>,
}

impl LateAnswers {
    pub(crate) fn client_restarted(&mut self) {
        (self.restarted, self.left) = (true, None);
    }

    /// The client is back; `unanswered`: what it never got an answer to.
    pub(crate) fn on_resumed(&mut self, ctx: &mut Ctx, unanswered: &[Unanswered]) {
        if !(std::mem::take(&mut self.restarted) && self.gives) {
            return;
        }
        // At QoS 2 the client has released it before it sends anything.
        let is_taken = |owed: &&Unanswered| !owed.is_at_qos_2 && !ctx.ledger.was_refused(owed.msg);
        let taken: Vec<_> = unanswered.iter().filter(is_taken).copied().collect();
        if !taken.is_empty() {
            let Unanswered { id, msg, .. } = ctx.rng.pick(&taken);
            self.left = Some((ctx.rng.between(1, AFTER_MAX), id, msg));
        }
    }
}

impl Hub {
    /// A message came: it may be the late answer's turn.
    pub(crate) fn answer_of_the_life_before(&mut self, ctx: &mut Ctx, link: LinkId) {
        let Some((after, id, msg)) = self.late_answers.left.take() else { return };
        match after {
            1 => self.answer_late(ctx, &Late::of_the_life_before(link, id, msg)),
            _ => self.late_answers.left = Some((after - 1, id, msg)),
        }
    }
}
