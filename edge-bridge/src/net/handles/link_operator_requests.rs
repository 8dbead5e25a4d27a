//! Operator's requests about refused messages, on the handle of a running link: list, retry, drop, copy.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use super::link::Link;
use crate::bridge::{ByHandCount, ParkedList, ParkedRow};
use crate::net::operator_requests::{Ask, ByHandError, Over};
use crate::net::request::Request;
use crate::wire::{TopicError, Utf8, validate_filter};

/// Stream of copies of parked rows, as a pass finds them. Dropping it ends the pass.
#[derive(Debug)]
pub struct Copies {
    rows: mpsc::Receiver<Vec<ParkedRow>>,
    done: oneshot::Receiver<Over>,
    wake: Arc<Notify>,
}

impl Copies {
    /// Returns the next copies, about 256 KiB; `None` at the end. Call it again within 5 s.
    ///
    /// # Errors
    ///
    /// The copy is incomplete, because another pass is under way, the rows were not taken or could not be read in time, some wait in their lanes
    /// and cannot be parked, or the link was closed.
    pub async fn next(&mut self) -> Result<Option<Vec<ParkedRow>>, ByHandError> {
        if let Some(rows) = self.rows.recv().await {
            self.wake.notify_one();
            return Ok(Some(rows));
        }
        match (&mut self.done).await {
            Ok(over) => over.map(|_| None),
            Err(_) => Err(ByHandError::Closed),
        }
    }
}

impl Link {
    /// Lists the topics that the hub refuses now.
    ///
    /// # Errors
    ///
    /// The link was closed.
    pub async fn parked(&self) -> Result<ParkedList, ByHandError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::List(reply)).await?;
        answer.await.map_err(|_| ByHandError::Closed)
    }

    /// Sends again now the refused messages under topics that the filter matches (`#` matches all). Returns before the hub has answered.
    ///
    /// # Errors
    ///
    /// The text is not a filter, or the link was closed.
    pub async fn retry_parked(&self, filter: &str) -> Result<(), ByHandError> {
        let filter = checked(filter)?;
        let (done, answer) = oneshot::channel();
        self.ask(Ask::Retry { filter, done }).await?;
        answer.await.map_err(|_| ByHandError::Closed)
    }

    /// Drops refused messages, held in RAM or parked on disk, of topics that the filter matches (`#` matches all), counted as discarded. Needs no
    /// connection. Returns their number once the drops are durable. Messages in flight stay.
    ///
    /// # Errors
    ///
    /// The text is not a filter, another drop or copy is under way, not all could be read or made durable in time, some wait in their lanes and
    /// cannot be parked, or the link was closed.
    pub async fn drop_parked(&self, filter: &str) -> Result<ByHandCount, ByHandError> {
        let filter = checked(filter)?;
        let (done, answer) = oneshot::channel();
        self.ask(Ask::Pass { filter, copies: None, done }).await?;
        answer.await.map_err(|_| ByHandError::Closed)?
    }

    /// Copies the messages that [`drop_parked`](Self::drop_parked) would drop. Nothing is removed, and nothing is written.
    ///
    /// # Errors
    ///
    /// The text is not a filter, or the link was closed. [`Copies::next`] reports other errors.
    pub async fn copy_parked(&self, filter: &str) -> Result<Copies, ByHandError> {
        let filter = checked(filter)?;
        let (done, answer) = oneshot::channel();
        let (copies, rows) = mpsc::channel(1);
        self.ask(Ask::Pass { filter, copies: Some(copies), done }).await?;
        Ok(Copies { rows, done: answer, wake: self.wake.clone() })
    }

    async fn ask(&self, ask: Ask) -> Result<(), ByHandError> {
        self.requests.send(Request::ByHand(ask)).await.map_err(|_| ByHandError::Closed)
    }
}

fn checked(filter: &str) -> Result<Utf8, ByHandError> {
    let error = |error| ByHandError::Filter { filter: filter.to_owned(), error };
    validate_filter(filter).map_err(error)?;
    Utf8::try_from(filter).map_err(|_| error(TopicError::Nul))
}
