//! The open connections, of which there may be only so many. Who has shown the token keeps a place; among
//! strangers, the newest ones do, so that no number of idle connections keeps the page from loading.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// The most connections that have not shown the token yet.
const STRANGERS: usize = 32;
/// The most of those that have. A browser opens six for a page.
const KNOWN: usize = 96;

/// Connections by their number, the oldest first.
#[derive(Default)]
struct Lists {
    next: u64,
    strangers: VecDeque<(u64, AbortHandle)>,
    known: VecDeque<(u64, AbortHandle)>,
}

/// All connections.
#[derive(Clone, Default)]
pub struct Guests(Arc<Mutex<Lists>>);

/// A connection among them. When this is dropped, it has ended.
pub struct Guest {
    guests: Guests,
    number: u64,
}

impl Guests {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection. It is to be given its task by [`Self::seat`].
    pub fn enter(&self) -> Guest {
        let mut lists = self.lists();
        lists.next += 1;
        Guest { guests: self.clone(), number: lists.next }
    }

    /// Notes the task of a connection, by its number; the oldest stranger may have to go.
    pub fn seat(&self, number: u64, task: AbortHandle) {
        let mut lists = self.lists();
        lists.strangers.push_back((number, task));
        make_room(&mut lists.strangers, STRANGERS);
    }
}

fn make_room(list: &mut VecDeque<(u64, AbortHandle)>, most: usize) {
    while list.len() > most {
        list.pop_front().into_iter().for_each(|(_, task)| task.abort());
    }
}

impl Guest {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// It has shown the token.
    pub fn is_known(&self) {
        let mut lists = self.guests.lists();
        if let Some(at) = lists.strangers.iter().position(|(number, _)| *number == self.number) {
            let known = lists.strangers.remove(at);
            lists.known.extend(known);
            make_room(&mut lists.known, KNOWN);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut lists = self.guests.lists();
        let Lists { strangers, known, .. } = &mut *lists;
        [strangers, known].into_iter().for_each(|list| list.retain(|(number, _)| *number != self.number));
    }
}
