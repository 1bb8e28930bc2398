//! The running stage, as a whole or in tiles.

use std::borrow::Cow;
use std::rc::Rc;

use super::Watch;
use super::carried::Carried;
use super::running::Running;
use super::tiled::Tiled;
use crate::disk::{Store, sha256};
use crate::engine::gpu::Gpu;
use crate::engine::plan::Plan;
use crate::engine::real::Real;
use crate::network::vgg::Vgg;
use crate::painting::choices::Recipe;
use crate::painting::objective::{Objective, Targets};
use crate::painting::ranks::Ranks;
use crate::painting::settings::Settings;
use crate::painting::stages::Stage;
use crate::painting::style::Style;
use crate::painting::tiling::Tiling;
use crate::painting::tiling::layout::Layout;
use crate::picture::{Picture, Size};
use crate::{Error, Result};

/// A further device, which shares the tiles with the first.
pub(super) struct Other<'g> {
    pub(super) gpu: &'g Gpu,
    pub(super) vgg: &'g Vgg,
    /// As it was measured on this device.
    pub(super) style: Style,
}

/// How a session gets by with the memory there is, and who shares its work.
#[derive(Default)]
pub(super) struct Means<'g> {
    pub(super) tiling: Tiling,
    /// Where the state of a stage in tiles is kept.
    pub(super) store: Store,
    /// Further devices of this process, which share the tiles of a stage.
    pub(super) others: Vec<Other<'g>>,
    /// Several processes, of which this is one, which share them.
    pub(super) ranks: Option<Rc<dyn Ranks>>,
}

