//! Suggestion of a valid key or value for a misspelt one.

/// Names used in mosquitto.conf, telegraf.conf and other products, each with the gateway's name for it.
const ALIASES: [(&str, &str); 40] = [
    ("address", "url"),
    ("bridge_cafile", "ca"),
    ("bridge_certfile", "cert"),
    ("bridge_keyfile", "key"),
    ("ca_file", "ca"),
    ("cafile", "ca"),
    ("cert_file", "cert"),
    ("certfile", "cert"),
    ("clientid", "client_id"),
    ("key_file", "key"),
    ("keyfile", "key"),
    ("keepalive", "keep_alive"),
    ("keepalive_interval", "keep_alive"),
    ("max_inflight_messages", "window"),
    ("max_queued_bytes", "max_bytes"),
    ("max_queued_messages", "max_messages"),
    ("max_size", "max_bytes"),
    ("topic", "match"),
    ("prefix", "to"),
    ("remote_clientid", "client_id"),
    ("upstream", "hub"),
    ("local_clientid", "client_id"),
    ("local_password", "broker_password_file"),
    ("local_username", "broker_user"),
    ("user", "broker_user"),
    ("when_full", "on_full"),
    // Values.
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("µs", "microseconds"),
    ("ns", "nanoseconds"),
    ("iso", "rfc3339"),
    ("iso8601", "rfc3339"),
    ("protobuf3", "protobuf"),
    ("proto", "protobuf"),
    ("3", "3.1.1"),
    ("3.1", "3.1.1"),
    ("4", "3.1.1"),
    ("5.0", "5"),
    ("v5", "5"),
];

/// Most bytes of a name that is compared: longer ones are like none that is valid.
const NAME_BYTES_MAX: usize = 100;

/// Returns the valid name that `wrong` most likely stands for. `None`: none is similar enough.
pub(crate) fn nearest<'a>(wrong: &str, valid: &[&'a str]) -> Option<&'a str> {
    if wrong.len() > NAME_BYTES_MAX {
        return None;
    }
    let wrong = &*wrong.to_lowercase();
    let alias = ALIASES.iter().find(|(foreign, _)| *foreign == wrong).map(|(_, ours)| *ours);
    if let Some(found) = alias.and_then(|ours| valid.iter().find(|name| **name == ours)) {
        return Some(found);
    }
    // An abbreviation, such as "millis".
    let mut longer = valid.iter().filter(|name| wrong.len() >= 3 && name.starts_with(wrong));
    if let (Some(only), None) = (longer.next(), longer.next()) {
        return Some(only);
    }
    let bound = (wrong.chars().count() / 2).clamp(1, 3);
    valid
        .iter()
        .map(|name| (distance(wrong, name), *name))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance with a swap of neighbours as one step (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let change = last.get(j).copied().unwrap_or(0) + usize::from(a != b);
            let insert = row.get(j).copied().unwrap_or(0) + 1;
            let delete = last.get(j + 1).copied().unwrap_or(0) + 1;
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            let swap = if swapped { before.get(j - 1).copied().unwrap_or(0) + 1 } else { usize::MAX };
            row.push(change.min(insert).min(delete).min(swap));
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name() {
        let valid = ["url", "ca", "cert", "key", "client_id", "keep_alive", "window"];
        assert_eq!(nearest("windw", &valid), Some("window"));
        assert_eq!(nearest("keep_alvie", &valid), Some("keep_alive"));
        assert_eq!(nearest("keepalive_interval", &valid), Some("keep_alive"));
        assert_eq!(nearest("banana", &valid), None);
        assert_eq!(
            (nearest("WINDOW", &valid), nearest("client", &valid)),
            (Some("window"), Some("client_id"))
        );
        assert_eq!(nearest("drop", &["drop-oldest", "drop-newest"]), None, "either could be meant");
    }
}
