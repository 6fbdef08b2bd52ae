//! The other side's answer, read no further than is of use.

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// No more of a body is read, in bytes.
const ANSWER_READ: usize = 64 * 1_024;

/// A status, headers, and the beginning of a body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// What stood before the body.
    pub headers: HeaderMap,
    /// At most [`ANSWER_READ`] bytes of the body; less where the rest didn't come in time.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads until the end, the limit or the deadline, or until the connection breaks: whichever
    /// comes first, the status has been given.
    pub(super) async fn read(mut response: reqwest::Response, deadline: Instant) -> Self {
        let mut body = Vec::new();
        while let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await {
            let room = ANSWER_READ - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_READ {
                break;
            }
        }
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
        }
    }

    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header that is text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