/// A stage that is being painted.
pub(super) enum Work<'g> {
    Whole(Box<Running<'g>>),
    Tiled(Box<Tiled<'g>>),
}

/// Does the same to either.
macro_rules! either {
    ($self:expr, $work:ident => $what:expr) => {
        match $self {
            Work::Whole($work) => $what,
            Work::Tiled($work) => $what,
        }
    };
}

impl<'g> Work<'g> {
    /// Measures the photograph and the paintings for a stage of a run of `whole` iterations, and lays it out.
    /// Picture and state are to be set.
    pub(super) async fn new(
        objective: &Objective<'g, '_>,
        stage: Stage,
        content: &Picture,
        style: &Style,
        means: &Means<'g>,
        whole: usize,
    ) -> Result<Self> {
        let content = &at_stage(content, &stage, objective.settings.recipe);
        let style = style.at(objective.gpu, objective.vgg, &stage).await?;
        if objective.settings.content_layers.is_empty() && style.layers.iter().all(Option::is_none) {
            let (width, height) = stage.inner();
            return Err(Error::Setting(format!(
                "at {width} x {height} pixels no region is large enough for any style layer, so there is nothing to compare; draw \
                 larger regions, or begin with a larger --first-size"
            )));
        }
        Ok(match objective.layout(&stage, means.tiling)? {
            None => {
                style.bring_masks(objective.gpu)?;
                let targets = Targets { content: objective.features(content).await?, style };
                Self::Whole(Box::new(Running::new(objective, stage, targets, whole)?))
            }
            Some(layout) => {
                let mut shared = Vec::new();
                for Other { gpu, vgg, style } in &means.others {
                    let objective = Objective { gpu, vgg, settings: objective.settings };
                    shared.push((objective, style.at(gpu, vgg, &stage).await?));
                }
                let others: Vec<_> = shared.iter().map(|(objective, style)| (objective, &**style)).collect();
                let tiled = Tiled::new((objective, style), &others, means, stage, layout, content, whole);
                Self::Tiled(Box::new(tiled.await?))
            }
        })
    }
}

impl Work<'_> {
    pub(super) fn stage(&self) -> &Stage {
        either!(self, work => &work.stage)
    }

    pub(super) fn real(&self) -> Real {
        either!(self, work => work.real)
    }

    /// The tiles of the stage, if it has any.
    pub(super) fn layout(&self) -> Option<&Layout> {
        match self {
            Self::Whole(_) => None,
            Self::Tiled(tiled) => Some(&tiled.layout),
        }
    }

    /// See [`super::Session::watch_tiles`].
    pub(super) fn watch(&mut self, watch: Option<Watch>) {
        if let Self::Tiled(tiled) = self {
            tiled.watch = watch;
        }
    }

    /// Whether the watch wanted an end.
    pub(super) fn given_up(&self) -> bool {
        matches!(self, Self::Tiled(tiled) if tiled.given_up)
    }

    /// See [`Running::log`].
    pub(super) fn log(&self) -> &[f32] {
        either!(self, work => &work.log)
    }

    pub(super) fn take_log(&mut self) -> Vec<f32> {
        either!(self, work => std::mem::take(&mut work.log))
    }

    pub(super) fn copy_every(&self) -> Option<usize> {
        either!(self, work => work.copy_every)
    }

    pub(super) fn set_copy_every(&mut self, every: Option<usize>) {
        either!(self, work => work.copy_every = every);
    }

    /// The next picture that was kept, and after how many iterations.
    pub(super) fn take_copy(&mut self) -> Option<(usize, Result<Picture>)> {
        match self {
            Self::Whole(running) => {
                let (iterations, values) = running.copies.pop_front()?;
                Some((iterations, running.show(iterations, &values)))
            }
            Self::Tiled(tiled) => tiled.copies.pop_front(),
        }
    }

    /// See [`Running::place`].
    pub(super) fn place(&mut self, start: &Picture) -> Result<()> {
        match self {
            Self::Whole(running) => running.place(start),
            Self::Tiled(tiled) => tiled.place(start)?,
        }
        Ok(())
    }

    /// See [`Running::set`].
    pub(super) fn set(&mut self, carried: &Carried, iterations: usize) -> Result<()> {
        match self {
            Self::Whole(running) => running.set(carried, iterations),
            Self::Tiled(tiled) => tiled.set(carried, iterations)?,
        }
        Ok(())
    }

    /// See [`Running::turn`].
    pub(super) fn turn(&mut self, settings: &Settings, finish: f64) {
        either!(self, work => work.turn(settings, finish));
    }

    /// See [`Running::weigh`].
    pub(super) fn weigh(&mut self, weight: impl Fn(usize) -> f64) {
        either!(self, work => work.weigh(weight));
    }

    /// See [`Running::advance`].
    pub(super) async fn advance(&mut self) -> Result<bool> {
        either!(self, work => work.advance().await)
    }

    /// See [`Running::stop`].
    pub(super) fn stop(&mut self) {
        either!(self, work => work.stop());
    }

    /// See [`Running::shorten`].
    pub(super) fn shorten(&mut self, stage: &Stage, whole: usize) {
        either!(self, work => work.shorten(stage, whole));
    }

    /// See [`Running::submit_until`]. Of tiles, one iteration is submitted at a time.
    pub(super) fn submit_until(&mut self, iteration: Option<usize>) {
        if let Self::Whole(running) = self {
            running.submit_until(iteration);
        }
    }

    /// See [`Running::allow`].
    pub(super) fn allow(&mut self, n: usize) {
        either!(self, work => work.allow(n));
    }

    /// See [`Running::submitted`].
    pub(super) fn submitted(&self) -> usize {
        either!(self, work => work.submitted())
    }

    /// See [`Running::landed`].
    pub(super) fn landed(&self) -> usize {
        match self {
            Self::Whole(running) => running.landed(),
            Self::Tiled(tiled) => tiled.submitted(),
        }
    }

    /// See [`Running::picture`].
    pub(super) async fn picture(&mut self) -> Result<Picture> {
        either!(self, work => work.picture().await)
    }

    /// See [`Running::variable`].
    pub(super) async fn variable(&mut self) -> Result<Vec<f64>> {
        either!(self, work => work.variable().await)
    }

    /// See [`Running::gradient`].
    pub(super) async fn gradient(&mut self) -> Result<Vec<f32>> {
        either!(self, work => work.gradient().await)
    }

    /// See [`Running::carried`].
    pub(super) async fn carried(&mut self) -> Result<Carried> {
        either!(self, work => work.carried().await)
    }

    /// Refuses a picture that is no longer made of finite numbers.
    pub(super) async fn check_finite(&mut self) -> Result<()> {
        match self {
            Self::Whole(running) => running.picture().await.map(drop),
            Self::Tiled(tiled) => tiled.check_finite(),
        }
    }

    /// See [`Running::gradient_length`].
    pub(super) async fn gradient_length(&mut self) -> Result<f64> {
        either!(self, work => work.gradient_length().await)
    }

    /// See [`Running::release`].
    pub(super) fn release(&mut self) {
        either!(self, work => work.release());
    }

    /// See [`Running::bytes`].
    pub(super) fn bytes(&self) -> u64 {
        either!(self, work => work.bytes())
    }

    /// See [`Running::readback_bytes`].
    pub(super) fn readback_bytes(&self) -> u64 {
        either!(self, work => work.readback_bytes())
    }

    /// The plan of an iteration, or of a tile.
    pub(super) fn plan(&self) -> &Plan {
        match self {
            Self::Whole(running) => &running.plan,
            Self::Tiled(tiled) => tiled.plan(),
        }
    }

    /// The digest of all that decides the order in which an iteration adds up.
    pub(super) fn digest(&self) -> String {
        let tiles = self.layout().map_or(String::new(), |layout| format!("{layout:?}\n"));
        sha256::words(&(tiles + &self.plan().describe_steps()))
    }

    /// Submissions of one iteration of the whole picture.
    pub(super) fn pieces(&self) -> usize {
        match self {
            Self::Whole(running) => running.pieces(),
            Self::Tiled(_) => 1,
        }
    }

    /// See [`Running::most_in_flight`].
    #[cfg(test)]
    pub(super) fn most_in_flight(&self) -> usize {
        match self {
            Self::Whole(running) => running.most_in_flight(),
            Self::Tiled(_) => 1,
        }
    }
}

/// A picture in the size of a stage, with its margin.
pub(super) fn at_stage<'p>(picture: &'p Picture, stage: &Stage, recipe: Recipe) -> Cow<'p, Picture> {
    let (width, height) = stage.inner();
    let resized = match (width, height) == (picture.width, picture.height) {
        true => Cow::Borrowed(picture),
        false => Cow::Owned(picture.resampled(Size::Exact { width, height }, true, recipe.filter())),
    };
    if stage.margin == 0 { resized } else { Cow::Owned(resized.with_margin(stage.margin)) }
}
