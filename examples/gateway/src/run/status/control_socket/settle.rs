//! Receipt of a data mule, for an operator at the control socket: exactly the rows that it names are released.

use std::io;

use edge_queue::aio::Queue;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Failed, WITHIN};
use crate::mule::receipt::{RECEIPT_BYTES_MAX, Receipt};
use crate::run::queue::store::CONSUMER;

/// Reads the receipt, which has so many `bytes` and has `begun` already, and releases what it names. Returns the summary for the last line; where rows
/// are left for now, that is the error's text, so that nobody takes the receipt for used up.
pub(super) async fn serve(
    stream: &mut UnixStream,
    (bytes, begun): (&str, Vec<u8>),
    queue: &Queue,
) -> Result<String, Failed> {
    let bytes = bytes.parse().ok().filter(|bytes| *bytes <= RECEIPT_BYTES_MAX);
    let bytes =
        bytes.ok_or_else(|| Failed::Said(format!("a receipt has at most {RECEIPT_BYTES_MAX} bytes")))?;
    let mut text = Vec::new();
    let mut all = begun.as_slice().chain(stream).take(bytes);
    timeout(WITHIN, all.read_to_end(&mut text))
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(Failed::Gone)?;
    let text = String::from_utf8(text).map_err(|_| Failed::Said("the receipt is no text".to_owned()))?;
    let receipt = Receipt::parse(&text).map_err(Failed::Said)?;
    let ranges = receipt.ranges_of(queue.gateway_id());
    let ranges = ranges.map_err(|error| Failed::Said(format!("nothing is released: {error}")))?;
    let acked = queue.ack_ids(CONSUMER, ranges).await;
    let acked = acked.map_err(|error| Failed::Said(error.to_string()))?;
    let (released, gone, left) = (acked.acked, acked.gone, acked.no_range);
    tracing::info!(released, gone, "a data mule's receipt was settled, asked for by hand");
    let done = format!("{released} rows released; {gone} were gone before");
    match left {
        0 => Ok(done),
        left => {
            Err(Failed::Said(format!("{done}; {left} are left for now: settle this receipt again later")))
        }
    }
}
