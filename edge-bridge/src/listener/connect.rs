//! Handling of CONNECT: decides if the client may connect, and which session it gets (§3.1, §4.1).

use super::delivery::Tag;
use super::session_user::SessionUser;
use super::wills::PendingWill;
use super::{ClientKey, Event, Listener, LoginRequest, Output};
use crate::ingest::{Ingest, Now};
use crate::puback_chain::ConnectionId;
use crate::session::{Accept, Memory};
use crate::wire::{Connect, PropertyId, ReasonCode, Utf8, Version};

impl<I: Ingest> Listener<I> {
    pub(super) fn on_connect(&mut self, now: Now, id: ConnectionId, connect: &Connect) {
        let Some(state) = self.connections.get(id) else { return };
        let (peer, certified) = (state.peer, state.certified.clone());
        let user = SessionUser::of(certified.as_ref(), connect);
        if let Err(reason) =
            self.may_connect(now, &LoginRequest { peer, certificate_name: certified.as_deref(), connect })
        {
            self.refuse_client(now, id, (connect, user), reason);
            return;
        }
        let client_id = match self.client_id(connect) {
            Ok(client_id) => client_id,
            Err(reason) => return self.refuse_client(now, id, (connect, user), reason),
        };
        let mut accept = self.terms(connect);
        let is_assigned = connect.client_id.is_empty() && connect.version == Version::V5;
        accept.assigned_client_id = is_assigned.then(|| client_id.clone());
        // Before anything changes: a client that cannot be told takes no session over.
        if self.connections.get(id).is_some_and(|state| !state.session.can_accept(&accept)) {
            self.refuse_client(now, id, (connect, user), ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
            return;
        }
        let existing = self.clients.key(&client_id);
        if let Some(key) = existing {
            self.take_over(now, key, id, user.clone(), connect.clean_start);
        }
        // A session without expiry ended with the connection that was taken over; another user's has ended too.
        let existing = existing.filter(|key| self.clients.get(*key).is_some());
        let Some(key) = existing.or_else(|| self.new_client(now, client_id.clone(), user.clone())) else {
            self.refuse_client(now, id, (connect, user), ReasonCode::QUOTA_EXCEEDED);
            return;
        };
        let expiry_s = self.expiry(connect);
        let will = connect.will.as_ref();
        let will_error = will.and_then(|will| self.check_topic(key, &will.topic, &will.properties).err());
        let Some((client, state)) = self.clients.get_mut(key).zip(self.connections.get_mut(id)) else {
            return;
        };
        if existing.is_some() {
            let mut resume = std::mem::take(&mut client.resume);
            for token in resume.take_expired(now.up_ms) {
                self.stats.dropped_expired += 1;
                self.tracking.dropped(Tag::from(token).origin);
            }
            accept.resume = Some(resume);
            client.resume_memory = Memory::default();
        }
        client.connection = Some(id);
        let lasted = std::mem::replace(&mut client.expiry_s, expiry_s) > 0;
        client.ends_ms = None;
        let keep_alive_s = accept.keep_alive_s.unwrap_or(connect.keep_alive_s);
        let will = PendingWill::of(connect, keep_alive_s, expiry_s, state.peer);
        client.will = will.filter(|_| will_error.is_none());
        state.client = Some(key);
        state.session.accept(now.up_ms, accept);
        self.note_change(key, lasted);
        self.admission.open(id);
        self.outputs.push_back(Output::Event(Event::Connected {
            connection: id,
            client: client_id.clone(),
            version: connect.version,
            session_present: existing.is_some(),
        }));
        if let Some((will, error)) = connect.will.as_ref().zip(will_error) {
            self.note_refused_topic(id, key, &will.topic, error);
        }
        self.watch_figures(now.up_ms, key);
        self.pump(now.up_ms, key);
    }

    fn may_connect(&mut self, now: Now, login: &LoginRequest<'_>) -> Result<(), ReasonCode> {
        self.access.authenticate.authenticate(now, login).map_err(|reason| {
            let may = reason.is_error() && reason.is_valid_for(crate::wire::PacketType::ConnAck);
            if may { reason } else { ReasonCode::NOT_AUTHORIZED }
        })?;
        let will = login.connect.will.as_ref();
        if !self.config.session.retain_available && will.is_some_and(|will| will.retain) {
            return Err(ReasonCode::RETAIN_NOT_SUPPORTED);
        }
        Ok(())
    }

    fn refuse_client(
        &mut self,
        now: Now,
        id: ConnectionId,
        (connect, user): (&Connect, SessionUser),
        reason: ReasonCode,
    ) {
        self.stats.refused += 1;
        let client = connect.client_id.detached();
        self.outputs.push_back(Output::Event(Event::Refused { connection: id, client, user, reason }));
        if let Some(state) = self.connections.get_mut(id) {
            state.session.refuse(now.up_ms, reason);
        }
    }

    /// Creates a session; `None` at the limit of sessions.
    fn new_client(&mut self, now: Now, id: Utf8, user: SessionUser) -> Option<ClientKey> {
        if self.clients.len() >= self.config.max_sessions {
            let expendable = self.clients.expendable()?;
            self.give_up_session(now, expendable);
        }
        Some(self.clients.add(id, user))
    }

    fn terms(&self, connect: &Connect) -> Accept {
        let mut accept = Accept { packet_within_ms: self.config.packet_within_ms(), ..Accept::default() };
        if connect.version == Version::V5 {
            accept.max_in_flight = Some(self.config.max_in_flight);
            accept.keep_alive_s = self.config.other_keep_alive_s(connect.keep_alive_s);
            let asked_s = connect.properties.u32(PropertyId::SessionExpiryInterval).unwrap_or(0);
            let expiry_s = self.expiry(connect);
            accept.session_expiry_s = (expiry_s != asked_s).then_some(expiry_s);
        }
        accept
    }
}
