//! What the server answers: the page and its parts, pictures, events, and commands.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use impasto::picture::{Format, Picture, SaveOptions, Size};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::board::{Board, Looker, Seen};
use super::command::Command;
use super::gate::Gate;
use super::guests::Guest;

/// The files of the page: name, kind, contents.
const FILES: [(&str, &str, &str); 7] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/impasto.css", "text/css; charset=utf-8", include_str!("page/impasto.css")),
    ("/components.js", "text/javascript; charset=utf-8", include_str!("page/components.js")),
    ("/controls.js", "text/javascript; charset=utf-8", include_str!("page/controls.js")),
    ("/curves.js", "text/javascript; charset=utf-8", include_str!("page/curves.js")),
    ("/elements.js", "text/javascript; charset=utf-8", include_str!("page/elements.js")),
    ("/live.js", "text/javascript; charset=utf-8", include_str!("page/live.js")),
];
/// What every answer says: it is for this page alone, loads nothing from elsewhere, and is kept nowhere.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
];

/// The longest side of pictures that pages get.
const LONGEST: usize = 1024;
/// The most pages that look at once.
const LOOKERS: usize = 32;
/// The most bytes of a command, and how long they may take.
const COMMAND_BYTES: usize = 4 << 10;
const COMMAND_TIME: Duration = Duration::from_secs(5);
/// How long an answer to a command is awaited: the run reads commands between iterations.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// The time between two messages of events, of which each has what is new by then.
const PACE: Duration = Duration::from_millis(100);
/// So long without news, and a comment shows that the connection is alive.
const QUIET: Duration = Duration::from_secs(10);

/// An answer: as a whole, or events as they come.
pub type Answer = Response<Either<Full<Bytes>, Events>>;

/// What answers need.
pub struct Routes {
    gate: Gate,
    board: Arc<Board>,
    /// The pictures that were encoded last, with their versions: the photograph and what is painted.
    encoded: [Mutex<Option<(u64, Bytes)>>; 2],
}

impl Routes {
    pub fn new(gate: Gate, board: Arc<Board>) -> Self {
        Self { gate, board, encoded: Default::default() }
    }

    /// The answer to a request.
    pub async fn answer(&self, request: Request<Incoming>, guest: &Guest) -> Answer {
        let (head, body) = request.into_parts();
        let mut answer = match self.gate.check(&head) {
            Err(refusal) => text(StatusCode::FORBIDDEN, refusal.text()),
            Ok(path) => {
                guest.is_known();
                self.inside(path, &head, body).await
            }
        };
        for (name, value) in HEADERS {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    async fn inside(&self, path: &str, head: &Parts, body: Incoming) -> Answer {
        match (&head.method, path) {
            (&Method::POST, "/steer") => self.steer(head, body).await,
            (&Method::GET, "") => {
                let mut answer =
                    text(StatusCode::PERMANENT_REDIRECT, "The address of the page ends in a slash.\n");
                if let Ok(folder) = HeaderValue::try_from(self.gate.folder()) {
                    answer.headers_mut().insert(header::LOCATION, folder);
                }
                answer
            }
            (&Method::GET, "/events") => match self.board.look(LOOKERS) {
                Some(looker) => events(looker),
                None => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Too many pages are watching this run; close some.\n",
                ),
            },
            (&Method::GET, "/before") => self.picture(0, self.board.photograph()).await,
            (&Method::GET, "/picture") => self.picture(1, self.board.newest()).await,
            (&Method::GET, path) => match FILES.iter().find(|(name, ..)| *name == path) {
                Some((_, kind, contents)) => {
                    whole(StatusCode::OK, kind, Bytes::from_static(contents.as_bytes()))
                }
                None => text(StatusCode::NOT_FOUND, "There is no such page here.\n"),
            },
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "That cannot be asked here.\n"),
        }
    }

    /// A command to the run, and its answer.
    async fn steer(&self, head: &Parts, body: Incoming) -> Answer {
        // No form of another site can send this kind without asking first.
        let kind =
            head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().is_none_or(|kind| kind.trim() != "application/json") {
            return text(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Commands must be JSON, with that content type.\n",
            );
        }
        let bytes = match timeout(COMMAND_TIME, Limited::new(body, COMMAND_BYTES).collect()).await {
            Ok(Ok(bytes)) => bytes.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "The command is too long.\n");
            }
            Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "The command arrived incomplete.\n"),
            Err(_) => {
                return closing(text(StatusCode::REQUEST_TIMEOUT, "The command took too long to arrive.\n"));
            }
        };
        let command = match serde_json::from_slice::<Command>(&bytes) {
            Ok(command) => command,
            Err(error) => return text(StatusCode::BAD_REQUEST, &format!("That is no command ({error}).\n")),
        };
        let (sender, receiver) = oneshot::channel();
        if !self.board.ask(command, sender) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "The run takes no more commands.\n");
        }
        match timeout(ANSWER_TIME, receiver).await {
            Ok(Ok(Ok(done))) => text(StatusCode::OK, &done),
            Ok(Ok(Err(why))) => text(StatusCode::CONFLICT, &why),
            Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, "The run has ended.\n"),
            Err(_) => text(StatusCode::ACCEPTED, "It comes when the current iterations are done.\n"),
        }
    }

    /// A picture as PNG. It is encoded once for all who ask.
    async fn picture(&self, which: usize, picture: Option<(u64, Arc<Picture>)>) -> Answer {
        let Some((version, picture)) = picture else {
            return text(StatusCode::NOT_FOUND, "There is no picture yet.\n");
        };
        let mut encoded = self.encoded[which].lock().await;
        let known = encoded.as_ref().filter(|(known, _)| *known == version).map(|(_, bytes)| bytes.clone());
        let bytes = match known {
            Some(bytes) => bytes,
            None => match tokio::task::spawn_blocking(move || png(&picture)).await {
                Ok(Ok(bytes)) => encoded.insert((version, bytes)).1.clone(),
                _ => return text(StatusCode::INTERNAL_SERVER_ERROR, "The picture cannot be encoded.\n"),
            },
        };
        whole(StatusCode::OK, "image/png", bytes)
    }
}

/// A picture as pages get it: pixels only, and no more of them than a screen shows.
fn png(picture: &Picture) -> impasto::Result<Bytes> {
    let small = picture.bare().resized(Size::Longest(LONGEST), false);
    Ok(small.to_bytes(Format::Png, &SaveOptions::default())?.into())
}

fn whole(status: StatusCode, kind: &'static str, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn text(status: StatusCode, text: &str) -> Answer {
    whole(status, "text/plain; charset=utf-8", Bytes::copy_from_slice(text.as_bytes()))
}

/// The same answer, after which the connection ends.
fn closing(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Server-sent events until the run is over or nobody reads them. What a reader has no time for is not kept:
/// it gets what is new when it is ready again.
fn events(mut looker: Looker) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut seen = Seen::default();
        loop {
            // A page that has gone is noticed while nothing is sent, too.
            let Ok(place) = sender.reserve().await else { return };
            let (news, over) = looker.news(&mut seen);
            place.send(Bytes::from(news));
            if over {
                sender.closed().await;
                return;
            }
            sleep(PACE).await;
            tokio::select! {
                () = looker.changed() => {}
                () = sender.closed() => return,
                () = sleep(QUIET) => {
                    if sender.send(Bytes::from_static(b":\n\n")).await.is_err() {
                        return;
                    }
                }
            }
        }
    });
    let mut answer = Response::new(Either::Right(Events(receiver)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// The body of such an answer.
pub struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
