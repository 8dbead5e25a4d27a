//! Local broker, if this program replaces it: its listeners, access control, and log lines about its clients.

#![allow(clippy::disallowed_methods, reason = "a shell: files and sockets")]

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use edge_bridge::access::{AccessRules, AclFile, LineError, LoginMemory, PasswordFile};
use edge_bridge::listener::{Access, ConnectionId, Damage, Event, Restored, Stats};
use edge_bridge::net::server::LocalPublisher;
use edge_bridge::net::{Server, ServerBuilder, ServerTls, signer_socket};
use edge_bridge::session::Closed;
use edge_bridge::wire::{ReasonCode, Utf8};
use edge_print::in_full;
use edge_state::{ClientFile, operator_file};
use tokio::time::{Duration, Instant};

use crate::broker_conf::{BrokerConf, Listener};
use crate::findings::Place;
use crate::log_rate_limit::Cause;
use crate::losses;
use crate::outlets::{OutletIngest, OutletSink, Outlets};
use crate::quoted::quoted;

/// Most wrong lines of a file that are reported.
const LINES_MAX: usize = 10;
/// The running broker.
pub(crate) struct Broker {
    server: Server,
    outlets: Outlets,
    memory: LoginMemory,
    conf: BrokerConf,
    /// Password file in force; the next SIGHUP may replace it.
    passwords: Option<PasswordFile>,
    client_ca: Option<Vec<u8>>,
    /// Time from which clients get messages of the hubs.
    gives_from: Instant,
    /// Statistics of the last report of losses.
    figures: Stats,
}

/// Content of the broker's files.
pub(crate) struct Files {
    rules: AccessRules,
    client_ca: Option<Vec<u8>>,
    tls: Option<ServerTls>,
}

/// Reads the files, without applying them.
///
/// # Errors
///
/// In words, with the line that names the file.
pub(crate) fn read(conf: &BrokerConf) -> Result<Files, (Place, String)> {
    let mut rules = AccessRules::default();
    rules.passwords = content(conf.password_file.as_ref(), PasswordFile::parse)?;
    rules.acl = content(conf.acl_file.as_ref(), AclFile::parse)?;
    rules.allow_anonymous = conf.allow_anonymous;
    let mut files = Files { rules, client_ca: None, tls: None };
    // All that have TLS have the same files.
    let Some(listener) = conf.listeners.iter().find(|listener| listener.has_tls()) else { return Ok(files) };
    if let (Some((place, cert)), Some((_, key))) = (&listener.cert, &listener.key) {
        let ca = listener.client_ca.as_ref().filter(|_| listener.asks_for_certificates());
        files.rules.certificates_name_users = ca.is_some();
        let named = [&listener.cert, &listener.key].into_iter().flatten().chain(ca);
        for (place, file) in named.filter(|(_, file)| signer_socket(file).is_none()) {
            let refused = |error| (place.clone(), format!("{}: {error}", file.display()));
            operator_file::check(file).map_err(refused)?;
        }
        files.client_ca = ca.and_then(|(_, ca)| operator_file::read(ca).ok());
        let tls = ServerTls::from_pem(cert, key, ca.map(|(_, ca)| ca.as_path()));
        files.tls = Some(tls.map_err(|error| (place.clone(), in_full(&error)))?);
    }
    Ok(files)
}

fn content<T>(
    file: Option<&(Place, PathBuf)>,
    parse: impl FnOnce(&str) -> Result<T, Vec<LineError>>,
) -> Result<Option<T>, (Place, String)> {
    let Some((place, path)) = file else { return Ok(None) };
    let failed = |error: String| (place.clone(), format!("{}: {error}", path.display()));
    let text = operator_file::read_text(path).map_err(|error| failed(error.to_string()))?;
    parse(&text).map(Some).map_err(|errors| {
        let told: Vec<_> = errors.iter().take(LINES_MAX).map(LineError::to_string).collect();
        failed(format!("{} of its lines: {}", errors.len(), told.join("; ")))
    })
}

