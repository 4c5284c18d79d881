//! The style sheet, the script and the icon. The name of each has a digest of what is in it, so a
//! browser may keep it for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::check::not_found;

/// How many bytes of a digest are in a name.
const DIGEST_BYTES: usize = 8;

/// A file that pages refer to.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is.
    pub(super) path: String,
    etag: String,
    content_type: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(stem: &str, ending: &str, content_type: &'static str, text: &'static str) -> Self {
        let digest = Sha256::digest(text);
        let digits = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}"));
        let digits: String = digits.collect();
        let path = format!("/assets/{stem}.{digits}.{ending}");
        Self { path, etag: format!("\"{digits}\""), content_type, text }
    }
}

/// How pages look.
pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console", "css", "text/css; charset=utf-8", include_str!("assets/console.css"))
});
/// What keeps pages live.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/console.js");
    Asset::new("console", "js", "text/javascript; charset=utf-8", text)
});
/// What stands for the console among tabs.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// `GET /assets/...`.
pub(super) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let all: [&'static Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let named = |asset: &&Asset| asset.path.strip_prefix("/assets/") == Some(name.as_str());
    let Some(asset) = all.into_iter().find(named) else {
        return not_found().await;
    };
    let fields = [
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (CONTENT_TYPE, asset.content_type),
        (ETAG, asset.etag.as_str()),
    ];
    if headers.get(IF_NONE_MATCH).is_some_and(|etag| etag.as_bytes() == asset.etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, asset.text).into_response()
}
