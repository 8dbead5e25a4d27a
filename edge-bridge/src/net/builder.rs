//! Builder of a bridge: all settings that are made before the start.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::hub_address::HubUrl;
use super::proxy::settings::ProxySettings;
use super::reread_source::{RereadSource, Subject};
use super::tls::Tls;
use super::tls::renewal::TlsRenewal;
use crate::bridge::IdentityForm;
use crate::bridge::backoff::BackoffConfig;
use crate::bridge::topic_rules::Rules;
use crate::session::ClientConfig;
use crate::wire::{Utf8, Version, Will};

/// Settings of a bridge. Nothing is checked before [`start`](Self::start), which does not wait for a connection:
///
/// ```
/// use std::time::Duration;
///
/// use edge_bridge::Bridge;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bridge = Bridge::builder("mqtt://127.0.0.1:1")
///     .client_id("site7")
///     .credentials("site7", "secret")
///     .command_within(Duration::from_secs(5))
///     .start()
///     .await?;
/// # let _ = bridge.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    pub(super) url: HubUrl,
    pub(super) further_urls: Vec<HubUrl>,
    pub(super) failback: bool,
    pub(super) client_id: String,
    pub(super) client: ClientConfig,
    pub(super) username: Option<String>,
    pub(super) password: Option<RereadSource<Bytes>>,
    pub(super) tls: Option<Tls>,
    pub(super) renewal: Option<TlsRenewal>,
    pub(super) alpn: Vec<String>,
    pub(super) server_name: Option<String>,
    pub(super) proxy: ProxySettings,
    pub(super) connect_timeout: Duration,
    pub(super) send_buffer_bytes: Option<u32>,
    pub(super) window_max_bytes: Option<u64>,
    pub(super) command_within: Option<Duration>,
    pub(super) will_at_close: bool,
    pub(super) accept_control_characters: bool,
    pub(super) any_version: bool,
    pub(super) backoff: BackoffConfig,
    pub(super) rules: Rules,
    pub(super) identity: IdentityForm,
    pub(super) spool_dir: Option<PathBuf>,
    #[cfg(feature = "spool-queue")]
    pub(super) queue_config: Option<edge_queue::Config>,
}

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: HubUrl(url.to_owned()),
            further_urls: Vec::new(),
            failback: true,
            client_id: String::new(),
            client: ClientConfig {
                receive_maximum: u16::MAX,
                enforces_receive_maximum: false,
                ..ClientConfig::new(Utf8::default())
            },
            username: None,
            password: None,
            tls: None,
            renewal: None,
            alpn: Vec::new(),
            server_name: None,
            proxy: ProxySettings::default(),
            connect_timeout: Duration::from_secs(10),
            send_buffer_bytes: None,
            window_max_bytes: None,
            command_within: None,
            will_at_close: false,
            accept_control_characters: false,
            any_version: false,
            backoff: BackoffConfig::default(),
            rules: Rules::default(),
            identity: IdentityForm::Off,
            spool_dir: None,
            #[cfg(feature = "spool-queue")]
            queue_config: None,
        }
    }

    /// Client identifier under which the hub keeps the bridge's session. Required; two bridges with the same one disconnect each other.
    pub fn client_id(mut self, client_id: &str) -> Self {
        client_id.clone_into(&mut self.client_id);
        self
    }

    /// Client certificate, key and trusted authorities for `mqtts`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Names for ALPN (RFC 7301), the preferred one first. A hub on port 443 may choose the protocol by them: AWS IoT takes `x-amzn-mqtt-ca` for
    /// clients with a certificate. A hub that takes none of the names ends the handshake; one without ALPN ignores them. At most 16 names of 1 to
    /// 255 bytes. Default, also for an empty list: those of [`tls`](Self::tls), which has none unless made by [`Tls::from_config`].
    ///
    /// ```
    /// use edge_bridge::{Bridge, Tls};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if false {
    /// let tls = Tls::from_pem("AmazonRootCA1.pem", "site7.crt", "site7.key")?;
    /// let builder = Bridge::builder("mqtts://example-ats.iot.eu-central-1.amazonaws.com:443")
    ///     .client_id("site7")
    ///     .tls(tls)
    ///     .alpn(&["x-amzn-mqtt-ca"]);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Of the start: [`StartError::TlsName`](super::StartError::TlsName) for a name that TLS does not carry,
    /// [`StartError::NotOverTls`](super::StartError::NotOverTls) where the address is `mqtt://`.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Name of the hub in TLS: a DNS name, which is sent as SNI, or an IP address. The hub's certificate is checked against this name, instead
    /// of the host of the address. For a hub that is dialled by another name than its certificate has. Default: that host.
    ///
    /// # Errors
    ///
    /// Of the start: [`StartError::TlsName`](super::StartError::TlsName) for a text that is neither,
    /// [`StartError::NotOverTls`](super::StartError::NotOverTls) where the address is `mqtt://`.
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// User name and password, each of at most 65 535 bytes.
    pub fn credentials(mut self, username: &str, password: impl Into<Bytes>) -> Self {
        self.username = Some(username.to_owned());
        self.client.password = Some(password.into());
        self
    }

    /// Reads the password again before each CONNECT, on a thread that may block, so that a rotated one needs no restart. While `read` fails,
    /// or takes longer than a second, the last password is used, at first that of [`credentials`](Self::credentials), which are required for
    /// the user name.
    pub fn password_from(
        mut self,
        read: impl Fn() -> std::io::Result<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.password = Some(RereadSource::new(Subject::HubPassword, read));
        self
    }

    /// HTTP proxy on the way to the hub, used by CONNECT: `http://HOST:PORT` or `http://USER@HOST:PORT`, an IPv6 address in brackets, the user
    /// percent-encoded if it has `@`, `:` or `%`. The proxy resolves the hub's name; TLS runs inside the tunnel, with the hub. Without TLS the
    /// proxy can read everything, and a login at it is sent in the clear. Default: none, whatever the environment says.
    ///
    /// A proxy that refuses, or whose answer is invalid or has a head above 8 KiB, is a failed dial. Its status is in
    /// [`Stats::last_error`](crate::bridge::Stats::last_error), and it is asked again, after a refusal (4xx) with the delays of a hub that
    /// refuses. [`connect_timeout`](Self::connect_timeout) bounds all of it.
    ///
    /// ```
    /// use edge_bridge::{Bridge, Tls};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # if std::path::Path::new("ca.crt").exists() {
    /// let bridge = Bridge::builder("mqtts://hub.example:8883")
    ///     .client_id("site7")
    ///     .tls(Tls::from_ca("ca.crt")?)
    ///     .proxy("http://site7@10.1.0.9:3128")
    ///     .proxy_password("secret")
    ///     .start()
    ///     .await?;
    /// # let _ = bridge.close().await?;
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Of the start: [`StartError::Proxy`](super::StartError::Proxy) for a text of another shape, also one with a password in it, which is not shown;
    /// [`StartError::ProxyLogin`](super::StartError::ProxyLogin) for a user without a password or a password without a user.
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy.url = Some(url.to_owned());
        self
    }

    /// Further addresses of the hub, `mqtt://HOST:PORT` or `mqtts://HOST:PORT` like the first. Each is dialled when the one before cannot be
    /// reached, refuses, or leaves messages without an answer. Credentials, TLS and proxy are the same for all. Default: none.
    ///
    /// The addresses must be nodes of one hub, or hubs with the same readers, because a message goes to one of them, and again to the next if
    /// it stays unacknowledged.
    ///
    /// ```
    /// # use edge_bridge::Bridge;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bridge = Bridge::builder("mqtt://127.0.0.1:1")
    ///     .further_urls(["mqtt://127.0.0.1:2"])
    ///     .client_id("site7")
    ///     .start()
    ///     .await?;
    /// # let _ = bridge.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Of the start: [`StartError::Target`](super::StartError::Target); [`StartError::MixedSchemes`](super::StartError::MixedSchemes) if only some are `mqtts`.
    pub fn further_urls<U: Into<String>>(mut self, urls: impl IntoIterator<Item = U>) -> Self {
        self.further_urls = urls.into_iter().map(|url| HubUrl(url.into())).collect();
        self
    }

    /// Sets if the bridge returns to the first address when it can be reached again. Default `true`: it is probed after 30 s on another one,
    /// by a TCP connection without MQTT, and after twice as long each time that fails, up to an hour. `false` stays at the address that works.
    pub fn failback(mut self, failback: bool) -> Self {
        self.failback = failback;
        self
    }

    /// Password of the user in [`proxy`](Self::proxy), for Basic authentication. Default: none.
    pub fn proxy_password(mut self, password: impl Into<Bytes>) -> Self {
        self.proxy.password = Some(password.into());
        self
    }

    /// Reads the proxy's password again before each dial, as [`password_from`](Self::password_from) does the hub's. Until it is read once,
    /// [`proxy_password`](Self::proxy_password) is used; without that there is no connection.
    pub fn proxy_password_from(
        mut self,
        read: impl Fn() -> std::io::Result<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.proxy.source = Some(RereadSource::new(Subject::ProxyPassword, read));
        self
    }

    /// Keeps the spool on disk, in this directory, so that messages survive a restart. Without it they are in RAM (at most 64 MiB), and a
    /// receipt comes only when the hub has the message.
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(dir.into());
        self
    }

    /// Settings of the spool on disk.
    #[cfg(feature = "spool-queue")]
    pub fn queue_config(mut self, config: edge_queue::Config) -> Self {
        self.queue_config = Some(config);
        self
    }

    /// Sets the MQTT version. Default 5, because a 3.1.1 hub announces no limits and gives no reasons for refusals.
    pub fn version(mut self, version: Version) -> Self {
        self.client.version = version;
        self
    }

    /// Sets the bridge bit for a hub of MQTT 3.1.1, as Mosquitto's bridge does. The hub then keeps the retain flag of the messages that it
    /// sends, and sends none of ours back. A hub that refuses, or closes, is dialled again as a plain client. Default: not set.
    pub fn bridge_bit(mut self, says: bool) -> Self {
        self.client.bridge_bit = says;
        self
    }

    /// Uses MQTT 5 if the hub accepts it, and 3.1.1 if the hub says that it does not (a close without an answer does not count). The log
    /// reports the change. It is kept for a day, then the first connection tries 5 again.
    pub fn any_version(mut self) -> Self {
        self.any_version = true;
        self
    }

    /// Seconds without a packet after which the hub may give us up. Default 60. Whatever the value, the bridge notices a lost link in seconds
    /// while messages are unacknowledged, and within [`command_within`](Self::command_within) while there are subscriptions; without either no
    /// message waits for the link. A large value saves pings, and only makes the hub notice later.
    pub fn keep_alive_s(mut self, seconds: u16) -> Self {
        self.client.keep_alive_s = seconds;
        self
    }

    /// Time within which a lost connection is noticed while there are subscriptions. A command is delayed by at most that and the time to
    /// connect. Default 15 s; zero leaves it to the keep alive. The bound holds if a round trip takes at most an eighth of it. Costs a PINGREQ
    /// per [`idle_ping_every_ms`](crate::bridge::idle_ping_every_ms) of silence, none while other packets come.
    pub fn command_within(mut self, within: Duration) -> Self {
        self.command_within = Some(within);
        self
    }

    /// Session Expiry Interval: seconds for which the hub keeps the session, and so the commands that it receives during an outage. Default a
    /// day. With 0 all unacknowledged messages from the hub are lost when a connection ends, and so are those for which a subscription has no
    /// room, 1 s after it is full.
    pub fn session_expiry_s(mut self, seconds: u32) -> Self {
        self.client.session_expiry_s = seconds;
        self
    }

    /// Sets the will, which the hub publishes when the connection ends without a DISCONNECT.
    pub fn will(mut self, will: Will) -> Self {
        self.client.will = Some(will);
        self
    }

    /// Makes the hub publish the will also at a [`close`](super::Link::close). In MQTT 5 a DISCONNECT with 0x04 asks for it; in 3.1.1 no
    /// DISCONNECT is sent, so that the hub takes the connection for lost.
    pub fn will_at_close(mut self) -> Self {
        self.will_at_close = true;
        self
    }

    /// Sends messages with control characters and Unicode non-characters, to a hub that takes them; without it they are parked, see
    /// [`LinkConfig::accept_control_characters`](crate::bridge::LinkConfig::accept_control_characters).
    /// [`Bridge::publish`](crate::Bridge::publish) refuses them all the same.
    pub fn accept_control_characters(mut self, accepts: bool) -> Self {
        self.accept_control_characters = accepts;
        self
    }

    /// Sets the `in` rules, which subscribe to messages of the hub and rename them. `out` rules belong to the ingest.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the form in which raw messages carry their identity. `true` is [`IdentityForm::Text`], with `edge-id` and, on possible duplicates,
    /// `edge-pd`. Default [`IdentityForm::Off`], which adds nothing. Without [`spool_dir`](Self::spool_dir) no message has an identity to carry.
    pub fn identity(mut self, form: impl Into<IdentityForm>) -> Self {
        self.identity = form.into();
        self
    }

    /// Most RAM of messages in flight, in bytes, rows and packets together. Default 4 MiB. At most half of it may be
    /// unacknowledged, since each message is held as a row and as a packet; below that the window adapts to the link's delay.
    pub fn window_max_bytes(mut self, bytes: u64) -> Self {
        self.window_max_bytes = Some(bytes);
        self
    }

    /// Most unacknowledged messages to the hub, within its Receive Maximum; 0 counts as 1.
    pub fn max_in_flight(mut self, messages: u16) -> Self {
        self.client.max_in_flight = messages.max(1);
        self
    }

    /// Most unacknowledged messages from the hub, announced to it; 0 counts as 1. Default 65 535. What Mosquitto 2.0 sends beyond it after an
    /// outage is taken all the same. A message without room waits in the network for up to 1 s, and then comes again on a new connection.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.client.receive_maximum = messages.max(1);
        self
    }

    /// Most bytes of a packet from the hub, announced to it; 0 counts as 1. Default 1 MiB. A hub drops larger ones silently (MQTT 5,
    /// §3.1.2.11.4); under 3.1.1, which announces nothing, they are acknowledged and lost. Takes that much RAM as a receive buffer, and again
    /// for each subscription whose application is behind.
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.client.limits = self.client.limits.with_max_packet_size(bytes.max(1));
        self
    }

    /// Sets the delays between dials.
    pub fn backoff(mut self, backoff: BackoffConfig) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the time that DNS, TCP, a proxy and TLS may take together. Default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Size of the socket's send buffer in bytes. Default: the system's. A smaller one keeps fresh messages from waiting behind bytes that the
    /// kernel already has, and limits the throughput to that many bytes per round trip.
    pub fn send_buffer_bytes(mut self, bytes: u32) -> Self {
        self.send_buffer_bytes = Some(bytes);
        self
    }
}
