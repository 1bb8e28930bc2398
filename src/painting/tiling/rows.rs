//! A picture's values on the processor, row by row, in the precision in which a run keeps them.

use crate::engine::real::Real;

/// Reals in rows, as the words that checkpoints have.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    real: Real,
    /// Values of a row.
    len: usize,
    words: Vec<f32>,
}

impl Rows {
    /// Rows of `len` values each, from their words.
    pub(crate) fn new(real: Real, len: usize, words: Vec<f32>) -> Self {
        Self { real, len, words }
    }

    /// Words of a row.
    pub(crate) fn row_words(&self) -> usize {
        self.real.len(self.len)
    }

    pub(crate) fn words(&self) -> &[f32] {
        &self.words
    }

    pub(crate) fn words_mut(&mut self) -> &mut [f32] {
        &mut self.words
    }

    pub(crate) fn row(&self, y: usize) -> Vec<f64> {
        self.real.decode(&self.words[y * self.row_words()..][..self.row_words()])
    }
}

/// How many threads share the rows of a picture. A browser has one.
pub(crate) fn threads() -> usize {
    if cfg!(target_arch = "wasm32") { 1 } else { std::thread::available_parallelism().map_or(1, |n| n.get()) }
}

/// Calls `work` with each row of `values` and its number, on all processors. What it returns comes in the
/// order of the rows, so that sums do not depend on how many processors there are.
pub(crate) fn in_bands<T: Send>(
    values: &mut [f32],
    row: usize,
    work: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let rows = values.len() / row;
    let band = rows.div_ceil(threads()).max(1);
    if band >= rows {
        return values.chunks_exact_mut(row).enumerate().map(|(y, values)| work(y, values)).collect();
    }
    std::thread::scope(|scope| {
        let bands = values.chunks_mut(band * row).enumerate();
        let workers: Vec<_> = bands
            .map(|(index, values)| {
                let work = &work;
                scope.spawn(move || -> Vec<T> {
                    let rows = values.chunks_exact_mut(row).enumerate();
                    rows.map(|(y, values)| work(index * band + y, values)).collect()
                })
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<T>>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}
