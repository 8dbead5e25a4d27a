//! The promises a drill tests, each with its bound. All of them hold, or the drill has failed.

use super::Verdict;

/// Promises that are seen only with the word of the gateway itself.
const OF_ITS_OWN_WORD: [u8; 3] = [3, 4, 5];
/// Longest 99th percentile from the first transmission of a message to its PUBACK.
pub(crate) const PUBACK_P99_MS_MAX: i64 = 1500;
const ACKNOWLEDGED_PERCENT_MIN: f64 = 95.0;
const STALL_NOTICED_MS_MAX: u64 = 10_000;
const RSS_KIB_MAX: u64 = 32 * 1024;

/// Observations of the drill besides the records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// Gateway to hub and back, at the relay, everything above TCP.
    pub(crate) wan_up_bytes: u64,
    pub(crate) wan_down_bytes: u64,
    /// Payloads of the acknowledged messages as the sensors wrote them, each once.
    pub(crate) json_bytes: u64,
    pub(crate) flash_bytes_written: u64,
    /// Without the pages of files, such as the program's own.
    pub(crate) gateway_rss_kib_max: u64,
    /// Batches that the public decoder could not read at the hub.
    pub(crate) unreadable_batches: u64,
    /// The gateway tells nothing of itself: no counters, no link state, no identities in its messages.
    pub(crate) from_outside_alone: bool,
    /// Times the gateway was ended by signal 9, as its exit status tells.
    pub(crate) kills: u32,
    /// Time from the start of the half-open link until the gateway's link state said so.
    pub(crate) stall_noticed_ms: Option<u64>,
    /// Rows that waited at the gateway when the link first came back, and their bytes; `None` if the gateway did not say so.
    pub(crate) waiting_at_return: Option<(u64, u64)>,
    /// The gateway's own counters at the end; `None` when they could not be read.
    pub(crate) ledger: Option<GatewayLedger>,
}

/// Sums over all lanes, from `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GatewayLedger {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) queued: u64,
    pub(crate) dropped: u64,
}

impl GatewayLedger {
    /// Returns the accepted messages minus those whose outcome is counted.
    pub(crate) fn apart(self) -> i128 {
        i128::from(self.accepted)
            - i128::from(self.delivered)
            - i128::from(self.queued)
            - i128::from(self.dropped)
    }
}

/// Line of the table "promises tested".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    /// Number in `docs/promises.md`.
    pub(crate) promise: u8,
    pub(crate) name: &'static str,
    pub(crate) bound: String,
    pub(crate) measured: String,
    pub(crate) kept: bool,
}

impl Verdict {
    /// Acknowledged of published, in percent; 0 when nothing was published, so that an idle drill cannot pass.
    pub(crate) fn acknowledged_percent(&self) -> f64 {
        if self.published == 0 { 0.0 } else { self.acknowledged as f64 * 100.0 / self.published as f64 }
    }

    pub(crate) fn checks(&self, observed: &Observed) -> Vec<Check> {
        let lost = self.lost.len();
        let percent = self.acknowledged_percent();
        let is_judged =
            |check: &Check| !(observed.from_outside_alone && OF_ITS_OWN_WORD.contains(&check.promise));
        let unrecognised = self.duplicates - self.duplicates_recognised.min(self.duplicates);
        let all = [
            check(1, "What was acknowledged is at the hub", "0 lost", format!("{lost} lost"), lost == 0),
            check(
                1,
                "Every batch can be read at the hub",
                "0 unreadable",
                format!("{} unreadable", observed.unreadable_batches),
                observed.unreadable_batches == 0,
            ),
            check(
                1,
                "An acknowledgment does not keep a sensor waiting (99 of 100)",
                &format!("\u{2264} {}", seconds(Some(PUBACK_P99_MS_MAX))),
                seconds(self.puback_p99_ms),
                self.puback_p99_ms.is_some_and(|ms| ms <= PUBACK_P99_MS_MAX),
            ),
            check(
                1,
                "Sensors are served in the outage too: acknowledged of published",
                "\u{2265} 95 %",
                format!("{percent:.1} %"),
                percent >= ACKNOWLEDGED_PERCENT_MIN,
            ),
            check(
                2,
                "It starts again after kill -9 and keeps what it had",
                "1 kill",
                format!("{} by signal 9", observed.kills),
                observed.kills == 1,
            ),
            check(
                3,
                "The ledger adds up",
                "0 apart",
                observed
                    .ledger
                    .map_or_else(|| "not read".to_owned(), |ledger| format!("{} apart", ledger.apart())),
                observed.ledger.is_some_and(|ledger| ledger.apart() == 0),
            ),
            check(
                4,
                "What comes twice can be recognised",
                "all",
                format!("{} of {}", self.duplicates_recognised, self.duplicates),
                unrecognised == 0,
            ),
            check(
                5,
                "A stalled link is noticed",
                &format!("\u{2264} {}", seconds(Some(STALL_NOTICED_MS_MAX as i64))),
                seconds(observed.stall_noticed_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))),
                observed.stall_noticed_ms.is_some_and(|ms| ms <= STALL_NOTICED_MS_MAX),
            ),
            check(
                6,
                "Memory stays small with a backlog",
                "\u{2264} 32 MiB",
                format!("{:.1} MiB", observed.gateway_rss_kib_max as f64 / 1024.0),
                (1..=RSS_KIB_MAX).contains(&observed.gateway_rss_kib_max),
            ),
        ];
        all.into_iter().filter(is_judged).collect()
    }

    pub(crate) fn passed(&self, observed: &Observed) -> bool {
        self.checks(observed).iter().all(|check| check.kept)
    }
}

fn check(promise: u8, name: &'static str, bound: &str, measured: String, kept: bool) -> Check {
    Check { promise, name, bound: bound.to_owned(), measured, kept }
}

fn seconds(ms: Option<i64>) -> String {
    ms.map_or_else(|| "no sample".to_owned(), |ms| format!("{:.2} s", ms as f64 / 1000.0))
}
