//! Options that occur twice: Mosquitto refuses a second text, and uses the last of other values.

use std::collections::BTreeMap;

use crate::conf::Line;
use crate::findings::{Findings, Place};

/// Options with a text, of which Mosquitto refuses a second one.
const TEXTS: [&str; 16] = [
    "bridge_alpn",
    "bridge_bind_address",
    "bridge_cafile",
    "bridge_capath",
    "bridge_certfile",
    "bridge_identity",
    "bridge_keyfile",
    "bridge_psk",
    "bridge_tls_version",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "remote_clientid",
    "remote_password",
    "remote_username",
];

/// Options that may occur several times, or whose parser refuses a second one itself.
const OFTEN: [&str; 4] = ["address", "addresses", "connection", "topic"];

/// First line of each option, by the number of its section; `None` is the whole file.
#[derive(Default)]
pub(super) struct Given(BTreeMap<(Option<usize>, String), Place>);

impl Given {
    /// Records the option's line, and reports an option that occurred before.
    pub(super) fn note(&mut self, section: Option<usize>, line: &Line, findings: &mut Findings) {
        // Older names of three options.
        let word = match line.word.as_str() {
            "clientid" => "remote_clientid",
            "username" => "remote_username",
            "password" => "remote_password",
            word => word,
        };
        if OFTEN.contains(&word) {
            return;
        }
        let Some(before) = self.0.insert((section, word.to_owned()), line.place.clone()) else { return };
        if TEXTS.contains(&word) {
            findings.error(line.place.clone(), format!("{}: is given at {before} already", line.word));
        } else {
            let text =
                format!("{}: is given at {before} already: the last line holds, as in Mosquitto", line.word);
            findings.trap(line.place.clone(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_second_text_is_an_error_and_another_second_value_a_trap() {
        let mut given = Given::default();
        let mut findings = Findings::default();
        let lines = [
            (Some(0), "clientid"),
            (Some(0), "topic"),
            (Some(0), "topic"),
            (Some(1), "remote_clientid"),
            (Some(0), "remote_clientid"),
            (Some(0), "cleansession"),
            (Some(0), "cleansession"),
            (None, "max_queued_bytes"),
            (None, "max_queued_bytes"),
        ];
        for (at, (section, word)) in lines.into_iter().enumerate() {
            let place = Place { file: Arc::from(Path::new("b")), line: at + 1 };
            let line = Line { place, word: word.to_owned(), value: String::new() };
            given.note(section, &line, &mut findings);
        }
        let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "b:5: error: remote_clientid: is given at b:1 already",
                "b:7: trap: cleansession: is given at b:6 already: the last line holds, as in Mosquitto",
                "b:9: trap: max_queued_bytes: is given at b:8 already: the last line holds, as in Mosquitto"
            ]
        );
    }
}
