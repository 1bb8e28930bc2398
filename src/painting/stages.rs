//! The stages of a run: its sizes, coarse to fine, and at the last size the finish.

use crate::engine::tape::Rhythm;
use crate::painting::settings::Settings;
use crate::painting::steering::{Change, End};

/// From a size to the next one, sides grow by this factor.
const GROWTH: f64 = std::f64::consts::SQRT_2;
/// No stage but the last has a shorter side below this.
const SHORTEST: usize = 64;
/// What the content weight is multiplied by from size to size: the first sizes make the composition, later
/// ones the strokes.
const CONTENT_FALL: f64 = 0.71;
/// The content weight never falls below this share of itself.
const CONTENT_FLOOR: f64 = 0.25;

/// The optimal transport of a style term is computed in each of the first iterations at a size, while the
/// picture changes much, and later in every sixth: it changes little then, and costs as much as some layers
/// of the network. `docs/lab/look.md` has what other numbers do to the picture.
const RENEWED_FIRST: usize = 15;
/// The same where a stage goes on at the size of the one before.
const RENEWED_FIRST_AGAIN: usize = 10;
const RENEWED_EVERY: usize = 6;

/// Iterations at one size with the same terms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stage {
    /// Columns of the picture, those of a margin included.
    pub width: usize,
    /// Rows of the picture, those of a margin included.
    pub height: usize,
    /// Pixels of the margin on each side.
    pub margin: usize,
    /// Its sides as a share of the last stage's.
    pub scale: f64,
    /// The first of its iterations, counted over the whole run.
    pub first: usize,
    /// How many iterations it has.
    pub iterations: usize,
    /// Factor on the content weight.
    pub content: f64,
    /// Whether the nearest-neighbour term takes part.
    pub finish: bool,
    /// How many of the iterations at this size came before this stage.
    pub before: usize,
    /// The iteration of this size after which the step falls, and within how many; `None` where it does not.
    pub settle: Option<(f64, f64)>,
}

impl Stage {
    /// Width and height of the picture without its margin.
    pub fn inner(&self) -> (usize, usize) {
        (self.width - 2 * self.margin, self.height - 2 * self.margin)
    }

    /// One past its last iteration.
    pub fn end(&self) -> usize {
        self.first + self.iterations
    }

    /// In which of its iterations the transports are computed anew.
    pub(crate) fn renewal(&self) -> Rhythm {
        let first = if self.before > 0 { RENEWED_FIRST_AGAIN } else { RENEWED_FIRST };
        Rhythm { first, every: RENEWED_EVERY }
    }

    /// Whether another stage has the same size. A run then goes from one to the other without resizing
    /// anything.
    pub fn same_size(&self, other: &Self) -> bool {
        (self.width, self.height) == (other.width, other.height)
    }
}

/// The sizes of a run whose last one is `width x height`, from the smallest: sides are divided by the square
/// root of 2 while the longer one stays at least `first_size` (to one pixel) and the shorter one at least 64.
fn sizes((width, height): (usize, usize), first_size: usize) -> Vec<(usize, usize)> {
    let mut sizes = vec![(width, height)];
    let longest = width.max(height);
    if first_size == 0 {
        return sizes;
    }
    let mut side = longest;
    loop {
        side = (side as f64 / GROWTH).round() as usize;
        let scaled = |n: usize| ((n * side) as f64 / longest as f64).round().max(1.0) as usize;
        let size = (scaled(width), scaled(height));
        if side + 1 < first_size || size.0.min(size.1) < SHORTEST {
            break;
        }
        sizes.push(size);
    }
    sizes.reverse();
    sizes
}

/// The stages of a run whose result is `width x height`.
pub fn stages(settings: &Settings, size: (usize, usize)) -> Vec<Stage> {
    let sizes = sizes(size, settings.first_size);
    let mut stages = Vec::new();
    let margin = settings.margin;
    let mut first = 0;
    for (k, (width, height)) in sizes.iter().copied().enumerate() {
        let all = settings.iterations_at(k);
        let last = k + 1 == sizes.len();
        let share = |share: f64| (share * all as f64).round() as usize;
        let finishing = if last { share(settings.finish) } else { 0 };
        let settling = settings.settle * all as f64;
        let settle = (last && settling > 0.0).then_some((all as f64 - settling, settling));
        let content = CONTENT_FALL.powi(k as i32).max(CONTENT_FLOOR);
        let scale = width.max(height) as f64 / size.0.max(size.1) as f64;
        for (before, iterations, finish) in [(0, all - finishing, false), (all - finishing, finishing, true)]
        {
            if iterations > 0 {
                stages.push(Stage {
                    width: width + 2 * margin,
                    height: height + 2 * margin,
                    margin,
                    scale,
                    first,
                    iterations,
                    content,
                    finish,
                    before,
                    settle,
                });
                first += iterations;
            }
        }
    }
    if stages.is_empty() {
        // A run of no iterations still has a picture.
        let (width, height) = size;
        stages.push(Stage {
            width: width + 2 * margin,
            height: height + 2 * margin,
            margin,
            scale: 1.0,
            first: 0,
            iterations: 0,
            content: 1.0,
            finish: false,
            before: 0,
            settle: None,
        });
    }
    stages
}

