//! Where an application stands for those who use it: at a published address, below a path of another application, or alone.

use axum::extract::OriginalUri;
use http::{header, request::Parts};
use url::Url;

/// Where an application stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    public_url: Option<Url>,
}

impl Place {
    /// An application that is published at `public_url`, where there is one.
    pub(super) fn new(public_url: Option<&Url>) -> Self {
        Self { public_url: public_url.cloned() }
    }

    /// What comes before a path of ours for whoever sent this request: nothing, or a path without a slash at its end.
    pub(super) fn prefix<'a>(&'a self, request: &'a Parts) -> &'a str {
        match &self.public_url {
            Some(url) => url.path().trim_end_matches('/'),
            None => nested_below(request),
        }
    }

    /// The address of the application: the published one, or the one that this request came to. The guard has checked the
    /// host; it is looked at again because the address becomes part of commands that people copy.
    pub(super) fn base(&self, request: &Parts) -> String {
        if let Some(url) = &self.public_url {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let is_plain = |host: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b);
            !host.is_empty() && host.bytes().all(plain)
        };
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| is_plain(host));
        format!("http://{}{}", host.unwrap_or("localhost"), nested_below(request))
    }
}

/// The path below which the host application nests this one: what axum took off the path of the request on its way here.
pub(super) fn nested_below(request: &Parts) -> &str {
    let Some(OriginalUri(original)) = request.extensions.get() else { return "" };
    // `/gw` and `/gw/` are both the root of what is nested there.
    let own = request.uri.path();
    let own = if own == "/" { "" } else { own };
    original.path().strip_suffix(own).unwrap_or_default().trim_end_matches('/')
}
