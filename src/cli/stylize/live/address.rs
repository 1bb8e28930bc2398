//! Where the page of a run is served: what `--live` says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The address that `--live` names; without a port, a free one.
///
/// # Errors
/// Says what to write instead.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Ok(port) = text.parse::<u16>() {
        return Ok((here, port).into());
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((ip, 0).into());
    }
    let local = text.strip_prefix("localhost").map(|port| format!("127.0.0.1{port}"));
    let local = local.map(|text| if text.contains(':') { text } else { text + ":0" });
    local.as_deref().unwrap_or(text).parse().map_err(|_| {
        "write a port such as 8080, or an address and a port such as 127.0.0.1:8080; where this is a file, put --live after the \
         files"
            .to_owned()
    })
}

/// The address that people type for one that the server listens at: of all networks, that of the machine in
/// its own.
pub fn reachable(listening: SocketAddr) -> SocketAddr {
    if !listening.ip().is_unspecified() {
        return listening;
    }
    // The system chooses the network for this address of documentation; nothing is sent.
    let (any, elsewhere) = match listening.ip() {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let own =
        UdpSocket::bind(any).and_then(|socket| socket.connect(elsewhere).and_then(|()| socket.local_addr()));
    let ip = own.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |own| own.ip());
    (ip, listening.port()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_people_write() {
        for (text, address) in [
            ("8080", "127.0.0.1:8080"),
            ("127.0.0.1", "127.0.0.1:0"),
            ("localhost", "127.0.0.1:0"),
            ("localhost:81", "127.0.0.1:81"),
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("::1", "[::1]:0"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(parse(text), Ok(address.parse().unwrap()), "{text}");
        }
        for text in
            ["", "photo.jpg", "example.org:80", "99999", "127.0.0.1:", "localhostx", "http://127.0.0.1:80"]
        {
            assert!(parse(text).unwrap_err().contains("write a port"), "{text}");
        }
        assert!(!reachable("0.0.0.0:81".parse().unwrap()).ip().is_unspecified());
    }
}
