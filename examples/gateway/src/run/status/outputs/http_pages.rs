//! HTTP status pages: `/` and `/status.json`, with their access control. Every other path belongs to metrics and probes.

use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, REFERRER_POLICY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::run::queue::status_without_queue::Surface;
use crate::run::status::http::{Asked, Pages, Reply, Site};
use crate::run::status::snapshot::snapshot_maker::Snapshots;

use super::html::{content_security_policy, html};
use super::json::{json, tag};
use super::page_access::{Admission, PageAccess, Visitor};

/// All pages at the address `[metrics] listen`.
pub(crate) struct StatusPages {
    surface: Surface,
    snapshots: Snapshots,
    access: PageAccess,
    policy: String,
}

impl StatusPages {
    pub(crate) fn new(surface: Surface, snapshots: Snapshots, access: PageAccess) -> Self {
        Self { surface, snapshots, access, policy: content_security_policy() }
    }

    async fn page(&self) -> Reply {
        let snapshot = self.snapshots.snapshot().await;
        Reply::new(StatusCode::OK, "text/html; charset=utf-8", html(&snapshot, &self.snapshots.slots()))
            .with(CONTENT_SECURITY_POLICY, &self.policy)
            .with(X_FRAME_OPTIONS, "DENY")
            .with(REFERRER_POLICY, "no-referrer")
    }

    async fn json(&self, known: Option<&str>) -> Reply {
        const KIND: &str = "application/json";
        let snapshot = self.snapshots.snapshot().await;
        let tag = format!("W/\"{}\"", tag(&snapshot));
        let reply = match is_known(known, &tag) {
            true => Reply::new(StatusCode::NOT_MODIFIED, KIND, String::new()),
            false => Reply::new(StatusCode::OK, KIND, json(&snapshot)),
        };
        reply.with(ETAG, &tag)
    }
}

/// Returns whether the client has the content of this tag already. `known` is the value of If-None-Match, a list of tags or a star.
fn is_known(known: Option<&str>, tag: &str) -> bool {
    let value = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.is_some_and(|known| known.split(',').any(|known| known.trim() == "*" || value(known) == value(tag)))
}

impl Site for StatusPages {
    async fn reply(&self, asked: &Asked<'_>) -> Reply {
        if !matches!(asked.path, "/" | "/status.json") {
            return Reply::of(self.surface.page(asked.path).await);
        }
        let visitor = Visitor { host: asked.host, authorization: asked.authorization };
        let reply = match self.access.admit(&visitor) {
            Admission::Admitted if asked.path == "/" => self.page().await,
            Admission::Admitted => self.json(asked.if_none_match).await,
            Admission::TokenWanted => {
                let text = "the status page needs its token: as Bearer, or as the password of any user\n";
                Reply::text(StatusCode::UNAUTHORIZED, text)
                    .with(WWW_AUTHENTICATE, "Basic realm=\"edge-gateway\", charset=\"UTF-8\"")
            }
            Admission::Closed(why) => Reply::text(StatusCode::FORBIDDEN, why),
        };
        const SAME_ORIGIN: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
        reply
            .with(CACHE_CONTROL, "no-store")
            .with(X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with(SAME_ORIGIN, "same-origin")
    }
}

#[cfg(test)]
mod tests;
