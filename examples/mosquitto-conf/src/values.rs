//! Values of lines, as Mosquitto reads them.

use std::net::Ipv6Addr;
use std::time::Duration;

use edge_bridge::bridge::topic_rules::Rule;

use crate::conf::Line;
use crate::findings::Place;

/// Version that a section asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// MQTT 5 where the hub takes it, else 3.1.1.
    #[default]
    Any,
    /// MQTT 5.
    V5,
    /// MQTT 3.1.1.
    V311,
}

/// A `topic` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Place of the line.
    pub place: Place,
    /// Meaning of the line.
    pub rule: Rule,
}

/// Outcome of reading a line. `Ok(Some(why))`: the line has no effect. `Err`: it is wrong.
pub type Said = Result<Option<&'static str>, String>;

/// Returns a value that is not empty.
pub fn required(value: &str) -> Result<&str, String> {
    if value.is_empty() { Err("has no value".to_owned()) } else { Ok(value) }
}

/// Returns a text to the end of the line.
pub fn text(value: &str) -> Result<Option<String>, String> {
    required(value).map(|value| Some(value.to_owned()))
}

/// The first word of a value; Mosquitto passes over what follows.
pub fn first(value: &str) -> Result<&str, String> {
    required(value.split_whitespace().next().unwrap_or_default())
}

/// Reads `true` or `false`.
pub fn boolean(value: &str) -> Result<bool, String> {
    match first(value)? {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(format!("\"{other}\" is neither true nor false")),
    }
}

/// Reads the duration of a session in seconds, `u32::MAX` at most: a number of hours, days, weeks, months or years.
pub fn session_time(value: &str) -> Result<u32, String> {
    let wrong = || format!("{value}: a number with h, d, w, m or y");
    let (digits, unit) = value.split_at_checked(value.len().saturating_sub(1)).ok_or_else(wrong)?;
    let hours: u32 = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 7 * 24,
        "m" => 30 * 24,
        "y" => 365 * 24,
        _ => return Err(wrong()),
    };
    let count: u32 = digits.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    Ok(count.saturating_mul(hours).saturating_mul(3_600))
}

/// Reads a number; what follows it is passed over.
pub fn number<N: std::str::FromStr>(value: &str) -> Result<N, String> {
    let word = first(value)?;
    word.parse().map_err(|_| format!("\"{word}\" is no number that it takes"))
}

/// A limit; below 0 it is none, as in Mosquitto.
pub fn limit<N: std::str::FromStr + Default>(value: &str) -> Result<N, String> {
    match number::<i64>(value) {
        Ok(less) if less < 0 => Ok(N::default()),
        _ => number(value),
    }
}

/// A number, also as `0xFFFFFFFF`.
pub fn seconds(value: &str) -> Result<u32, String> {
    match first(value)?.strip_prefix("0x") {
        Some(digits) => {
            u32::from_str_radix(digits, 16).map_err(|_| format!("\"{value}\" is no number that it takes"))
        }
        None => number(value),
    }
}

/// Reads `HOST[:PORT]`; an IPv6 address needs its port.
pub fn address(word: &str) -> Result<String, String> {
    let (host, port) = word.rsplit_once(':').unwrap_or((word, "1883"));
    let port: u16 = port.parse().map_err(|_| format!("\"{word}\" is no HOST:PORT"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_ipv6 = bare.contains(':');
    let is_host = if is_ipv6 {
        bare.parse::<Ipv6Addr>().is_ok()
    } else {
        // A number is a port behind a blank.
        !bare.contains(['"', ',']) && bare.parse::<u32>().is_err()
    };
    if bare.is_empty() || !is_host || port == 0 {
        return Err(format!("\"{word}\" is no HOST:PORT"));
    }
    Ok(if is_ipv6 { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") })
}

/// Reads `SECONDS`, or `BASE CAP`.
pub fn restart(value: &str) -> Result<(Duration, Duration), String> {
    let mut words = value.split_whitespace();
    let seconds = |word: &str| Ok::<_, String>(Duration::from_secs(number::<u64>(word)?.max(1)));
    let base = seconds(words.next().unwrap_or_default())?;
    // One value is the longest wait: a first attempt soon after the end harms nobody.
    let Some(cap) = words.next() else { return Ok((Duration::from_millis(250).min(base), base)) };
    let cap = seconds(cap)?;
    if cap < base { Err("the second value is lower than the first".to_owned()) } else { Ok((base, cap)) }
}

/// Reads the value of `start_type`.
pub fn start_type(value: &str) -> Said {
    match first(value)? {
        "automatic" => Ok(None),
        "manual" => Err("not supported, by Mosquitto either".to_owned()),
        "lazy" | "once" => Ok(Some("the bridge connects at once and stays connected")),
        other => Err(format!("\"{other}\" is no start_type")),
    }
}

/// Reads the value of `bridge_protocol_version`.
pub fn protocol(value: &str) -> Result<Protocol, String> {
    match first(value)? {
        "mqttv50" => Ok(Protocol::V5),
        "mqttv311" => Ok(Protocol::V311),
        "mqttv31" => Err("MQTT 3.1 is not supported: mqttv311 or mqttv50".to_owned()),
        other => Err(format!("\"{other}\" is no version: mqttv311 or mqttv50")),
    }
}

/// Reads the value of `bridge_tls_version`.
pub fn tls_version(value: &str) -> Said {
    match required(value)? {
        "tlsv1.3" | "tlsv1.2" | "tlsv1.1" => Ok(Some("TLS 1.3 or 1.2, as the hub has it")),
        other => Err(format!("\"{other}\" is no version: tlsv1.3 or tlsv1.2")),
    }
}

/// Words of a `topic` line; Mosquitto passes over what follows.
const TOPIC_WORDS: usize = 5;

/// Reads a `topic` line.
pub fn topic(line: &Line) -> Result<Topic, String> {
    required(&line.value)?;
    let words: Vec<_> = line.value.split_whitespace().take(TOPIC_WORDS).collect();
    let rule = Rule::parse(&words.join(" ")).map_err(|error| error.to_string())?;
    Ok(Topic { place: line.place.clone(), rule })
}
