//! Building a session: its inputs, and the recording of its iteration.

use std::collections::VecDeque;
use std::rc::Rc;

use super::Session;
use super::work::{Means, Other, Work, at_stage};
use crate::disk::Store;
use crate::engine::gpu::Gpu;
use crate::network::vgg::Vgg;
use crate::painting::capacity;
use crate::painting::checkpoint::{Checkpoint, Origin};
use crate::painting::objective::{Objective, terms};
use crate::painting::ranks::Ranks;
use crate::painting::settings::Settings;
use crate::painting::stages::steered;
use crate::painting::steering::{self, Change};
use crate::painting::style::Style;
use crate::painting::tiling::Tiling;
use crate::picture::{Picture, Regions};
use crate::{Error, Result};

/// The description of a session; see [`Session::builder`].
pub struct Builder<'g, 'a> {
    gpu: &'g Gpu,
    vgg: &'g Vgg,
    content: Option<&'a Picture>,
    styles: Vec<(&'a Picture, f64)>,
    measured: Option<&'a Style>,
    regions: Option<&'a Regions>,
    start: Option<&'a Picture>,
    settings: Settings,
    checkpoint: Option<&'a Checkpoint>,
    tiling: Tiling,
    store: Store,
    others: Vec<(&'g Gpu, &'g Vgg)>,
    ranks: Option<Rc<dyn Ranks>>,
    changes: Vec<Change>,
}

impl<'g, 'a> Builder<'g, 'a> {
    pub(super) fn new(gpu: &'g Gpu, vgg: &'g Vgg) -> Self {
        let (content, styles, measured, regions, start, settings) = Default::default();
        let (checkpoint, tiling, store, others, ranks, changes) = Default::default();
        Self {
            gpu,
            vgg,
            content,
            styles,
            measured,
            regions,
            start,
            settings,
            checkpoint,
            tiling,
            store,
            others,
            ranks,
            changes,
        }
    }

    /// The device that the session will run on.
    pub fn gpu(&self) -> &'g Gpu {
        self.gpu
    }

    /// The photograph. It determines what the result shows, and its size.
    pub fn content(mut self, picture: &'a Picture) -> Self {
        self.content = Some(picture);
        self
    }

    /// The picture to start from, of the content's size. The default is the content itself.
    pub fn start(mut self, picture: &'a Picture) -> Self {
        self.start = Some(picture);
        self
    }

    /// A painting whose style the result should have. If there are several, the weighted mean of their
    /// statistics is used.
    pub fn style(mut self, picture: &'a Picture, weight: f64) -> Self {
        self.styles.push((picture, weight));
        self
    }

    /// A style measured beforehand, instead of paintings. Measure a style once if many pictures should have
    /// it.
    pub fn measured(mut self, style: &'a Style) -> Self {
        self.measured = Some(style);
        self
    }

    /// Regions of the photograph and of the paintings, each of which has a style of its own. A style that was
    /// measured before has its own, see [`Style::measure_regions`].
    pub fn regions(mut self, regions: &'a Regions) -> Self {
        self.regions = Some(regions);
        self
    }

