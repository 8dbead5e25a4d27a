//! State that clients and the hub have apart, because neither may use up what the other has. Pure.

/// State of the clients, and of the hub.
#[derive(Clone, Debug, Default)]
pub struct PerGiver<T> {
    clients: T,
    hub: T,
}

impl<T> PerGiver<T> {
    /// Returns the state of the hub, or of the clients.
    pub fn of(&mut self, is_hub: bool) -> &mut T {
        if is_hub { &mut self.hub } else { &mut self.clients }
    }
}
