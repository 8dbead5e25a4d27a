//! Outputs of the status: for a person in a browser (`/`), for a program (`/status.json`), on a terminal and for a monitoring check (`edge-gateway
//! status`), and as metrics. All are made from one [snapshot](super::snapshot), so that none contradicts another. All of it is pure except
//! [`http_pages`], which answers HTTP.

pub(super) mod chart;
pub(super) mod html;
pub(crate) mod http_pages;
pub(crate) mod json;
pub(crate) mod nagios;
pub(super) mod page_access;
pub(super) mod snapshot_metrics;
pub(crate) mod terminal;
pub(super) mod texts;
pub(crate) mod units;

pub(crate) use page_access::PageAccess;
