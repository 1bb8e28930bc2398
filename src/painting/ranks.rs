//! Several processes that paint one picture together, perhaps on several machines.
//!
//! All of them run the same session on a picture of the same kind. They share the tiles of the stages that are painted
//! in tiles, and each keeps all of the picture, its moments and its average. What a tile gives goes to all ranks, which
//! add it up in the order of the tiles and move the picture alike. So the bits do not depend on how many ranks there
//! are, if their devices are of one kind. A stage without tiles is painted by each of them.

use crate::{Error, Result};

/// The processes, as one of them sees them. All of them must call [`Self::gather`] and [`Self::share`] equally often
/// and in the same order.
pub trait Ranks {
    /// The number of this process, counted from 0. The first one reads, writes and talks.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Gives `own` to all ranks. Returns what each of them gave, in the order of the ranks.
    ///
    /// # Errors
    /// [`Error::Device`] if a rank cannot be reached.
    fn gather(&self, own: &[f32]) -> Result<Vec<Vec<f32>>>;

    /// Replaces the words of all ranks with those of the first. All have equally many.
    ///
    /// # Errors
    /// [`Error::Device`] if a rank cannot be reached.
    fn share(&self, words: &mut [f32]) -> Result<()>;
}

/// What a rank says of its part of a pass, in one word before what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It goes on.
    Done,
    /// It was asked to stop.
    Stop,
    /// Something failed there, which it says itself.
    Failed,
}

impl Word {
    fn encode(self) -> f32 {
        match self {
            Self::Done => 0.0,
            Self::Stop => 1.0,
            Self::Failed => 2.0,
        }
    }

    fn decode(word: f32) -> Self {
        if word == 0.0 {
            Self::Done
        } else if word == 1.0 {
            Self::Stop
        } else {
            Self::Failed
        }
    }
}

/// Tells all ranks how this one fares and what it gives. Returns what each of them gives, or nothing if one of them
/// wants an end.
///
/// # Errors
/// [`Error::Device`] if a rank failed or cannot be reached.
pub(crate) fn exchange(ranks: &dyn Ranks, word: Word, own: &[f32]) -> Result<Option<Vec<Vec<f32>>>> {
    let said = ranks.gather(&[&[word.encode()], own].concat())?;
    let mut given = Vec::new();
    let mut stop = false;
    for (rank, mut words) in said.into_iter().enumerate() {
        match words.first().map(|word| Word::decode(*word)) {
            Some(Word::Done) => {}
            Some(Word::Stop) => stop = true,
            Some(Word::Failed) | None => {
                return Err(Error::Device(format!(
                    "rank {rank} of {} failed, so this run ends here; see what it says, and go on from the last --checkpoint",
                    ranks.count()
                )));
            }
        }
        words.drain(..1);
        given.push(words);
    }
    Ok((!stop).then_some(given))
}
