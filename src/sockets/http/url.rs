//! URLs of programs that speak in the clear: which host and port to connect to, and what to ask for there.

use tungstenite::http::Uri;

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The host: a name, or an address; one of IPv6 without its brackets.
    pub host: String,
    /// The port, 80 if the URL names none.
    pub port: u16,
    /// The value of the Host field: the host as the URL has it, and the port if the URL names one.
    pub authority: String,
    /// The path and the query; never empty.
    pub target: String,
}

/// Why a URL cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The scheme with TLS below it.
    #[error(
        "{secure} is {plain} inside TLS, which hides what is said from everybody on the way, and from you: \
         take a {plain} URL, such as {plain}://{rest}; for {secure} itself there is curl"
    )]
    Secure {
        /// `https` or `wss`.
        secure: String,
        /// The same without TLS.
        plain: &'static str,
        /// What follows the scheme.
        rest: String,
    },
    /// Another scheme.
    #[error("expected a URL that begins with {0}://")]
    Scheme(&'static str),
    /// A character that a URL cannot have: it would end the request line, or change it.
    #[error("a URL cannot have {0:?} in it: write {1} instead")]
    Character(char, String),
    /// A name or password in front of the host.
    #[error(
        "a name and password in a URL would be sent in the clear: leave out what stands before the @"
    )]
    User,
    /// No host, or a port that is none.
    #[error(
        "expected {0}://HOST, {0}://HOST:PORT or {0}://HOST:PORT/PATH, with a port from 1 to 65535"
    )]
    Authority(&'static str),
}

impl Url {
    /// Reads a URL of `scheme`, `http` or `ws`, which may be left out.
    ///
    /// # Errors
    /// When it has another scheme, a character that a URL cannot have, no host, or no port where one is to be.
    pub fn parse(text: &str, scheme: &'static str) -> Result<Self, UrlError> {
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic()) {
            let mut buffer = [0; 4];
            let bytes = bad.encode_utf8(&mut buffer).bytes();
            let escaped = bytes.map(|byte| format!("%{byte:02X}")).collect();
            return Err(UrlError::Character(bad, escaped));
        }
        let rest = match text.split_once("://") {
            None => text,
            Some((own, rest)) if own.eq_ignore_ascii_case(scheme) => rest,
            Some((own, rest)) if own.eq_ignore_ascii_case(&format!("{scheme}s")) => {
                return Err(UrlError::Secure {
                    secure: own.to_ascii_lowercase(),
                    plain: scheme,
                    rest: rest.to_owned(),
                });
            }
            Some(_) => return Err(UrlError::Scheme(scheme)),
        };
        let wrong = || UrlError::Authority(scheme);
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::User);
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => 80,
            Some(port) => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .filter(|&port| port != 0)
                .ok_or_else(wrong)?,
            None => return Err(wrong()),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(wrong());
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        // http://host?query asks for the root with that query (RFC 9112 §3.2.1).
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: bare.to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            target: format!("{slash}{target}"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_has_its_parts() {
        let parts = |text: &str| {
            let url = Url::parse(text, "http").unwrap();
            format!("{} {} {} {}", url.host, url.port, url.authority, url.target)
        };
        for (text, told) in [
            ("http://httpbin.org/ip", "httpbin.org 80 httpbin.org /ip"),
            ("HTTP://h:8080", "h 8080 h:8080 /"),
            (
                "localhost:8080/a?b=c#d",
                "localhost 8080 localhost:8080 /a?b=c",
            ),
            ("http://[::1]:5000/", "::1 5000 [::1]:5000 /"),
            ("http://[::1]", "::1 80 [::1] /"),
            ("h?q", "h 80 h /?q"),
        ] {
            assert_eq!(parts(text), told, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_asked_for_says_why() {
        let told = |text: &str| Url::parse(text, "http").unwrap_err().to_string();
        let secure = told("https://example.com/a");
        assert!(
            secure.contains("TLS") && secure.contains("http://example.com/a"),
            "{secure}"
        );
        assert!(told("http://h/a b").contains("%20"));
        assert!(told("http://h/\r\nX: y").contains("%0D"));
        assert!(told("http://h/ä").contains("%C3%A4"));
        assert!(told("http://me:secret@h/").contains("before the @"));
        assert!(told("ftp://h/").contains("begins with http://"));
        for text in [
            "",
            "http://",
            "http:///x",
            "h:",
            "h:0",
            "h:65536",
            "h:x",
            "[::1",
            "[]",
            ":80",
        ] {
            assert!(told(text).contains("HOST:PORT"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_request_of_two_lines(text in "\\PC{0,40}|[ -~\r\n]{0,40}") {
            if let Ok(url) = Url::parse(&text, "ws") {
                let whole = format!("{}{}{}", url.host, url.authority, url.target);
                prop_assert!(whole.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(url.target.starts_with('/') && !url.host.is_empty() && url.port > 0);
            }
        }
    }
}