    /// Continues from a checkpoint of a run with the same pictures, network and settings. Only the number of
    /// iterations may be larger, and only of a run of one stage whose steps do not fall towards its end
    /// ([`Settings::settle`]), since all else is planned from that number.
    pub fn resume(mut self, checkpoint: &'a Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Repeats the changes of another run, each before the same iteration; in a resumed run, those still to
    /// come.
    pub fn repeat(mut self, changes: &[Change]) -> Self {
        self.changes = changes.to_vec();
        self
    }

    /// All other settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// When the picture is painted in tiles; never, by default.
    pub fn tiling(mut self, tiling: Tiling) -> Self {
        self.tiling = tiling;
        self
    }

    /// Where a picture that is painted in tiles, its state and its features are kept; in the machine's memory, by
    /// default.
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Another device that shares the tiles of sizes that are painted in tiles, with the same network. The
    /// bits are those of one device if all are of the same kind.
    pub fn share(mut self, gpu: &'g Gpu, vgg: &'g Vgg) -> Self {
        self.others.push((gpu, vgg));
        self
    }

    /// Other processes that share the tiles of sizes that are painted in tiles. Each of them builds the same session
    /// and runs it; see [`Ranks`].
    pub fn ranks(mut self, ranks: Rc<dyn Ranks>) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// Measures the paintings and the photograph on the device, and records the iteration.
    ///
    /// # Errors
    /// [`Error::Setting`] if a picture or a weight is missing or useless, [`Error::TooLarge`] if the device
    /// or the store has no room, [`Error::Write`] if nothing can be written in the store's folder,
    /// [`Error::Checkpoint`] if the run to be resumed was another one, and [`Error::Device`] if
    /// the device fails.
    pub async fn build_async(self) -> Result<Session<'g>> {
        let Self { gpu, vgg, content, styles, measured, regions, start, mut settings, .. } = self;
        let Self { checkpoint, tiling, store, others, ranks, changes: repeated, .. } = self;
        settings.validate()?;
        steering::check(&settings, &repeated)?;
        let content = content.ok_or_else(|| Error::Setting("no content picture".into()))?;
        let start = start.unwrap_or(content);
        let size = (content.width, content.height);
        if (start.width, start.height) != size {
            return Err(Error::Setting("the picture to start from is not as large as the content".into()));
        }
        let laid = regions.or(measured.and_then(Style::regions));
        settings.regions = laid.map_or(0, |regions| regions.colours().len());
        let last_bytes = capacity::checked_memory(gpu, vgg, &settings, size, (tiling, &store))?;
        let style = match measured {
            Some(_) if regions.is_some() => {
                return Err(Error::Setting(
                    "a measured style and regions were both given; measure it by them".into(),
                ));
            }
            Some(style) if styles.is_empty() => style.clone(),
            Some(_) => return Err(Error::Setting("a measured style and paintings were both given".into())),
            None => match regions {
                Some(regions) => Style::measure_regions_async(gpu, vgg, &settings, &styles, regions).await?,
                None => Style::measure_async(gpu, vgg, &settings, &styles, tiling).await?,
            },
        };
        if !style.serves(&settings) || style.network() != vgg.digest() {
            return Err(Error::Setting(
                "the style was measured at other layers or by another network".into(),
            ));
        }
        if others.iter().any(|(_, other)| other.digest() != vgg.digest()) {
            return Err(Error::Setting(
                "the devices of a run have different networks; give them all the same one".into(),
            ));
        }
        let others = others.into_iter().map(|(gpu, vgg)| Other { gpu, vgg, style: style.elsewhere() });
        let means = Means { tiling, store, others: others.collect(), ranks };
        let changes = checkpoint.map_or_else(Vec::new, |checkpoint| checkpoint.origin.changes.clone());
        let stages = steered(&settings, size, &changes);
        let done = checkpoint.map_or(0, |checkpoint| checkpoint.iteration);
        // Between two stages, the earlier one is complete, and its state is carried over as in an
        // uninterrupted run.
        let at = stages.iter().position(|stage| done <= stage.end()).unwrap_or(stages.len() - 1);
        // A stage is recorded with the weights of its beginning, on which the scale of gradients in half
        // precision depends.
        let beginning = steering::settings_at(&settings, &changes, stages[at].first);
        let objective = Objective { gpu, vgg, settings: &beginning };
        let whole = stages[stages.len() - 1].end();
        let running = Work::new(&objective, stages[at], content, &style, &means, whole).await?;
        let origin = Origin {
            width: content.width,
            height: content.height,
            content: content.digest(),
            start: start.digest(),
            styles: style.paintings(),
            network: vgg.digest().to_owned(),
            regions: style.regions().map(Regions::digest),
            real: running.real(),
            adapter: gpu.description(),
            shaders: running.digest(),
            changes: Vec::new(),
            settings,
        };
        let to_come = |change: &Change| change.iteration >= done && !changes.contains(change);
        let mut session = Session {
            gpu,
            vgg,
            content: content.bare(),
            style,
            means,
            at,
            running,
            log: Vec::new(),
            slots: terms(&origin.settings).len(),
            finish_weight: 1.0,
            reported: 0,
            stopped: false,
            same_bits: checkpoint.is_none_or(|checkpoint| checkpoint.same_arithmetic(&origin)),
            last_bytes,
            copies: VecDeque::new(),
            watch: None,
            before: None,
            settings: origin.settings.clone(),
            schedule: repeated.into_iter().filter(to_come).collect(),
            origin,
            stages,
        };
        match checkpoint {
            Some(checkpoint) => session.restore(checkpoint)?,
            None => session.begin(start).await?,
        }
        Ok(session)
    }
}

impl Session<'_> {
    /// Sets the picture that the first stage starts from.
    async fn begin(&mut self, start: &Picture) -> Result<()> {
        let stage = *self.running.stage();
        self.running.place(&at_stage(start, &stage, self.origin.settings.recipe))?;
        if stage.finish {
            let carried = self.running.carried().await?;
            self.begin_finish(&carried, stage.first).await?;
        }
        Ok(())
    }

    /// Restores everything as it was when `checkpoint` was taken.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        if let Some(why) = checkpoint.refusal(&self.origin) {
            return Err(Error::checkpoint(&checkpoint.name, why));
        }
        self.origin.changes.clone_from(&checkpoint.origin.changes);
        self.origin.changes.iter().for_each(|change| change.apply(&mut self.settings));
        self.log = checkpoint.losses.to_vec();
        self.reported = checkpoint.iteration;
        self.finish_weight = checkpoint.finish_weight;
        self.running.set(&checkpoint.carried, checkpoint.iteration)?;
        self.running.turn(&self.settings, self.finish_weight);
        Ok(())
    }
}