/// The stages of a run some of which ended before their time.
pub fn steered(settings: &Settings, size: (usize, usize), changes: &[Change]) -> Vec<Stage> {
    let mut stages = stages(settings, size);
    for (iteration, end) in changes.iter().filter_map(|change| Some((change.iteration, change.end?))) {
        cut(&mut stages, iteration, end);
    }
    stages
}

/// Lets the stage of the iteration before `past` end there. Later stages move up, or are gone if that is
/// the end of the run.
fn cut(stages: &mut Vec<Stage>, past: usize, end: End) {
    let Some(at) = stages.iter().position(|stage| stage.first < past && past <= stage.end()) else {
        return;
    };
    let spared = stages[at].end() - past;
    stages[at].iterations -= spared;
    if end == End::Run {
        stages.truncate(at + 1);
        return;
    }
    let (done, later) = stages.split_at_mut(at + 1);
    later.iter_mut().for_each(|stage| stage.first -= spared);
    // Where the size goes on, it has fewer iterations, in the last of which the step falls as before.
    if let Some(next) = later.first_mut().filter(|next| next.same_size(&done[at])) {
        next.before -= spared;
        let all = (next.before + next.iterations) as f64;
        next.settle = next.settle.map(|(_, over)| (all - over.min(all), over.min(all)));
    }
}

/// The iterations of a run whose result has this size, over all sizes.
pub fn iterations(settings: &Settings, size: (usize, usize)) -> usize {
    stages(settings, size).last().map_or(0, Stage::end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_by_the_square_root_of_two() {
        assert_eq!(sizes((384, 288), 96), [(96, 72), (136, 102), (192, 144), (272, 204), (384, 288)]);
        assert_eq!(sizes((384, 288), 384), [(384, 288)]);
        assert_eq!(sizes((384, 288), 0), [(384, 288)]);
        // The shorter side of a panorama.
        assert_eq!(sizes((400, 100), 50), [(283, 71), (400, 100)]);
        // A picture that is small already.
        assert_eq!(sizes((50, 40), 96), [(50, 40)]);
    }

    #[test]
    fn stages_follow_each_other() {
        let mut settings = Settings::painterly();
        settings.first_iterations = vec![50];
        settings.iterations = 30;
        (settings.finish, settings.settle) = (0.5, 0.4);
        let stages = stages(&settings, (192, 144));
        let told: Vec<_> =
            stages.iter().map(|s| (s.width, s.first, s.iterations, s.finish, s.before)).collect();
        assert_eq!(
            told,
            [
                (96, 0, 50, false, 0),
                (136, 50, 30, false, 0),
                (192, 80, 15, false, 0),
                (192, 95, 15, true, 15)
            ]
        );
        assert_eq!(stages[3].settle, Some((18.0, 12.0)));
        assert!(stages[3].same_size(&stages[2]) && !stages[2].same_size(&stages[1]));
        assert_eq!((stages[0].content, stages[1].content), (1.0, 0.71));
    }

    #[test]
    fn stages_that_end_early_let_the_others_move_up() {
        let mut settings = Settings::painterly();
        settings.first_iterations = vec![50];
        settings.iterations = 30;
        (settings.finish, settings.settle) = (0.5, 0.4);
        let told = |changes: &[Change]| -> Vec<_> {
            let stages = steered(&settings, (192, 144), changes).into_iter();
            stages.map(|s| (s.width, s.first, s.iterations, s.before, s.settle)).collect()
        };
        let whole = told(&[]);
        assert_eq!(whole[3], (192, 95, 15, 15, Some((18.0, 12.0))));
        // The second size, and then the last one before its finish.
        let changes = [Change::ending(60, End::Size), Change::ending(65, End::Size)];
        assert_eq!(
            told(&changes),
            [
                (96, 0, 50, 0, None),
                (136, 50, 10, 0, None),
                (192, 60, 5, 0, Some((18.0, 12.0))),
                (192, 65, 15, 5, Some((8.0, 12.0)))
            ]
        );
        assert_eq!(told(&[Change::ending(60, End::Run)]), [(96, 0, 50, 0, None), (136, 50, 10, 0, None)]);
        // A stage that is done.
        assert_eq!(told(&[Change::ending(50, End::Size)]), whole);
        assert_eq!(told(&[Change::ending(50, End::Run)]), whole[..1]);
        // No iteration of this run.
        for past in [0, 111, usize::MAX] {
            assert_eq!(told(&[Change::ending(past, End::Run)]), whole);
        }
    }

    #[test]
    fn the_book_has_one_stage() {
        let stages = stages(&Settings::book(), (192, 144));
        assert_eq!((stages.len(), stages[0].iterations, stages[0].settle), (1, 500, None));
    }
}
