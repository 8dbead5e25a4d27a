//! Scripts of Mosquitto's suite: reading the files, and the notation of their bytes.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::SOURCE;

/// Step of a script.
pub(super) enum Step {
    Send(Vec<u8>),
    Receive(Vec<u8>),
    /// A message of another client.
    Publish {
        topic: String,
        payload: String,
        qos: u8,
        retain: bool,
    },
}

/// Packets to send, and those that a server is to answer.
pub(super) struct Script {
    /// Group and name.
    pub(super) name: String,
    version: u8,
    /// Begins with a CONNECT that is accepted.
    pub(super) connects: bool,
    /// Ends with a connection that the server closes.
    pub(super) ends: bool,
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// Reads one script. What it leaves out is as in its group.
    fn read(group: &Value, script: &Value) -> Self {
        let flag = |key, default| {
            let value = script.get(key).or_else(|| group.get(key));
            value.map_or(default, |value| value.as_bool().unwrap())
        };
        let version = script.get("ver").or_else(|| group.get("ver")).map_or(4, |ver| ver.as_u64().unwrap());
        Self {
            name: format!("{} {}", group["group"].as_str().unwrap(), script["name"].as_str().unwrap()),
            version: version as u8,
            connects: flag("connect", true),
            ends: flag("expect_disconnect", true),
            steps: script["msgs"].as_array().unwrap().iter().map(Step::read).collect(),
        }
    }

    /// Reads all scripts of a checkout, in their order: some leave something for the next one.
    pub(super) fn all(source: &Path) -> Vec<Self> {
        let folder = source.join("test/broker/data");
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| {
            panic!(
                "{SOURCE}: {}: {error}. It has to be a checkout of \
                https://github.com/eclipse-mosquitto/mosquitto",
                folder.display()
            )
        });
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut scripts = Vec::new();
        for file in files {
            let groups: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
            for group in groups.as_array().unwrap() {
                if group.get("disable").is_none_or(|disable| disable != true) {
                    let tests = group["tests"].as_array().unwrap();
                    scripts.extend(tests.iter().map(|script| Self::read(group, script)));
                }
            }
        }
        scripts
    }

    /// The CONNECT of the scripts that do not bring their own.
    pub(super) fn connect(&self) -> Vec<u8> {
        let mut body = match self.version {
            3 => b"\0\x06MQIsdp\x03\x02\0\x3c".to_vec(),
            4 => b"\0\x04MQTT\x04\x02\0\x3c".to_vec(),
            // Receive Maximum 20.
            _ => b"\0\x04MQTT\x05\x02\0\x3c\x03\x21\0\x14".to_vec(),
        };
        body.extend((self.name.len() as u16).to_be_bytes());
        body.extend(self.name.bytes());
        packet(0x10, &body)
    }
}

impl Step {
    fn read(step: &Value) -> Self {
        let text = |key: &str| step[key].as_str().unwrap().to_owned();
        match step["type"].as_str().unwrap() {
            "send" => Self::Send(bytes(&text("payload"))),
            "recv" => Self::Receive(bytes(&text("payload"))),
            "publish" | "external_publish" => Self::Publish {
                topic: text("topic"),
                payload: text("payload"),
                qos: step["qos"].as_u64().unwrap() as u8,
                retain: step.get("retain").is_some_and(|retain| retain.as_bool().unwrap()),
            },
            other => panic!("a script has a step that this player does not know: {other}"),
        }
    }
}

pub(super) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    push_varint(&mut packet, body.len() as u64);
    packet.extend(body);
    packet
}

/// Appends a variable byte integer, also one that is too large.
fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Bytes in the notation of the scripts: hexadecimal digits, or a letter with a decimal number, or a text in quotes.
fn bytes(notation: &str) -> Vec<u8> {
    let (mut bytes, mut digits) = (Vec::new(), String::new());
    let mut parts = notation.split(' ').filter(|part| !part.is_empty());
    while let Some(part) = parts.next() {
        let number = || part[1..].parse::<u64>().unwrap();
        match part.as_bytes()[0] {
            b'\'' => {
                let mut text = part[1..].to_owned();
                while !text.ends_with('\'') {
                    text = format!("{text} {}", parts.next().expect("a text has an end"));
                }
                bytes.extend(text.strip_suffix('\'').unwrap().bytes());
            }
            b'i' => bytes.push(number() as u8),
            b'H' | b'k' | b'm' | b's' => bytes.extend((number() as u16).to_be_bytes()),
            b'L' => bytes.extend((number() as u32).to_be_bytes()),
            b'v' | b'r' => push_varint(&mut bytes, number()),
            // Before 2.1 a space may be within a byte.
            _ => {
                digits.push_str(part);
                while digits.len() >= 2 {
                    let rest = digits.split_off(2);
                    bytes.push(u8::from_str_radix(&digits, 16).expect("hexadecimal digits"));
                    digits = rest;
                }
            }
        }
    }
    assert!(digits.is_empty(), "half a byte: {notation}");
    bytes
}
