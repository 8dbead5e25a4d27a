//! Status as a check for Nagios and compatible monitoring: one line with performance data, and the four exit codes. Pure.

use crate::run::status::snapshot::{Level, Need, Snapshot};

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

/// Returns the exit code for a verdict. An outage is a warning, because nothing is lost but the hub gets no messages.
fn of_verdict(verdict: &str) -> Service {
    match verdict {
        "delivering" | "catching-up" => Service::Ok,
        "storing" | "degraded" => Service::Warning,
        "losing" => Service::Critical,
        _ => Service::Unknown,
    }
}

/// Returns the exit code for a status: the verdict's, and at least a warning while something needs the operator.
pub(crate) fn service_of(snapshot: &Snapshot) -> Service {
    match of_verdict(&snapshot.verdict) {
        Service::Ok if to_do(snapshot).is_some() => Service::Warning,
        service => service,
    }
}

fn to_do(snapshot: &Snapshot) -> Option<&Need> {
    snapshot.needs.iter().find(|need| need.level == Level::Act)
}

/// Returns the check's line, with its line end. If the verdict alone is OK but something needs the operator, that comes before its sentence.
pub(crate) fn line(snapshot: &Snapshot) -> String {
    let is_ok = matches!(of_verdict(&snapshot.verdict), Service::Ok);
    let to_do = to_do(snapshot).filter(|_| is_ok).map_or_else(String::new, |need| text(&need.text) + " ");
    let word = match service_of(snapshot) {
        Service::Ok => "OK",
        Service::Warning => "WARNING",
        Service::Critical => "CRITICAL",
        Service::Unknown => "UNKNOWN",
    };
    let (verdict, since) = (text(&snapshot.verdict), duration(snapshot.since_s));
    let room = snapshot.room.seconds.map_or_else(String::new, |seconds| format!(" room={seconds}s;;;0;"));
    format!(
        "EDGE {word} - {verdict} for {since}: {to_do}{} | waiting={};;;0; lost={}c;;;0; parked={};;;0; oldest={:.3}s;;;0;{room}\n",
        text(&snapshot.sentence),
        snapshot.queue.messages,
        snapshot.lost,
        snapshot.refused.parked,
        snapshot.queue.oldest_ms as f64 / 1_000.0,
    )
}

/// Returns the text without characters that would end the line, or the text before the performance data.
fn text(text: &str) -> String {
    printable(text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use crate::run::status::snapshot::test_snapshots;

    use super::*;

    #[test]
    fn the_line_stays() {
        test_snapshots::golden("storing.nagios", &line(&test_snapshots::storing()));
        let mut hostile = test_snapshots::storing();
        hostile.sentence = "a | lost=0\nOK".to_owned();
        let line = line(&hostile);
        assert_eq!((line.matches('|').count(), line.lines().count()), (1, 1), "{line}");
    }

    /// A gateway that delivers may still need somebody, such as for a file that is not in force.
    #[test]
    fn what_needs_a_person_to_act_is_a_warning_though_it_delivers() {
        let mut snapshot = test_snapshots::storing();
        snapshot.verdict = "delivering".to_owned();
        let need =
            |level| Need { level, id: "x".into(), text: "users is wrong.".into(), action: String::new() };
        snapshot.needs = vec![need(Level::Look)];
        assert_eq!(service_of(&snapshot), Service::Ok);
        snapshot.needs.insert(0, need(Level::Act));
        assert_eq!(service_of(&snapshot), Service::Warning);
        let said = line(&snapshot);
        assert!(
            said.starts_with("EDGE WARNING - delivering for ") && said.contains(": users is wrong. "),
            "{said}"
        );
        snapshot.verdict = "losing".to_owned();
        assert_eq!(service_of(&snapshot), Service::Critical);
    }

    #[test]
    fn every_verdict_has_its_code() {
        let codes =
            crate::run::status::verdict::Verdict::ALL.map(|verdict| of_verdict(verdict.as_str()) as u8);
        assert_eq!(codes, [0, 1, 0, 1, 2]);
        assert_eq!(of_verdict("of a later version"), Service::Unknown);
    }
}
