//! Refusals as they happen: the hub's access list and limit, and messages beside what is refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::plan::Refusal;
use super::super::support::gateway::BINARY;
use super::super::support::publisher::Publisher;
use super::{World, wait_for};

/// Other topics, and the verdict, wait no longer for what is refused. A hub that closes at each large message costs the
/// gateway connections with growing pauses.
const BESIDE_WITHIN_MS: u64 = 20_000;
/// The verdict comes back a while after the last refusal.
const HEALED_WITHIN_MS: u64 = 40_000;

/// Lines of a hub that may refuse.
pub(super) fn lines(dir: &Path) -> String {
    fs::write(dir.join("access"), Refusal::access(None)).unwrap();
    format!("acl_file {}\n", dir.join("access").display())
}

impl World<'_> {
    pub(super) fn refuse(&mut self, refusal: Option<Refusal>) {
        fs::write(self.dir.join("access"), Refusal::access(refusal)).unwrap();
        let limit = match refusal {
            Some(Refusal::Size(bytes)) => format!("message_size_limit {bytes}\n"),
            _ => String::new(),
        };
        self.hub.reconfigure(&format!("{}{limit}", self.hub_lines));
    }

    /// A raw message is at the hub in time although others are refused, or the gateway says that it is refused.
    pub(super) fn beside(&mut self, refusal: Refusal) {
        self.wan.mend();
        let own = self.plan.windows.len();
        self.send(own, 1);
        let payload = self.records.messages.last().unwrap().payload.clone();
        let is_acked = |publisher: &Publisher| publisher.acked.contains(&payload);
        let end = Instant::now() + Duration::from_millis(BESIDE_WITHIN_MS);
        while !is_acked(&self.publishers[own]) && Instant::now() < end {
            self.publishers[own].poll();
        }
        if refusal.is_of_raw() {
            let is_told = || self.gateway.metric("edge_verdict{verdict=\"degraded\"}") == Some(1.0);
            if !wait_for(BESIDE_WITHIN_MS, is_told) {
                self.records
                    .untold
                    .push(format!("{refusal:?}: refused is {payload}, and the verdict is good"));
            }
        } else {
            let arrived = || self.subscriber.arrived().iter().any(|message| message.payload == payload);
            if !wait_for(BESIDE_WITHIN_MS, arrived) {
                self.records.delayed.push(format!("{payload}, while the hub refuses {refusal:?}"));
            }
        }
    }

    /// Has the gateway try at once what was refused. It must answer, also if rows are still being parked and it is to be asked again.
    pub(super) fn retry(&self) {
        let mut command = Command::new(BINARY);
        command.args(["parked", "retry", "--state"]).arg(self.dir.join("state"));
        let retried = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(matches!(retried.code(), Some(0 | 1)), "parked retry: {retried}");
    }

    /// Nothing is refused any more, and the verdict says so.
    pub(super) fn heals(&mut self) {
        let is_good = || self.gateway.metric("edge_verdict{verdict=\"delivering\"}") == Some(1.0);
        if self.dropped() == Some(0) && !wait_for(HEALED_WITHIN_MS, is_good) {
            let page = self.gateway.get("/metrics").map(|(_, page)| page).unwrap_or_default();
            let verdicts = page.lines().filter(|line| line.starts_with("edge_verdict"));
            self.records.untold.push(format!("all is delivered, but {:?}", verdicts.collect::<Vec<_>>()));
        }
    }
}
