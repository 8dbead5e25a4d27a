//! Answers to commands of local clients, and the rate limit of answers to refused ones.

use super::command_rules::Budget;
use super::loop_messages::{Said, said_event};
use crate::OneLine;
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::Inbound;
use serde_json::json;
use std::fmt;
use std::net::SocketAddr;
use tokio::sync::oneshot;

/// Most answers to refused commands per minute.
const TOLD_PER_MINUTE: u32 = 20;
/// Longest part of a payload in bytes, and of a topic in characters, that answers and log lines quote.
const SHOWN_MAX: usize = 120;

/// Client in an answer: its claimed name, escaped, and the address of its connection.
#[derive(Clone, Debug)]
pub(super) struct Client {
    name: String,
    address: Option<SocketAddr>,
}

impl Client {
    pub(super) fn new(name: &str, address: Option<SocketAddr>) -> Client {
        Client { name: shown(name), address }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "\"{}\" from {address}", self.name),
            None => write!(f, "\"{}\" from an unknown address", self.name),
        }
    }
}

/// Way back of the end of a command of the hub: `Ok` if it was obeyed, else the reason of the refusal. One that is dropped means that the command
/// may have been obeyed.
pub type Reply = oneshot::Sender<Result<(), String>>;

/// Giver of a command.
#[derive(Debug)]
enum Giver {
    Client(Client),
    Hub(Option<Reply>),
}

impl Giver {
    fn reply(&mut self, why: Option<&str>) {
        if let Giver::Hub(reply) = self
            && let Some(reply) = reply.take()
        {
            // Its receiver ends with the gateway.
            let _ = reply.send(why.map_or(Ok(()), |why| Err(why.to_owned())));
        }
    }
}

/// Command in the form in which answers and log lines quote it: topic, beginning of the payload, giver.
#[derive(Debug)]
pub struct Told {
    /// Topic of the command without `cmd/`, escaped.
    topic: String,
    /// Beginning of the payload, unchanged.
    payload: String,
    giver: Giver,
}

impl Told {
    /// Creates the quote of a message's command. `topic` is the message's topic without `cmd/`.
    #[must_use]
    pub fn of(topic: &str, message: &Inbound) -> Told {
        Told::new(topic, &message.payload, Giver::Client(Client::new(&message.client, message.peer)))
    }

    /// A command of the hub; `topic`: that for local clients, without `cmd/`. Its end goes to `reply`, if there is one.
    #[must_use]
    pub fn of_hub(topic: &str, payload: &[u8], reply: Option<Reply>) -> Told {
        Told::new(topic, payload, Giver::Hub(reply))
    }

    fn new(topic: &str, payload: &[u8], giver: Giver) -> Told {
        let payload = String::from_utf8_lossy(payload.get(..SHOWN_MAX).unwrap_or(payload));
        Told { topic: shown(topic), payload: payload.into_owned(), giver }
    }

    /// Tells the hub, if the command is one of its, that it was obeyed, or refused for this reason; nothing else is told.
    pub fn reply(mut self, why: Option<&str>) {
        self.giver.reply(why);
    }

    /// The event and the log's line that it was obeyed, or refused for this reason, which its reply gets too. `more`: refusals before it that
    /// were not told.
    #[must_use]
    pub fn answer(self, why: Option<&str>, more: u64, now_ms: u64) -> Option<Said> {
        let Told { topic, payload, mut giver } = self;
        giver.reply(why);
        let (kind, end) = match why {
            None => ("command", "obeyed".to_owned()),
            Some(why) => ("refused", format!("refused: {why}")),
        };
        let (of, mut event) = match &giver {
            Giver::Client(client) => (format!("client {client}"), json!({"client": client.name()})),
            Giver::Hub(_) => ("the hub".to_owned(), json!({"hub": true})),
        };
        let mut line = format!("command \"{topic}\" \"{}\" of {of}: {end}", shown(&payload));
        if more > 0 {
            line.push_str(&format!(" ({more} refusals before it are not told)"));
        }
        // JSON has its own escapes for quotes and backslashes.
        let payload = OneLine(&payload).to_string();
        if let Some(event) = event.as_object_mut() {
            event.insert("payload".to_owned(), json!(payload));
            event.insert("ts".to_owned(), json!(now_ms));
            if let Some(why) = why {
                event.insert("reason".to_owned(), json!(why));
                event.insert("more".to_owned(), json!(more));
            }
        }
        let said = said_event(&format!("{kind}/{topic}"), &event)?;
        Some(Said { line: Some(line), ..said })
    }
}

/// Refuses a command of unknown age: a retained message may have any age, and a will was written at the begin of a connection.
///
/// # Errors
/// The reason, in words for its sender.
pub fn check_age(message: &Inbound) -> Result<(), &'static str> {
    if message.retain {
        return Err("retained: nobody knows how old it is");
    }
    if message.will {
        return Err("a will: whoever left it is gone, and nobody knows how old it is");
    }
    Ok(())
}

/// Returns the text escaped and cut to the length of a line.
pub(super) fn shown(text: &str) -> String {
    Escaped(text).to_string().chars().take(SHOWN_MAX).collect()
}

/// Rate limit of answers to refused commands: refusals without an answer are counted in the next one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    told: Budget,
    untold: u64,
}

impl Refusals {
    /// Counts a refusal: `None` if it gets no answer, else the number of earlier ones without an answer.
    pub fn tell(&mut self, now_ns: u64) -> Option<u64> {
        let may = self.told.take(TOLD_PER_MINUTE, now_ns);
        self.untold += u64::from(!may);
        may.then(|| std::mem::take(&mut self.untold))
    }

    /// Takes back an answer that found no room, with the number of earlier refusals that it was to report.
    pub fn untold(&mut self, more: u64) {
        self.untold = self.untold.saturating_add(more).saturating_add(1);
    }
}
