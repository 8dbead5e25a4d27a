//! Subscriptions at the hub to what the rules match. A session keeps a filter until its UNSUBSCRIBE, whatever the next configuration has, and a hub may
//! send a message for each filter that matches: a command without an identity would then count as two.

#![allow(clippy::disallowed_methods, reason = "a shell: a subscription, a small file and a task")]

use std::path::Path;
use std::time::Duration;

use edge_bridge::net::SubscribeError;
use edge_bridge::wire::{QoS, RetainHandling, Subscription, Utf8};
use edge_bridge::{Commands, Link};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::CommandRule;
use crate::config::overlap::without_covered;
use crate::run::subscribed_filters::{SubscribedFilters, tell_unkept};

const FILE: &str = "commands-subscribed";
/// Longest wait for the list. A session brings what waited at once, and messages that nobody claims are dropped half a minute later.
const LIST_WITHIN: Duration = Duration::from_secs(5);

/// Subscribes to what the rules match, and ends subscriptions of earlier configurations. `session` names the session at the hub.
///
/// # Errors
/// The link is closed, or a rule's filter is none.
pub(super) async fn subscribe(
    link: &Link,
    state: &Path,
    session: &str,
    rules: &[CommandRule],
) -> Result<Commands, SubscribeError> {
    let filters = filters(rules);
    replace(link, state, session, &filters).await?;
    link.subscribe_all(filters).await
}

/// Ends all subscriptions of earlier configurations, because there are no rules any more.
pub(super) async fn end_all(link: Link, state: &Path, session: &str) {
    if let Err(error) = replace(&link, state, session, &[]).await {
        tracing::debug!(%error, "unsubscribe");
    }
}

/// Records what is about to be subscribed to, and unsubscribes what earlier processes were subscribed to beside it.
async fn replace(
    link: &Link,
    state: &Path,
    session: &str,
    filters: &[Subscription],
) -> Result<(), SubscribeError> {
    let wanted: Vec<String> = filters.iter().map(|wanted| wanted.filter.as_str().to_owned()).collect();
    let (state, session) = (state.to_owned(), session.to_owned());
    let known = spawn_blocking(move || {
        let mut list = SubscribedFilters::load(&state, FILE, session);
        let gone = list.subscribing(wanted.iter().map(String::as_str));
        (list, gone)
    });
    let Ok(known) = timeout(LIST_WITHIN, known).await else {
        tell_unkept(&"the disk does not answer");
        return Ok(());
    };
    let Ok((mut list, gone)) = known else { return Ok(()) };
    if gone.is_empty() {
        return Ok(());
    }
    tracing::info!(topics = ?gone, "no command matches them any more: unsubscribed at the hub");
    let answer = link.unsubscribe(&gone).await?;
    tokio::spawn(async move {
        if !answer.wait().await {
            // The next process unsubscribes them again.
            return;
        }
        let kept = spawn_blocking(move || list.unsubscribed(&gone)).await;
        if let Ok(Err(error)) = kept {
            tell_unkept(&error);
        }
    });
    Ok(())
}

/// Returns one subscription per rule, but none for a rule whose filter another one covers, because some hubs send a copy for each subscription.
fn filters(rules: &[CommandRule]) -> Vec<Subscription> {
    let all: Vec<String> = rules.iter().map(|rule| rule.filter.clone()).collect();
    without_covered(&all).iter().filter_map(|filter| subscription(filter)).collect()
}

/// Returns the subscription to a filter: without messages that this gateway publishes itself, and with retained ones only if the session is new,
/// because retained commands are refused. The hub leaves the flag as it was published (Retain As Published), so that one which the gateway gets
/// at once is refused like its retained copy, and the sender hears of it.
fn subscription(filter: &str) -> Option<Subscription> {
    let filter = Utf8::try_from(filter).ok()?;
    Some(Subscription {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
        ..Subscription::new(filter, QoS::AtLeastOnce)
    })
}
