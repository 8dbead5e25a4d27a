//! Ends of lines that are part of a value though they look like a comment, and the other way round. Pure.

use crate::conf::Line;
use crate::findings::Findings;

/// Options whose value Mosquitto takes to the end of the line.
const TO_THE_END: [&str; 14] = [
    "bridge_alpn",
    "bridge_cafile",
    "bridge_certfile",
    "bridge_keyfile",
    "clientid",
    "local_clientid",
    "local_password",
    "local_username",
    "notification_topic",
    "password",
    "remote_clientid",
    "remote_password",
    "remote_username",
    "username",
];

/// Names what a line takes of its end, where that is another part than it looks like. Shows no value: it may be a password.
pub fn of_line(line: &Line, findings: &mut Findings) {
    let word = line.word.as_str();
    if TO_THE_END.contains(&word) && line.value.contains(" #") {
        findings.trap(
            line.place.clone(),
            format!("{word}: the value goes to the end of the line: the # and what follows are part of it"),
        );
    }
    if TO_THE_END.contains(&word) && line.value.starts_with('"') {
        findings.trap(line.place.clone(), format!("{word}: the quotation marks are part of the value"));
    }
    let mut words = line.value.split_whitespace();
    if let ("connection", Some(name), Some(next)) = (word, words.next(), words.next())
        && !next.starts_with('#')
    {
        findings.trap(
            line.place.clone(),
            format!("connection: the name is the first word, \"{name}\"; Mosquitto passes over what follows"),
        );
    }
}
