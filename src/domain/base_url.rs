//! The address under which something of the application is reached from outside.

use url::Url;

/// `https://app.example.com`, perhaps with a port and a path; without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    url: Url,
}

/// The text is no such address. It never repeats the address, which may have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be an address such as https://app.example.com or https://example.com/app, without user, \
     password, ? and #"
)]
pub struct InvalidBaseUrl;

impl BaseUrl {
    /// Reads an address. Slashes at its end don't count.
    pub fn parse(text: &str) -> Result<Self, InvalidBaseUrl> {
        let url = web(text.trim()).ok_or(InvalidBaseUrl)?;
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let text = url.as_str().trim_end_matches('/').to_owned();
        is_bare.then_some(Self { text, url }).ok_or(InvalidBaseUrl)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and, if it is not the usual one, port.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether nobody on the way can read it: by TLS, or because it does not leave the machine.
    pub fn is_private(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        self.url.scheme() == "https" || matches!(host, "localhost" | "127.0.0.1" | "[::1]")
    }

    /// A path of the application as an address. What leads elsewhere, or nowhere, becomes the
    /// address of the application itself: nobody is sent to another site in its name.
    pub fn link(&self, path: &str) -> String {
        let path = path.trim();
        if let Ok(absolute) = Url::parse(path) {
            let is_here = matches!(absolute.scheme(), "http" | "https")
                && absolute.username().is_empty()
                && absolute.password().is_none()
                && absolute.host() == self.url.host()
                && absolute.port() == self.url.port();
            let link = is_here.then(|| absolute.into());
            return link.unwrap_or_else(|| self.text.clone());
        }
        let path = path.trim_start_matches(['/', '\\']);
        match Url::parse(&format!("{}/{path}", self.text)) {
            Ok(url) if !path.is_empty() => url.into(),
            _ => self.text.clone(),
        }
    }
}

/// An address of the web, if the text is one.
pub fn web(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slashes_at_the_end_do_not_count() {
        for (text, address) in [
            ("https://app.example.com", "https://app.example.com"),
            (" https://App.Example.com// ", "https://app.example.com"),
            ("http://localhost:3000/", "http://localhost:3000"),
            ("https://example.com/app/", "https://example.com/app"),
            ("https://example.com:443/", "https://example.com"),
        ] {
            let base = BaseUrl::parse(text).expect(text);
            assert_eq!(base.as_str(), address);
        }
    }

    #[test]
    fn what_is_no_address_of_an_application() {
        for text in [
            "",
            "app.example.com",
            "ftp://example.com",
            "https://",
            "https://me:hunter2@example.com",
            "https://me@example.com",
            "https://example.com/?a=b",
            "https://example.com/#top",
            "javascript:alert(1)",
        ] {
            assert_eq!(BaseUrl::parse(text), Err(InvalidBaseUrl), "{text}");
        }
    }

    #[test]
    fn links_stay_in_the_application() {
        let base = BaseUrl::parse("https://example.com/app").expect("an address");
        for (path, link) in [
            ("/team", "https://example.com/app/team"),
            ("team?a=b#c", "https://example.com/app/team?a=b#c"),
            ("/a b\"<>", "https://example.com/app/a%20b%22%3C%3E"),
            ("", "https://example.com/app"),
            ("/", "https://example.com/app"),
            ("https://example.com/other", "https://example.com/other"),
            ("https://evil.example/x", "https://example.com/app"),
            (
                "https://example.com@evil.example/",
                "https://example.com/app",
            ),
            ("https://me@example.com/", "https://example.com/app"),
            ("https://example.com:8443/", "https://example.com/app"),
            ("//evil.example/x", "https://example.com/app/evil.example/x"),
            ("\\\\evil.example", "https://example.com/app/evil.example"),
            ("javascript:alert(1)", "https://example.com/app"),
            ("JavaScript:alert(1)", "https://example.com/app"),
            ("data:text/html,x", "https://example.com/app"),
        ] {
            assert_eq!(base.link(path), link, "{path}");
        }
    }

    proptest! {
        #[test]
        fn every_link_is_of_the_application(path in r#"[/\\@:?#a-z.<>" \n]{0,20}|\PC{0,30}"#) {
            let base = BaseUrl::parse("https://app.example.com:8443").expect("an address");
            let link = base.link(&path);
            let url = Url::parse(&link).expect("an address");
            prop_assert_eq!((url.host_str(), url.port()), (Some("app.example.com"), Some(8443)));
            prop_assert!(!link.contains(|c: char| c.is_whitespace() || c.is_control() || "\"<>".contains(c)));
        }
    }
}
