//! Load of a running gateway, for `edge-gateway check --measured`: asked for at the socket in its state directory.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::check::{Load, Measured};
use super::control_client::{Failed, UNAVAILABLE};
use super::status::ask;
use crate::config::Config;
use crate::run::status::snapshot::DayLoad;

/// Shortest measurement, in seconds: less is a burst, and no rate.
const OVER_S_MIN: u64 = 10;
/// Exit code if the gateway has measured nothing.
const NOTHING: u8 = 1;
/// Exit code if no gateway is named.
const CONFIGURATION: u8 = 2;

/// Sets rate and payload of `load` to what the gateway has measured that runs on this state directory, or on the configuration's.
///
/// # Errors
/// The exit code, after a line on standard error.
pub(crate) fn measure(config: &Config, state: Option<&Path>, load: &mut Load) -> Result<(), ExitCode> {
    let failed = |code: u8, text: &str| {
        edge_print::complain!("edge-gateway: --measured: {text}");
        ExitCode::from(code)
    };
    let state = state.or(config.state.as_deref());
    let state = state.ok_or_else(|| failed(CONFIGURATION, "no [gateway] state: give --state DIR"))?;
    let (_, snapshot) = ask(state).map_err(|why| match why {
        Failed::Nobody(text) => failed(UNAVAILABLE, &text),
        Failed::Answer(text) => failed(NOTHING, &text),
    })?;
    *load = measured(snapshot.load.as_ref(), *load).map_err(|text| failed(NOTHING, &text))?;
    Ok(())
}

/// Returns the load that was measured. Its sensors, and the payload of raw messages if none came, are those of `given`.
///
/// # Errors
/// Too little was measured to size by.
fn measured(day: Option<&DayLoad>, given: Load) -> Result<Load, String> {
    let day = day.ok_or_else(|| "the gateway has no queue yet, or is of an earlier version".to_owned())?;
    if day.accepted_per_s <= 0.0 {
        return Err(
            "no message has gone into the queue in the last day, or since the gateway started".to_owned()
        );
    }
    if day.over_s < OVER_S_MIN {
        return Err(format!("the gateway has measured for {} s; ask again after {OVER_S_MIN} s", day.over_s));
    }
    Ok(Load {
        topic_bytes: given.topic_bytes,
        messages_per_s: day.accepted_per_s,
        payload_bytes: day.raw_bytes.unwrap_or(given.payload_bytes),
        measured: Some(Measured {
            over: Duration::from_secs(day.over_s),
            busiest_per_s: day.busiest_per_s,
            has_payload: day.raw_bytes.is_some(),
        }),
        ..given
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_what_was_given() {
        let day = DayLoad { over_s: 7_200, accepted_per_s: 11.5, busiest_per_s: 40.0, raw_bytes: Some(80) };
        let given = Load { sensors: 7, ..Load::USUAL };
        let load = measured(Some(&day), given).unwrap();
        assert_eq!((load.messages_per_s, load.payload_bytes, load.sensors), (11.5, 80, 7));
        let over = Duration::from_secs(7_200);
        assert_eq!(load.measured, Some(Measured { over, busiest_per_s: 40.0, has_payload: true }));
        let of_readings = DayLoad { raw_bytes: None, ..day.clone() };
        let load = measured(Some(&of_readings), given).unwrap();
        assert_eq!(
            (load.payload_bytes, load.measured.map(|measured| measured.has_payload)),
            (200, Some(false))
        );
        let short = DayLoad { over_s: 9, ..day.clone() };
        assert!(measured(Some(&short), given).unwrap_err().contains("for 9 s"));
        let idle = DayLoad { accepted_per_s: 0.0, busiest_per_s: 0.0, ..day };
        assert!(measured(Some(&idle), given).unwrap_err().contains("no message"));
        assert!(measured(None, given).is_err());
    }
}
