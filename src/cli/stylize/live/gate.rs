//! Who is let in: requests that have the token, come from the page itself, and name this server.

use std::net::{IpAddr, SocketAddr};

use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, header};

/// Bytes of the token. It is chosen for each run.
const TOKEN: usize = 16;

/// What requests are checked against.
pub struct Gate {
    token: String,
    listening: SocketAddr,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names another host. A name that somebody else lets point here, DNS rebinding, would make a foreign
    /// page this server's own.
    Host,
    /// It comes from a page of another site.
    Origin,
    /// It does not know the token.
    Token,
}

impl Refusal {
    /// For whoever asked.
    pub fn text(self) -> &'static str {
        match self {
            Self::Host => {
                "This is not the address that impasto printed; use its numbers instead of a name.\n"
            }
            Self::Origin => {
                "This request comes from another site's page; only the run's own page may make it.\n"
            }
            Self::Token => "The address needs its token; use the whole address that impasto printed.\n",
        }
    }
}

impl Gate {
    /// With a new token.
    pub fn new(listening: SocketAddr) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN];
        getrandom::fill(&mut bytes)?;
        let token = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { token, listening })
    }

    /// What follows the server's name in every address, with a slash on either side.
    pub fn folder(&self) -> String {
        format!("/{}/", self.token)
    }

    /// The path after the token, or why there is none. A folder without its slash is empty.
    pub fn check<'a>(&self, request: &'a Parts) -> Result<&'a str, Refusal> {
        let host = self.host(&request.headers).ok_or(Refusal::Host)?;
        // Browsers say where a request comes from wherever that may be another site.
        for origin in request.headers.get_all(header::ORIGIN) {
            let own = origin.to_str().is_ok_and(|origin| origin.strip_prefix("http://") == Some(host));
            if !own {
                return Err(Refusal::Origin);
            }
        }
        if request.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
            return Err(Refusal::Origin);
        }
        let path = request.uri.path().strip_prefix('/').unwrap_or_default();
        let (token, rest) = path.split_at_checked(2 * TOKEN).ok_or(Refusal::Token)?;
        // As slow for a token that is nearly right as for any other.
        let differs = std::iter::zip(token.bytes(), self.token.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        match differs == 0 && (rest.is_empty() || rest.starts_with('/')) {
            true => Ok(rest),
            false => Err(Refusal::Token),
        }
    }

    /// The one `Host` of a request, if it means this server: a number of this machine, which no name service
    /// can turn elsewhere.
    fn host<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (host, None) = (hosts.next()?.to_str().ok()?, hosts.next()) else { return None };
        let authority: Authority = host.parse().ok()?;
        if host.contains('@') || authority.port_u16().unwrap_or(80) != self.listening.port() {
            return None;
        }
        let name = authority.host();
        let known = match name.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) if self.listening.ip().is_unspecified() => !ip.is_unspecified(),
            Ok(ip) => ip == self.listening.ip(),
            Err(_) => {
                let local = self.listening.ip().is_loopback() || self.listening.ip().is_unspecified();
                local && name.eq_ignore_ascii_case("localhost")
            }
        };
        known.then_some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = hyper::Request::builder().uri(path);
        let add = |builder: hyper::http::request::Builder, (name, value): &(&str, &str)| {
            builder.header(*name, *value)
        };
        headers.iter().fold(builder, add).body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_the_page_itself_is_let_in() {
        let gate = Gate::new("127.0.0.1:81".parse().unwrap()).unwrap();
        let (folder, here) = (gate.folder(), ("host", "127.0.0.1:81"));
        assert_ne!(folder, Gate::new(gate.listening).unwrap().folder());
        let check =
            |path: &str, headers: &[(&str, &str)]| gate.check(&parts(path, headers)).map(str::to_owned);
        let inside = format!("{folder}live.js?x=1");
        assert_eq!(check(&inside, &[here]), Ok("/live.js".into()));
        assert_eq!(check(&folder, &[("host", "LOCALHOST:81")]), Ok("/".into()));
        assert_eq!(check(folder.trim_end_matches('/'), &[here]), Ok(String::new()));
        assert_eq!(check(&inside, &[here, ("origin", "http://127.0.0.1:81")]), Ok("/live.js".into()));
        let wrong = folder.replace(|c: char| c.is_ascii_digit(), "a");
        for path in [
            "/",
            "/live.js",
            "/é",
            &wrong[..20],
            &format!("/{}", "0".repeat(32)),
            &format!("{}x", &folder[..33]),
        ] {
            assert_eq!(check(path, &[here]), Err(Refusal::Token), "{path}");
        }
        for origin in [
            "http://127.0.0.1",
            "https://127.0.0.1:81",
            "http://evil.example",
            "null",
            "",
            "http://localhost:81",
        ] {
            assert_eq!(check(&inside, &[here, ("origin", origin)]), Err(Refusal::Origin), "{origin}");
        }
        assert_eq!(check(&inside, &[here, ("sec-fetch-site", "cross-site")]), Err(Refusal::Origin));
        for host in [
            "evil.example:81",
            "127.0.0.1",
            "127.0.0.1:82",
            "127.0.0.2:81",
            "x@127.0.0.1:81",
            "",
            "0.0.0.0:81",
            "[::1]:81",
        ] {
            assert_eq!(check(&inside, &[("host", host)]), Err(Refusal::Host), "{host}");
        }
        assert_eq!(check(&inside, &[]), Err(Refusal::Host));
        assert_eq!(check(&inside, &[here, here]), Err(Refusal::Host));
    }

    #[test]
    fn on_all_networks_any_number_means_this_machine_but_no_name() {
        let gate = Gate::new("0.0.0.0:81".parse().unwrap()).unwrap();
        let path = gate.folder();
        let check = |host: &str| gate.check(&parts(&path, &[("host", host)])).is_ok();
        assert!(check("192.168.1.5:81") && check("127.0.0.1:81") && check("localhost:81"));
        assert!(!check("studio.local:81") && !check("192.168.1.5.evil.example:81"));
    }
}
