//! WebSocket (RFC 6455) as transport of MQTT (MQTT 5 §6). The connection's code gets only MQTT bytes. Only a frame's header is buffered here; its
//! payload goes straight into the receive buffer that the listener's limit counts.

mod frames;
mod handshake;
mod origins;
mod stream;

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::tcp_stream::Stream;
use crate::wire::Limits;
pub(super) use frames::Violation as FrameViolation;
use handshake::{HEAD_MAX, Refusal, answer};
use origins::Origins;
pub(super) use stream::WebSocketStream;

/// Largest frame that is accepted, unless packets may be larger, because one frame may hold many packets.
const FRAME_MAX: u64 = 1024 * 1024;

/// Rules for WebSocket clients of an address.
#[derive(Debug, Clone)]
pub(super) struct WebSocketRules {
    origins: Arc<Origins>,
    /// Most bytes of a frame.
    frame_max: u64,
    accept_mqtt_3_1: bool,
}

impl WebSocketRules {
    /// Creates rules. `limits`: those of MQTT packets.
    pub(super) fn new(origins: Vec<String>, limits: &Limits) -> Self {
        let (origins, accept_mqtt_3_1) = (Arc::new(Origins::new(origins)), limits.accept_mqtt_3_1);
        Self { origins, frame_max: FRAME_MAX.max(limits.max_packet_size.into()), accept_mqtt_3_1 }
    }

    /// Answers a client's handshake. Takes as long as the client does, so put a time limit around it.
    ///
    /// # Errors
    ///
    /// The handshake failed; contains the reason in words. The client got an HTTP status.
    pub(super) async fn accept(&self, mut stream: Stream) -> Result<WebSocketStream, String> {
        let answered = match read_head(&mut stream).await? {
            Some(head) => answer(&head, &self.origins, self.accept_mqtt_3_1),
            None => Err(Refusal::TooLarge),
        };
        let written = match &answered {
            Ok(response) => stream.write_all(response.as_bytes()).await,
            Err(refusal) => stream.write_all(refusal.response().as_bytes()).await,
        };
        let flushed = match written {
            Ok(()) => stream.flush().await,
            failed => failed,
        };
        match answered {
            Ok(_) => flushed.map_err(|error| error.to_string())?,
            Err(refusal) => {
                // It is over either way.
                let _ = stream.shutdown().await;
                return Err(refusal.to_string());
            }
        }
        Ok(WebSocketStream::new(stream, self.frame_max))
    }
}

/// Reads a request's head; `None` if it is too large.
async fn read_head(stream: &mut Stream) -> Result<Option<BytesMut>, String> {
    let mut head = BytesMut::new();
    while head.len() < HEAD_MAX {
        let before = head.len();
        let room = HEAD_MAX - before;
        let n = stream.read_buf(&mut (&mut head).limit(room)).await.map_err(|error| error.to_string())?;
        if n == 0 {
            return Err("the client went away before its request was whole".to_owned());
        }
        let unseen = head.get(before.saturating_sub(3)..).unwrap_or_default();
        if unseen.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    Ok(None)
}
