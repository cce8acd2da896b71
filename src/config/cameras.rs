//! The entries of `[[sources]]`, and who else may add some.

use std::collections::HashSet;

use onair_actors::core::cidr::Cidr;
use onair_actors::rtsp::{CameraUrl, Transport};
use onair_actors::sources::MAX_SOURCES;
use onair_media::RoomName;
use toml_edit::{Array, InlineTable, Item, Value};

use super::report::Fault;
use super::value::{Fields, boolean, choice, list, tables, text};

const TRANSPORTS: [(&str, Transport); 2] = [("tcp", Transport::Tcp), ("udp", Transport::Udp)];

/// An RTSP camera that publishes to a room.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Camera {
    /// Its room; no other camera has the same.
    pub(crate) room: RoomName,
    /// Where it is.
    pub(crate) url: CameraUrl,
    /// Whether it is pulled only while somebody watches.
    pub(crate) on_demand: bool,
    /// How it sends.
    pub(crate) transport: Transport,
}

impl Camera {
    /// Reads the list of cameras.
    pub(crate) fn read_all(item: &Item) -> Result<Vec<Self>, Vec<Fault>> {
        let cameras = tables(item, |fields| Self::read(fields).map(|camera| (camera, place(fields))))?;
        if cameras.len() > MAX_SOURCES {
            return Err(Fault::from(format!("has {} entries, must be at most {MAX_SOURCES}", cameras.len())).into());
        }
        let mut seen = HashSet::new();
        let twice = cameras.iter().filter(|(camera, _)| !seen.insert(camera.room.clone()));
        let faults: Vec<_> = twice.map(|(_, again)| again.clone()).collect();
        if faults.is_empty() { Ok(cameras.into_iter().map(|(camera, _)| camera).collect()) } else { Err(faults) }
    }

    fn read(fields: &Fields<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = fields.unknown(&["room", "url", "on_demand", "transport"]);
        let room = fields.read("room", &mut faults, room_name);
        let url = fields.read("url", &mut faults, camera_url);
        let on_demand = fields.read("on_demand", &mut faults, boolean);
        let transport = fields.read("transport", &mut faults, |item| choice(item, &TRANSPORTS));
        for (name, missing) in [("room", fields.item("room").is_none()), ("url", fields.item("url").is_none())] {
            if missing {
                faults.push(fields.fault(format!("needs {name}")));
            }
        }
        match (room, url) {
            (Some(room), Some(url)) if faults.is_empty() => {
                let (on_demand, transport) = (on_demand.unwrap_or(false), transport.unwrap_or_default());
                Ok(Self { room, url, on_demand, transport })
            }
            _ => Err(faults),
        }
    }

    /// Renders what [`Self::read_all`] reads, what may be secret of the URL masked.
    pub(crate) fn show(&self) -> Value {
        let transport = TRANSPORTS.iter().find(|(_, transport)| *transport == self.transport);
        let mut table = InlineTable::new();
        table.insert("room", self.room.as_str().into());
        table.insert("url", self.url.to_string().into());
        table.insert("on_demand", self.on_demand.into());
        table.insert("transport", transport.map_or("", |(name, _)| *name).into());
        table.into()
    }
}

/// Reads the networks that cameras of the API may be in.
pub(crate) fn networks(item: &Item) -> Result<Vec<Cidr>, Vec<Fault>> {
    list(item, |text| {
        let expected = || format!("is \"{text}\", must be a network such as \"10.0.0.0/8\", or an address");
        Cidr::parse(text).ok_or_else(expected)
    })
}

/// Renders what [`networks`] reads.
pub(crate) fn show_networks(networks: &[Cidr]) -> Value {
    networks.iter().map(ToString::to_string).collect::<Array>().into()
}

/// Remembers where a camera stands, for the case that another one has its room.
fn place(fields: &Fields<'_>) -> Fault {
    fields.fault("has the room of another source: a room has one publisher")
}

fn room_name(item: &Item) -> Result<RoomName, Fault> {
    let name = text(item)?;
    RoomName::parse(name).map_err(|rule| format!("is \"{name}\": {rule}").into())
}

/// Reads a URL, which the message does not repeat: it may hold a password.
fn camera_url(item: &Item) -> Result<CameraUrl, Fault> {
    text(item)?.parse::<CameraUrl>().map_err(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Vec<Camera>, Vec<Fault>> {
        Camera::read_all(&Item::Value(toml.parse().unwrap()))
    }

    #[test]
    fn a_camera_has_a_room_and_a_url() {
        let cameras = read(r#"[{ room = "cam", url = "rtsp://a:hunter2@10.0.0.7/x", transport = "udp" }]"#).unwrap();
        assert_eq!((cameras[0].on_demand, cameras[0].transport), (false, Transport::Udp));
        let shown = cameras[0].show().to_string();
        assert!(shown.contains("rtsp://***@10.0.0.7/***") && !shown.contains("hunter2"), "{shown}");
        // A mask is no URL that loads.
        assert!(read(&format!("[{shown}]")).is_err());
    }

    #[test]
    fn mistakes_are_told_without_the_url() {
        for (toml, told) in [
            (r#"[{ url = "rtsp://10.0.0.7/x" }]"#, "needs room"),
            (r#"[{ room = "cam" }]"#, "needs url"),
            (r#"[{ room = ".cam", url = "rtsp://10.0.0.7/x" }]"#, "is \".cam\""),
            (r#"[{ room = "cam", url = "http://a:hunter2@10.0.0.7/x" }]"#, "scheme"),
            (r#"[{ room = "cam", url = "rtsp://10.0.0.7/x", transport = "tls" }]"#, "\"tcp\" or \"udp\""),
            (r#"[{ room = "cam", url = "rtsp://10.0.0.7/x", on_demnd = true }]"#, "on_demand"),
            (
                r#"[{ room = "cam", url = "rtsp://10.0.0.7/x" }, { room = "cam", url = "rtsp://10.0.0.8/x" }]"#,
                "room of another",
            ),
        ] {
            let faults = read(toml).unwrap_err();
            assert!(faults.iter().any(|fault| fault.message.contains(told)), "{toml}");
            assert!(faults.iter().all(|fault| !fault.message.contains("hunter2")), "{toml}");
        }
    }

    #[test]
    fn networks_are_networks() {
        let read = |toml: &str| networks(&Item::Value(toml.parse().unwrap()));
        let shown = show_networks(&read(r#"["10.0.0.0/8", "::1"]"#).unwrap()).to_string();
        assert_eq!(shown.trim(), r#"["10.0.0.0/8", "::1/128"]"#);
        assert!(read(r#"["10.0.0.7/8"]"#).is_err() && read(r#"["camera"]"#).is_err());
    }
}
