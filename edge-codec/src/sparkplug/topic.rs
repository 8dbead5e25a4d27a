//! Topics of Sparkplug (Sparkplug 3.0 §4).

/// First level of every topic.
const NAMESPACE: &str = "spBv1.0";

/// Topic of a message: `spBv1.0/GROUP/KIND/NODE`, of a device's `spBv1.0/GROUP/KIND/NODE/DEVICE`, of a host's state `spBv1.0/STATE/HOST`.
///
/// ```
/// use edge_codec::sparkplug::{Kind, Topic};
///
/// let topic = Topic::read("spBv1.0/plant/DDATA/line2/press").ok_or("no topic of Sparkplug")?;
/// assert_eq!((topic.group, topic.kind, topic.node, topic.device), ("plant", Kind::Data, "line2", Some("press")));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Topic<'a> {
    /// Group of the node; empty for the state of a host.
    pub group: &'a str,
    /// Kind of the message.
    pub kind: Kind,
    /// Name of the node within its group, or of the host.
    pub node: &'a str,
    /// Name of the device behind the node; `None` for a message of the node itself.
    pub device: Option<&'a str>,
}

/// Kind of a message, of a node or a device alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// NBIRTH or DBIRTH.
    Birth,
    /// NDATA or DDATA.
    Data,
    /// NDEATH or DDEATH.
    Death,
    /// NCMD or DCMD.
    Command,
    /// STATE of a host, whose payload is JSON.
    State,
}

impl<'a> Topic<'a> {
    /// Reads a topic. `None`: it is none of Sparkplug.
    #[must_use]
    pub fn read(topic: &'a str) -> Option<Self> {
        let mut levels = topic.split('/');
        let mut level = || levels.next().filter(|level| !level.is_empty());
        if level()? != NAMESPACE {
            return None;
        }
        let (group, kind) = (level()?, level()?);
        if group == "STATE" {
            let state = Self { group: "", kind: Kind::State, node: kind, device: None };
            return levels.next().is_none().then_some(state);
        }
        let node = level()?;
        let device = match levels.next() {
            Some("") => return None,
            device => device,
        };
        if levels.next().is_some() {
            return None;
        }
        let kind = match (kind, device) {
            ("NBIRTH", None) | ("DBIRTH", Some(_)) => Kind::Birth,
            ("NDATA", None) | ("DDATA", Some(_)) => Kind::Data,
            ("NDEATH", None) | ("DDEATH", Some(_)) => Kind::Death,
            ("NCMD", None) | ("DCMD", Some(_)) => Kind::Command,
            _ => return None,
        };
        Some(Self { group, kind, node, device })
    }

    /// Returns the topic at which the node takes commands.
    #[must_use]
    pub fn node_commands(&self) -> String {
        format!("{NAMESPACE}/{}/NCMD/{}", self.group, self.node)
    }

    /// Returns the name before those of the metrics: `GROUP/NODE`, or `GROUP/NODE/DEVICE`.
    #[must_use]
    pub fn sender(&self) -> String {
        let device = self.device.map(|device| format!("/{device}")).unwrap_or_default();
        format!("{}/{}{device}", self.group, self.node)
    }
}
