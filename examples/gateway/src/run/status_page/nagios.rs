//! Status as a check of Nagios and compatible monitors: one line with performance data, and their four exit codes. Pure.

use super::snapshot::Snapshot;
use super::terminal::printable;
use super::units::duration;

/// Exit code of the plugin interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Service {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

/// Returns the exit code for a verdict. An outage warns, because nothing is lost but the hub gets nothing.
pub(crate) fn service(verdict: &str) -> Service {
    match verdict {
        "delivering" | "catching-up" => Service::Ok,
        "storing" | "degraded" => Service::Warning,
        "losing" => Service::Critical,
        _ => Service::Unknown,
    }
}

/// Returns the check's line, with its line end.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    let word = match service(&snapshot.verdict) {
        Service::Ok => "OK",
        Service::Warning => "WARNING",
        Service::Critical => "CRITICAL",
        Service::Unknown => "UNKNOWN",
    };
    let (verdict, since) = (text(&snapshot.verdict), duration(snapshot.since_s));
    let room = snapshot.room.seconds.map_or_else(String::new, |seconds| format!(" room={seconds}s;;;0;"));
    format!(
        "EDGE {word} - {verdict} for {since}: {} | waiting={};;;0; lost={}c;;;0; parked={};;;0; oldest={:.3}s;;;0;{room}\n",
        text(&snapshot.sentence),
        snapshot.queue.messages,
        snapshot.lost,
        snapshot.refused.parked,
        snapshot.queue.oldest_ms as f64 / 1_000.0,
    )
}

/// Returns the text without characters that would end the line, or the part before the performance data.
fn text(text: &str) -> String {
    printable(text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::status_page::examples;

    #[test]
    fn the_line_stays() {
        examples::golden("storing.nagios", &line(&examples::storing()));
        let mut hostile = examples::storing();
        hostile.sentence = "a | lost=0\nOK".to_owned();
        let line = line(&hostile);
        assert_eq!((line.matches('|').count(), line.lines().count()), (1, 1), "{line}");
    }

    #[test]
    fn every_verdict_has_its_code() {
        let codes = crate::run::verdict::Verdict::ALL.map(|verdict| service(verdict.as_str()) as u8);
        assert_eq!(codes, [0, 1, 0, 1, 2]);
        assert_eq!(service("of a later version"), Service::Unknown);
    }
}
