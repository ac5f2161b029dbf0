//! The files that pages load, each under a name that changes with its content, so that browsers may keep it for ever.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::{
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::super::table::{Door, Table};

/// The style sheet.
pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../../../templates/style.css"))
});

/// The icon.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../../../templates/icon.svg")));

const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// Where browsers look for an icon that nobody named, when they show JSON for example.
const FAVICON: &str = "/favicon.ico";
const FOR_A_DAY: &str = "public, max-age=86400";

/// A file that is part of the program.
pub(super) struct Asset {
    /// Where it is.
    pub(super) path: String,
    kind: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, text: &'static str) -> Self {
        let hash = hash(text.as_bytes());
        Self { path: format!("/assets/{name}-{hash}.{extension}"), kind, text, tag: etag(text.as_bytes()) }
    }

    fn serve(&self, request: &HeaderMap, kept: &'static str) -> Response {
        let is_current = request.get(header::IF_NONE_MATCH).is_some_and(|known| matches(known, &self.tag));
        let mut response = match is_current {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => self.text.into_response(),
        };
        let headers = response.headers_mut();
        if !is_current {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // An icon is a document too, where somebody opens it.
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
        headers.insert(header::ETAG, self.tag.clone());
        response
    }
}

/// Adds their routes.
pub(super) fn add_routes(table: &mut Table) {
    for asset in [&STYLE, &ICON] {
        table.add(Door::Public, &asset.path, get(async |headers: HeaderMap| asset.serve(&headers, FOR_EVER)));
    }
    table.add(Door::Public, FAVICON, get(async |headers: HeaderMap| ICON.serve(&headers, FOR_A_DAY)));
}

/// A few digits that stand for a text.
fn hash(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entity tag of a text (RFC 9110, section 8.8.3).
pub(super) fn etag(bytes: &[u8]) -> HeaderValue {
    HeaderValue::try_from(format!("\"{}\"", hash(bytes))).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` names this tag (RFC 9110, section 13.1.2).
pub(super) fn matches(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else { return false };
    known.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_among_others() {
        let tag = etag(b"text");
        let tag_text = tag.to_str().unwrap();
        for (known, expected) in [
            (tag_text.to_owned(), true),
            (format!("W/{tag_text}"), true),
            (format!("\"other\", {tag_text}"), true),
            ("*".to_owned(), true),
            ("\"other\"".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(matches(&HeaderValue::try_from(&known).unwrap(), &tag), expected, "{known}");
        }
    }
}
