//! What pages are told of a run, and what they ask of it. The run writes here what it has at hand; the
//! server's thread makes texts and files of it when somebody looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use impasto::picture::Picture;
use serde::Serialize;
use serde::ser::SerializeSeq;
use tokio::sync::watch;

use super::command::{Answer, Asked, Command};
use super::told::{Queued, Start, State, Status};

/// The most commands that wait for the run. Nobody's hand gives so many within an iteration.
const MOST_WAITING: usize = 64;
/// The most rows of losses that a page is sent at once; of more, it gets some between the first and the last.
const MOST_ROWS: usize = 2000;

/// All that is told, and how often each part of it changed.
#[derive(Default)]
struct Told {
    start: Option<Start>,
    state: State,
    queue: Vec<Queued>,
    /// By iteration, in the order of the names of curves.
    rows: Vec<Vec<f32>>,
    photograph: Option<Arc<Picture>>,
    picture: Option<Arc<Picture>>,
    /// Counts pictures.
    version: u64,
    over: bool,
}

/// How much of what is told a page has been sent.
#[derive(Default)]
pub struct Seen {
    number: usize,
    rows: usize,
    version: u64,
}

/// The board itself.
pub struct Board {
    told: Mutex<Told>,
    news: watch::Sender<u64>,
    lookers: AtomicUsize,
    waiting: Mutex<VecDeque<Asked>>,
    arrived: Condvar,
}

/// What a mutex guards is whole at any time, so that a thread that failed leaves nothing to fear.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    pub fn new() -> Self {
        Self {
            told: Mutex::default(),
            news: watch::Sender::new(0),
            lookers: AtomicUsize::new(0),
            waiting: Mutex::default(),
            arrived: Condvar::new(),
        }
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        what(&mut lock(&self.told));
        self.news.send_modify(|news| *news += 1);
    }

    /// Names the pictures of the run.
    pub fn queue(&self, names: impl Iterator<Item = String>) {
        self.tell(|told| told.queue = names.map(|name| Queued { name, state: "waiting" }).collect());
    }

    /// Says what became of a picture, counted from 1.
    pub fn mark(&self, number: usize, state: &'static str) {
        self.tell(|told| {
            told.queue.iter_mut().skip(number - 1).take(1).for_each(|queued| queued.state = state)
        });
    }

    /// A picture begins.
    pub fn start(&self, start: Start, photograph: Picture, rows: Vec<Vec<f32>>) {
        self.tell(|told| {
            told.start = Some(start);
            (told.photograph, told.picture) = (Some(Arc::new(photograph)), None);
            told.rows = rows;
        });
    }

    /// The losses of one more iteration.
    pub fn row(&self, row: Vec<f32>) {
        self.tell(|told| told.rows.push(row));
    }

    /// How far the run is.
    pub fn state(&self, state: State) {
        self.tell(|told| told.state = state);
    }

    /// The part of the state that does not come from a run.
    pub fn status(&self, status: Status, result: Option<String>) {
        self.tell(|told| (told.state.status, told.state.result) = (status, result));
    }

    /// The picture has ended: what became of it, or why it failed.
    pub fn end(&self, status: Status, why: Option<String>) {
        self.tell(|told| {
            told.state.status = status;
            told.state.result = why.or(told.state.result.take());
        });
    }

    /// The current picture.
    pub fn picture(&self, picture: Picture) {
        self.tell(|told| {
            told.picture = Some(Arc::new(picture));
            told.version += 1;
        });
    }

    /// Nothing more will be told.
    pub fn over(&self) {
        self.tell(|told| told.over = true);
        lock(&self.waiting).clear();
    }

    /// Whether somebody looks.
    pub fn looked_at(&self) -> bool {
        self.lookers.load(Ordering::Relaxed) > 0
    }
}

/// For the run: what pages ask.
impl Board {
    /// The next command.
    pub fn asked(&self) -> Option<Asked> {
        lock(&self.waiting).pop_front()
    }

    /// Answers all commands that nobody has taken with a refusal.
    pub fn refuse(&self, why: &str) {
        for Asked { answer, .. } in lock(&self.waiting).drain(..) {
            // Who asked may have gone.
            let _ = answer.send(Err(why.to_owned()));
        }
    }

    /// Waits for a command, but no longer than this time.
    pub fn wait(&self, time: Duration) {
        let waiting = lock(&self.waiting);
        if waiting.is_empty() {
            let _ = self.arrived.wait_timeout(waiting, time);
        }
    }
}

