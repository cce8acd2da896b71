//! Values that name places on the network: listen addresses, advertised hosts, web origins.

use std::net::{IpAddr, SocketAddr};

use toml_edit::{Array, Item, Value};
use url::{Host, Url};

use super::report::Fault;
use super::value::{list, text};

/// Says which web origins may call the server from a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CorsOrigins {
    /// All of them.
    Any,
    /// Only these, as browsers send them: `https://example.org` or `https://example.org:8443`.
    Only(Vec<String>),
}

impl CorsOrigins {
    /// Reads `["*"]` or a list of origins; an empty list allows no other origin.
    pub(crate) fn read(item: &Item) -> Result<Self, Vec<Fault>> {
        let origins = list(item, |text| if text == "*" { Ok(text.into()) } else { parse_origin(text) })?;
        match origins.iter().any(|origin| origin == "*") {
            false => Ok(Self::Only(origins)),
            true if origins.len() == 1 => Ok(Self::Any),
            true => Err(Fault::from("\"*\" allows every origin and must stand alone".to_owned()).into()),
        }
    }

    /// Renders what [`Self::read`] reads.
    pub(crate) fn show(&self) -> Value {
        match self {
            Self::Any => Array::from_iter(["*"]).into(),
            Self::Only(origins) => Array::from_iter(origins).into(),
        }
    }
}

/// Accepts exactly what a browser sends in `Origin` (RFC 6454 §7), so that a comparison of texts is enough.
fn parse_origin(text: &str) -> Result<String, String> {
    let expected = || format!("is \"{text}\", must be \"*\" or an origin such as \"https://example.org\"");
    let url = Url::parse(text).map_err(|_| expected())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(expected());
    }
    let origin = url.origin().ascii_serialization();
    if origin == text { Ok(origin) } else { Err(format!("is \"{text}\", browsers would send \"{origin}\"")) }
}

/// Reads an address and port, IPv6 in brackets.
pub(crate) fn listen_address(item: &Item) -> Result<SocketAddr, Fault> {
    let address = text(item)?;
    let expected = || format!("is \"{address}\", must be an IP address and a port such as \"0.0.0.0:8080\"");
    address.parse().map_err(|_| expected().into())
}

/// Reads a list of addresses or host names under which peers reach this server from outside.
pub(crate) fn advertised(item: &Item) -> Result<Vec<Host>, Vec<Fault>> {
    list(item, |text| {
        let expected = || format!("is \"{text}\", must be an IP address or a host name, without a port");
        let host = match text.parse() {
            Ok(IpAddr::V4(address)) => Host::Ipv4(address),
            Ok(IpAddr::V6(address)) => Host::Ipv6(address),
            Err(_) => Host::parse(text).map_err(|_| expected())?,
        };
        let unspecified = match &host {
            Host::Domain(_) => false,
            Host::Ipv4(address) => address.is_unspecified(),
            Host::Ipv6(address) => address.is_unspecified(),
        };
        if unspecified { Err(format!("is \"{text}\", which no peer can send to")) } else { Ok(host) }
    })
}

/// Renders what [`advertised`] reads.
pub(crate) fn show_advertised(hosts: &[Host]) -> Value {
    hosts.iter().map(ToString::to_string).collect::<Array>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(toml: &str) -> Item {
        Item::Value(toml.parse().unwrap())
    }

    #[test]
    fn origins_are_what_browsers_send() {
        assert_eq!(CorsOrigins::read(&item(r#"["*"]"#)), Ok(CorsOrigins::Any));
        assert_eq!(CorsOrigins::read(&item("[]")), Ok(CorsOrigins::Only(Vec::new())));
        let two = ["https://a.example", "http://localhost:5173"];
        let read = CorsOrigins::read(&item(r#"["https://a.example", "http://localhost:5173"]"#));
        assert_eq!(read, Ok(CorsOrigins::Only(two.map(String::from).into())));
        for bad in
            [r#"["*", "https://a.example"]"#, r#"["a.example"]"#, r#"["https://a.example/"]"#, r#"["file:///x"]"#]
        {
            assert!(CorsOrigins::read(&item(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn advertised_hosts_are_addresses_or_names() {
        let hosts =
            advertised(&item(r#"["203.0.113.7", "2001:db8::1", "[2001:db8::2]", "Media.example.org"]"#)).unwrap();
        assert_eq!(show_advertised(&hosts).as_array().unwrap().len(), 4);
        assert_eq!(hosts[3], Host::Domain(String::from("media.example.org")));
        for bad in [r#"["0.0.0.0"]"#, r#"["::"]"#, r#"["1.2.3.4:80"]"#, r#"["a b"]"#, r#"[""]"#, "[1]", "7"] {
            assert!(advertised(&item(bad)).is_err(), "{bad}");
        }
    }
}
