//! The page of a run: `--live` serves it while the run goes on, and what people do there steers the run.
//!
//! Pages are told through the [`board`] and ask through it, too; the run's thread and the server's share
//! nothing else. The [`helm`] is the run's end of it, [`server`] and [`routes`] are the pages'. The page
//! itself is in `page/`.

mod address;
mod board;
mod command;
mod gate;
mod guests;
mod helm;
mod patient;
mod routes;
mod server;
mod told;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use impasto::picture::{Picture, name_of};
use tokio::sync::oneshot;

use self::board::Board;
use self::gate::Gate;
pub use self::helm::Helm;
use self::routes::Routes;
use self::told::Status;
use super::job::Ending;
use super::messages::event;
use super::options::Reporting;
use crate::cli::console;

/// How long the program stays for pages that fetch the last picture, and how often it looks whether they
/// have.
const FAREWELL: Duration = Duration::from_secs(2);
const GLANCE: Duration = Duration::from_millis(20);

/// Whether a run has a page.
#[derive(clap::Args)]
#[command(next_help_heading = "Live page")]
pub struct Watching {
    /// Serve a page that shows the picture as it is painted and steers the run, and print its address. ADDRESS
    /// is for example 8080 or 0.0.0.0:8080; without it, a free port that only this machine can reach is taken
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1", value_parser = address::parse)]
    live: Option<SocketAddr>,

    /// Open that page in the browser
    #[arg(long, requires = "live")]
    open: bool,
}

impl Watching {
    /// Whether there is to be a page.
    pub fn is_asked_for(&self) -> bool {
        self.live.is_some()
    }
}

/// The page of a run, which is served until this is dropped.
pub struct Live {
    board: Arc<Board>,
    end: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl Live {
    /// Serves a page, if there is to be one, about the pictures with these files.
    ///
    /// # Errors
    /// If the address cannot be used.
    pub fn start<'f>(
        asked: &Watching,
        reporting: &Reporting,
        files: impl Iterator<Item = &'f Path>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(wanted) = asked.live else { return Ok(None) };
        let refused = || {
            format!(
                "cannot serve a page at {wanted}: use another port with --live, or a free one with --live alone"
            )
        };
        let listener = TcpListener::bind(wanted).with_context(refused)?;
        let listening = listener.local_addr().with_context(refused)?;
        listener.set_nonblocking(true).with_context(refused)?;
        let gate =
            Gate::new(listening).context("the system gives no random numbers for the page's address")?;
        let address = format!("http://{}{}", address::reachable(listening), gate.folder());
        let board = Arc::new(Board::new());
        board.queue(files.map(name_of));
        let routes = Arc::new(Routes::new(gate, board.clone()));
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.context("cannot start the page's server")?;
        let serve = move || {
            runtime.block_on(async move {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    server::serve(listener, routes, ended).await;
                }
            });
        };
        let server = std::thread::Builder::new().name("live".into()).spawn(serve);
        let server = server.context("cannot start the page's server")?;
        if !listening.ip().is_loopback() {
            console::message(&format!(
                "warning: --live {listening} can be reached from other machines, and nothing is encrypted: whoever sees the \
                 address can watch the picture and steer the run"
            ));
        }
        // Even if nothing else is printed: nobody can guess it.
        console::message(&format!("live at {address}"));
        if reporting.json {
            console::data_line(&event("live", None, serde_json::json!({ "address": address })))?;
        }
        if asked.open
            && let Err(error) = open::that_detached(&address)
        {
            console::message(&format!(
                "note: no browser could be opened ({error}); open that address yourself"
            ));
        }
        Ok(Some(Self { board, end: Some(end), server: Some(server) }))
    }

    /// What the run tells and is asked through.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// A picture, counted from 1, is prepared.
    pub fn prepare(&self, number: usize) {
        self.board.mark(number, "painting");
        self.board.status(Status::Preparing, None);
    }

    /// It needs not be painted.
    pub fn skip(&self, number: usize) {
        self.board.mark(number, "skipped");
    }

    /// Its result is saved in a file, or on its way through a pipe.
    pub fn show(&self, result: Picture, saved: String) {
        self.board.picture(result);
        self.board.status(Status::Finishing, Some(saved));
    }

    /// It has ended.
    pub fn end(&self, number: usize, painted: &anyhow::Result<Ending>) {
        let (mark, status, why) = match painted {
            Ok(Ending::Finished) => ("done", Status::Done, None),
            Ok(Ending::Interrupted | Ending::NotBegun) => ("stopped", Status::Stopped, None),
            Err(error) => ("failed", Status::Failed, Some(format!("{error:#}"))),
        };
        self.board.mark(number, mark);
        self.board.end(status, why);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.board.over();
        let began = Instant::now();
        while self.board.looked_at() && began.elapsed() < FAREWELL {
            std::thread::sleep(GLANCE);
        }
        self.end.take();
        // It has failed if it cannot be joined, and nothing depends on it any more.
        let _ = self.server.take().map(JoinHandle::join);
    }
}