/// For the server.
impl Board {
    /// Puts a command where the run finds it; `false` if too many are waiting or the run is over.
    pub fn ask(&self, command: Command, answer: Answer) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.len() == MOST_WAITING || lock(&self.told).over {
            return false;
        }
        waiting.push_back(Asked { command, answer });
        self.arrived.notify_all();
        true
    }

    /// Counts one who looks, until what is returned is dropped; `None` if there are `most`.
    pub fn look(self: &Arc<Self>, most: usize) -> Option<Looker> {
        let fits = |lookers: usize| (lookers < most).then_some(lookers + 1);
        self.lookers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Looker { board: self.clone(), news: self.news.subscribe() })
    }

    /// The photograph of the picture with this number.
    pub fn photograph(&self) -> Option<(u64, Arc<Picture>)> {
        let told = lock(&self.told);
        Some((told.start.as_ref()?.number as u64, told.photograph.clone()?))
    }

    /// The newest picture and its version.
    pub fn newest(&self) -> Option<(u64, Arc<Picture>)> {
        let told = lock(&self.told);
        Some((told.version, told.picture.clone()?))
    }

    /// What has been told that a page has not seen, as server-sent events, and whether that is all for good.
    fn news(&self, seen: &mut Seen) -> (String, bool) {
        let told = lock(&self.told);
        let mut text = String::new();
        if let Some(start) = told.start.as_ref().filter(|start| start.number != seen.number) {
            *seen = Seen { number: start.number, rows: 0, version: 0 };
            text += &event("start", start);
        }
        let rows = told.rows.get(seen.rows..).unwrap_or_default();
        if let Some(last) = rows.len().checked_sub(1) {
            let step = rows.len().div_ceil(MOST_ROWS);
            let sent = rows.iter().enumerate().filter(|(i, _)| i.is_multiple_of(step) || *i == last);
            let sent: Vec<Row> = sent.map(|(i, row)| Row(seen.rows + i, row)).collect();
            text += &event("losses", &serde_json::json!({ "rows": sent }));
            seen.rows = told.rows.len();
        }
        if let Some(picture) = told.picture.as_ref().filter(|_| told.version != seen.version) {
            seen.version = told.version;
            let Picture { width, height, .. } = **picture;
            text += &event(
                "picture",
                &serde_json::json!({ "version": seen.version, "width": width, "height": height }),
            );
        }
        let current = told.start.as_ref().map_or(0, |start| start.number.saturating_sub(1));
        let all = All { state: &told.state, queue: &told.queue, current, over: told.over };
        (text + &event("state", &all), told.over)
    }
}

/// Losses with their iteration before them.
struct Row<'a>(usize, &'a [f32]);

impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Losses of a run that fails may be no numbers, for which JSON has `null`.
        let mut row = serializer.serialize_seq(Some(self.1.len() + 1))?;
        row.serialize_element(&self.0)?;
        self.1.iter().try_for_each(|value| row.serialize_element(value))?;
        row.end()
    }
}

/// The state as pages get it.
#[derive(Serialize)]
struct All<'a> {
    #[serde(flatten)]
    state: &'a State,
    queue: &'a [Queued],
    current: usize,
    over: bool,
}

/// A server-sent event. JSON has no line breaks of its own.
fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "null".into());
    format!("event: {name}\ndata: {data}\n\n")
}

/// One who looks.
pub struct Looker {
    board: Arc<Board>,
    news: watch::Receiver<u64>,
}

impl Looker {
    /// What is new, as server-sent events, and whether that is all for good.
    pub fn news(&mut self, seen: &mut Seen) -> (String, bool) {
        self.news.mark_unchanged();
        self.board.news(seen)
    }

    /// Waits until there is something new.
    pub async fn changed(&mut self) {
        let _ = self.news.changed().await;
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.board.lookers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(board: &Board, number: usize) {
        board.start(Start { number, ..Start::default() }, Picture::noise(2, 2, 0), vec![vec![1.5]]);
    }

    #[test]
    fn every_page_gets_what_it_has_not_seen() {
        let board = Arc::new(Board::new());
        board.queue(["a", "b"].map(str::to_owned).into_iter());
        begun(&board, 1);
        board.row(vec![f32::NAN]);
        let (mut one, mut other) = (Seen::default(), Seen::default());
        let (text, over) = board.news(&mut one);
        assert!(
            text.contains("event: start") && text.contains(r#"{"rows":[[0,1.5],[1,null]]}"#) && !over,
            "{text}"
        );
        board.picture(Picture::noise(2, 2, 0));
        board.row(vec![0.5]);
        let (text, _) = board.news(&mut one);
        assert!(!text.contains("event: start") && text.contains(r#"{"rows":[[2,0.5]]}"#), "{text}");
        assert!(text.contains(r#"{"height":2,"version":1,"width":2}"#), "{text}");
        assert!(board.news(&mut other).0.contains(r#"{"rows":[[0,1.5],[1,null],[2,0.5]]}"#));
        // The next picture.
        board.mark(1, "done");
        begun(&board, 2);
        board.over();
        let (text, over) = board.news(&mut other);
        assert!(text.contains("event: start") && text.contains(r#"{"rows":[[0,1.5]]}"#) && over, "{text}");
        assert!(
            text.contains(
                r#""queue":[{"name":"a","state":"done"},{"name":"b","state":"waiting"}],"current":1"#
            ),
            "{text}"
        );
    }

    #[test]
    fn many_rows_are_thinned() {
        let board = Board::new();
        board.start(
            Start { number: 1, ..Start::default() },
            Picture::noise(2, 2, 0),
            vec![vec![1.0]; 3 * MOST_ROWS + 2],
        );
        let (text, _) = board.news(&mut Seen::default());
        let rows = text.matches("1.0]").count();
        assert!((MOST_ROWS / 2..=MOST_ROWS + 1).contains(&rows) && text.contains("[6001,1.0]]"), "{rows}");
    }

    #[test]
    fn lookers_and_commands_are_bounded() {
        let board = Arc::new(Board::new());
        let lookers: Vec<_> = (0..3).map_while(|_| board.look(2)).collect();
        assert!(lookers.len() == 2 && board.looked_at());
        drop(lookers);
        assert!(!board.looked_at());
        let ask = || {
            board.ask(Command::Act(super::super::command::Action::Pause), tokio::sync::oneshot::channel().0)
        };
        assert_eq!((0..2 * MOST_WAITING).filter(|_| ask()).count(), MOST_WAITING);
        assert!(board.asked().is_some() && ask());
        board.over();
        assert!(board.asked().is_none() && !ask());
    }
}