impl Broker {
    /// Starts the listeners. Messages go to the outlets that exist: open those first.
    ///
    /// # Errors
    ///
    /// In words: an address is taken, or a file is wrong.
    pub(crate) async fn start(conf: BrokerConf, outlets: Outlets, state: &Path) -> Result<Self, String> {
        let files = read(&conf).map_err(|(place, error)| format!("{place}: {error}"))?;
        let memory = LoginMemory::new(secret().map_err(|error| format!("no random numbers: {error}"))?);
        let passwords = files.rules.passwords.clone();
        let access = files.rules.access(memory.clone(), None);
        let mut log = ClientLog::default();
        let builder = Server::builder()
            .config(conf.limits())
            .access(access)
            .on_event(move |event, address| log.on_event(event, address));
        let file = ClientFile::new(state);
        let builder = if conf.forgets_clients { builder } else { builder.client_store(file.clone()) };
        let Some((first, others)) = conf.listeners.split_first() else {
            return Err("no listener".to_owned());
        };
        let tls_of = |listener: &Listener| files.tls.clone().filter(|_| listener.has_tls());
        let mut builder = tls_of(first).into_iter().fold(builder, ServerBuilder::tls);
        for listener in others {
            let at = address(listener).await?;
            builder = match tls_of(listener) {
                Some(tls) => builder.tls_listen(at, tls),
                None => builder.listen(at),
            };
        }
        let at = address(first).await?;
        let sink = outlets.clone();
        let server = builder
            .start(at, OutletIngest::new(outlets.clone()), |receipts| OutletSink::new(sink, receipts))
            .await
            .map_err(|error| {
                format!("listener {error}; a broker that runs there stays the local one with --local")
            })?;
        // Kept by an earlier run, it would bring back what is long over. Not before this one has started: that may want it.
        if conf.forgets_clients
            && let Err(error) = file.remove()
        {
            tracing::warn!(
                error = error.to_string(),
                "sessions and retained messages of an earlier run cannot be removed"
            );
        }
        for at in server.addresses() {
            let with = if at.has_tls { " with TLS" } else { "" };
            tracing::info!("accepting{with} on {}", at.address);
        }
        let gives_from = Instant::now() + conf.clients_return_within;
        let (client_ca, figures) = (files.client_ca, Stats::default());
        Ok(Self { server, outlets, memory, conf, passwords, client_ca, gives_from, figures })
    }

    pub(crate) fn publisher(&self) -> LocalPublisher {
        self.server.publisher()
    }

    pub(crate) fn gives_from(&self) -> Instant {
        self.gives_from
    }

    /// Logs the messages that clients did not get since the last call.
    pub(crate) async fn tell_losses(&mut self) {
        if let Ok(figures) = self.server.stats().await {
            losses::tell_of_clients(&self.figures, &figures);
            self.figures = figures;
        }
    }

    pub(crate) fn outlets(&self) -> &Outlets {
        &self.outlets
    }

    /// Applies users, rights and certificates from their files. Addresses and limits stay those of the start.
    pub(crate) async fn change(&mut self, mut conf: BrokerConf) {
        if !self.conf.differs_in_files_alone(&conf) {
            tracing::warn!("listeners, their files and limits of clients change at the next start");
            conf.listeners.clone_from(&self.conf.listeners);
        }
        let files = match read(&conf) {
            Ok(files) => files,
            Err((place, error)) => {
                return tracing::error!("{place}: {error}: users and rights stay as they were");
            }
        };
        let passwords = files.rules.passwords.clone();
        let access: Access = files.rules.access(self.memory.clone(), self.passwords.as_ref());
        self.passwords = passwords;
        // Those of before, or with other files alone.
        self.conf.listeners = conf.listeners;
        let control = self.publisher();
        // An error is the end of the broker.
        let _ = control.set_access(access).await;
        if let Some(tls) = files.tls {
            let verifies_again = files.client_ca != self.client_ca;
            self.client_ca = files.client_ca;
            let _ = control.set_tls(tls, verifies_again).await;
        }
    }

    /// Has sessions and retained messages saved at once. Returns whether they are. The future does not borrow the broker.
    pub(crate) fn save(&self) -> impl Future<Output = bool> + use<> {
        let publisher = self.publisher();
        async move {
            match publisher.save_now().await {
                Ok(saving) => saving.await.is_ok(),
                Err(_) => false,
            }
        }
    }

    /// Stops reading, and acknowledges messages whose rows become safe within the time.
    pub(crate) async fn stop(self, within: Duration) {
        self.server.shutdown(within).await;
    }
}

/// Returns the address of a listener. Without a host all addresses of the machine, of IPv4 alone if there is no IPv6. Of a name's addresses an
/// IPv4 one comes first.
async fn address(listener: &Listener) -> Result<SocketAddr, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: listener {listener}: {error}", listener.place);
    let Some(host) = &listener.host else {
        let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let any: IpAddr = if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        return Ok((any, listener.port).into());
    };
    let found = tokio::net::lookup_host((host.as_str(), listener.port)).await.map_err(|error| at(&error))?;
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| at(&"the name has no address"))
}

