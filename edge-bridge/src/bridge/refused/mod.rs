//! Refusals: breakers for topics, messages, subscriptions and the whole link, so that a refusal costs itself only.

pub(super) mod dropped;
pub(super) mod dropped_topics;
pub(super) mod hub_closes;
pub(super) mod learned_size_limit;
pub(super) mod link_refusal;
pub(super) mod message_retries;
pub(super) mod poison;
pub(super) mod poison_unanswered;
pub(super) mod refused_link_probe;
pub(super) mod refused_list;
pub(super) mod refused_messages;
pub(super) mod refused_topic;
pub(super) mod refused_topics;
pub(super) mod refused_topics_at_closes;
pub(super) mod refused_topics_in_sweeps;
pub(super) mod retry_sweep;
pub(super) mod suspect_filters;
mod tried_topics;
