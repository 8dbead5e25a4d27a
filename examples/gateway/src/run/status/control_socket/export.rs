//! Copy of messages that the hub refused, as lines of JSON, for an operator at the control socket. The link ends it after 5 s without a reader, because
//! parked messages are not sent meanwhile.

use edge_bridge::Link;
use edge_bridge::bridge::ByHandCount;
use edge_bridge::net::ByHandError;
use tokio::net::UnixStream;

use super::backup::write_slowly;
use super::{Failed, text};

/// Reason that a reader is told who was slower than the link waits.
const TOO_SLOW: &str = "the copies were not taken in time, and the rest was left out: export to a file on the gateway's machine, then copy that";

/// Writes the copies, and returns the summary for the last line. A reader of a slow line has time to come to the reason for which they ended.
pub(super) async fn serve(stream: &mut UnixStream, link: &Link, filter: &str) -> Result<String, Failed> {
    let mut copies = link.copy_parked(filter).await?;
    let mut count = ByHandCount::default();
    loop {
        let rows = match copies.next().await {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(format!("{count} exported")),
            Err(ByHandError::TooSlow) => return Err(Failed::Said(TOO_SLOW.to_owned())),
            Err(error) => return Err(error.into()),
        };
        rows.iter().for_each(|row| count.add(row.readings));
        write_slowly(stream, text::rows(&rows).as_bytes()).await.map_err(Failed::Gone)?;
    }
}
