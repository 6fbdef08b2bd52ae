//! The answer of an exchange, truncated.

use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

/// Most bytes of a body.
const ANSWER_READ: usize = 64 * 1_024;

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// At most [`ANSWER_READ`] bytes; fewer if the rest did not come in time.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads until the end, the limit or the deadline, or until the connection breaks.
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
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