/// Returns random bytes of the system.
fn secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
    Ok(secret)
}

/// Rate limit of log lines about clients: each cause once a minute, with its count.
#[derive(Default)]
struct ClientLog {
    refused: Cause,
    no_tls: Cause,
    topic: Cause,
    no_room: Cause,
    displaced: Cause,
    memory: Cause,
    /// Connection whose CONNECT was refused last.
    refused_connection: Option<ConnectionId>,
}

impl ClientLog {
    fn on_event(&mut self, event: &Event, address: Option<SocketAddr>) {
        let address = address.map(|address| address.to_string());
        let refused = self.refused_connection.take();
        match event {
            // It has its line.
            Event::Disconnected { client: None, connection, .. } if refused == Some(*connection) => {}
            Event::Refused { connection, client, user, reason } => {
                self.refused_connection = Some(*connection);
                let Some(clients) = self.refused.add() else { return };
                tracing::warn!(address, client = %quoted(client), user = %quoted(user.name.as_deref().unwrap_or_default()), %reason, clients, "a client was refused");
            }
            Event::NoTls { error, .. } => {
                let Some(clients) = self.no_tls.add() else { return };
                tracing::warn!(address, error = %quoted(error), clients, "a client could not speak TLS, or has no certificate that counts");
            }
            Event::TopicRefused { client, topic, error, .. } => {
                let Some(messages) = self.topic.add() else { return };
                tracing::warn!(address, client = %quoted(client), topic = %quoted(topic), error = error.to_string(), messages, "a client may not publish to the topic");
            }
            Event::NoRoom { client, .. } => {
                let Some(messages) = self.no_room.add() else { return };
                tracing::warn!(address, client = %quoted(client), messages, "a message at QoS 0 found no room");
            }
            Event::Disconnected { client, why: Closed::Local(ReasonCode::SERVER_BUSY), .. } => {
                let Some(clients) = self.displaced.add() else { return };
                tracing::warn!(address, client = %name_of(client.as_ref()), clients, "a client was disconnected to make place for a new one: it had not logged in, or had been silent, or not read, for ten seconds, and max_connections is reached");
            }
            Event::Disconnected { client, why: Closed::Local(ReasonCode::QUOTA_EXCEEDED), .. } => {
                let Some(clients) = self.memory.add() else { return };
                tracing::warn!(address, client = %name_of(client.as_ref()), clients, "a client was disconnected: of all it held most for longest, and memory_limit is reached");
            }
            Event::ClientsRestored(restored) => tell_restored(restored),
            Event::ClientsNotRestored { error } => {
                tracing::error!(
                    error = error.to_string(),
                    "sessions and retained messages of the last run cannot be read; their file is set aside as clients.bad, if its directory allows it"
                );
            }
            Event::ClientsNotSaved { error } => {
                tracing::error!(
                    error = error.to_string(),
                    "sessions and retained messages of clients cannot be saved"
                );
            }
            Event::ClientsLeftOut { count } => {
                tracing::warn!(
                    count,
                    "sessions, retained messages and messages that wait for clients are more than are saved: a restart loses the oldest"
                );
            }
            _ => {}
        }
    }
}

/// Returns the client's name in quotation marks; nothing between them for one that did not say it.
fn name_of(client: Option<&Utf8>) -> String {
    quoted(client.map_or("", |client| client))
}

/// Logs what of the last run's clients is not back.
fn tell_restored(restored: &Restored) {
    let Restored { sessions, retained, waiting, refused, ref damage, .. } = *restored;
    if refused > 0 {
        tracing::warn!(
            sessions,
            retained,
            waiting,
            refused,
            "not all clients of the last run are back: beyond the limits of now, or the broker's own topics"
        );
    }
    let Some(damage) = damage else { return };
    let Damage { sessions, retained, waiting, wills, unknown, is_minimum, ref clients, .. } = *damage;
    let clients: Vec<_> = clients.iter().map(|client| quoted(client)).collect();
    let clients = clients.join(", ");
    tracing::error!(
        sessions,
        retained,
        waiting,
        wills,
        unknown,
        is_minimum,
        %clients,
        "the file of clients was damaged and is kept as clients.bad: so many sessions and messages of the last run are lost, the others are back"
    );
}
