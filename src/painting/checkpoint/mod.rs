//! An unfinished run as a file: everything that is needed to continue with the same bits.

use std::collections::HashMap;
use std::io::{Cursor, Read, Seek, SeekFrom};

use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensors};

use crate::disk::sha256;
use crate::engine::real::Real;
use crate::painting::objective::terms;
use crate::painting::optimiser::{Form, Part, parts, steps};
use crate::painting::session::Carried;
use crate::painting::settings::Settings;
use crate::painting::stages::{Stage, stages, steered};
use crate::painting::steering::{self, Change};
use crate::{Error, Result};

/// The name of this kind of file in its metadata. Another layout gets another number.
const FORMAT: &str = "impasto checkpoint 3";
/// The version of the program that writes, as the metadata name it.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// More than the header of a checkpoint needs. It limits what a hostile file can make the JSON reader build.
const MAX_HEADER: u64 = 1 << 20;
/// More pixels than any picture that is read.
const MAX_PIXELS: usize = 1 << 28;

/// Everything that the bits of a run depend on. Pictures and network are identified by their SHA-256.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    pub(crate) settings: Settings,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) content: String,
    pub(crate) start: String,
    /// The digest and the share of each painting.
    pub(crate) styles: Vec<(String, f64)>,
    pub(crate) network: String,
    /// The digest of the regions, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) regions: Option<String>,
    /// The precision of picture, moments and counters.
    #[serde(rename = "precision")]
    pub(crate) real: Real,
    pub(crate) adapter: String,
    /// The digest of the names of all shader variants in their order.
    pub(crate) shaders: String,
    /// What was changed so far, in the order of iterations. The settings are those before any change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
}

impl Origin {
    /// The stages with their ends as they were changed.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        steered(&self.settings, (self.width, self.height), &self.changes)
    }

    /// The stage that is running, or has just ended, after `iterations`.
    fn stage(&self, iterations: usize) -> Stage {
        let stages = self.stages();
        let at = stages.iter().position(|stage| iterations <= stage.end()).unwrap_or(stages.len() - 1);
        stages[at]
    }
}

impl Origin {
    /// What the optimiser keeps.
    fn parts(&self) -> Vec<Part> {
        parts(&self.settings, self.real)
    }
}

/// The number of losses of an iteration.
fn slots(origin: &Origin) -> usize {
    terms(&origin.settings).len()
}

/// A run in the middle: the picture in its exact precision, the optimiser's moments and counters, the losses
/// so far, and the data that decide whether another run can continue from here.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The file it was read from, for error texts.
    pub(crate) name: String,
    pub(crate) origin: Origin,
    pub(crate) iteration: usize,
    /// The factor on the nearest-neighbour term.
    pub(crate) finish_weight: f64,
    /// Picture, moments and average are `height x 3 x width` reals each of the stage's size, as 32-bit words.
    pub(crate) carried: Carried,
    /// `iteration x slots`.
    pub(crate) losses: Vec<f32>,
}

impl Checkpoint {
    /// The number of iterations that are done.
    pub fn iteration(&self) -> usize {
        self.iteration
    }

    /// What was changed of the run so far.
    pub fn changes(&self) -> &[Change] {
        &self.origin.changes
    }

    /// The settings of the run, as they were before any change.
    pub fn settings(&self) -> &Settings {
        &self.origin.settings
    }

    /// The width and height of the picture.
    pub fn size(&self) -> (usize, usize) {
        (self.origin.width, self.origin.height)
    }

    /// The device that computed the run. On another device, a resumed run differs by rounding from an
    /// uninterrupted one.
    pub fn adapter(&self) -> &str {
        &self.origin.adapter
    }

    /// The reason why a run of `origin` cannot continue from here: the first difference, if any. Neither the
    /// number of iterations nor the device counts as a difference.
    pub(crate) fn refusal(&self, origin: &Origin) -> Option<String> {
        let was = &self.origin;
        let size = |o: &Origin| format!("{} x {}", o.width, o.height);
        if size(was) != size(origin) {
            return Some(format!("its picture is {}, and that of this run {}", size(was), size(origin)));
        }
        if was.regions != origin.regions {
            let why = match (&was.regions, &origin.regions) {
                (None, _) => "it was made without regions",
                (_, None) => "it was made with regions, and this run has none",
                _ => "its regions are other pictures",
            };
            return Some(format!("{why}; resume with what it was made with, or start over"));
        }
        if let Some((name, before, now)) = first_difference(&was.settings, &origin.settings) {
            return Some(format!("it was made with {name} {before}, and this run has {now}; use the same"));
        }
        let parts = [
            (was.content == origin.content, "its content is another picture"),
            (was.start == origin.start, "it started from another picture"),
            (was.styles == origin.styles, "its styles are other pictures, or in other sizes or proportions"),
            (was.network == origin.network, "it was made with the weights of another network"),
            (was.real == origin.real, "its device computes in another precision"),
        ];
        if let Some((_, why)) = parts.into_iter().find(|(same, _)| !same) {
            return Some(format!("{why}; resume with what it was made with, or start over"));
        }
        let asked = |o: &Origin| {
            let stages = stages(&o.settings, (o.width, o.height));
            (stages.len(), stages[stages.len() - 1].end())
        };
        let ((_, before), (stages, now)) = (asked(was), asked(origin));
        if (stages > 1 || origin.settings.settle > 0.0) && before != now {
            return Some(format!(
                "it is of a run of {before} iterations, and this run has {now}; ask for the same, since sizes, finish and steps \
                 are planned for that number"
            ));
        }
        (now < self.iteration).then(|| {
            format!(
                "it has {} iterations already, and only {now} are asked for; ask for more",
                self.iteration
            )
        })
    }

    /// Whether a run of `origin` computes with the same shaders on the same device, so that it gives the same
    /// bits.
    pub(crate) fn same_arithmetic(&self, origin: &Origin) -> bool {
        (&self.origin.adapter, &self.origin.shaders) == (&origin.adapter, &origin.shaders)
    }

    /// The checkpoint as the bytes of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it cannot be encoded, which is a mistake of this library.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::checkpoint(&self.name, format!("it cannot be encoded ({e}); report this"))
        };
        let Stage { width, height, .. } = self.origin.stage(self.iteration);
        let stored = |real: Real| match real {
            Real::F32 => Dtype::F32,
            Real::F64 => Dtype::F64,
        };
        let real = stored(self.origin.real);
        let picture = vec![height, 3, width];
        let parts = self.origin.parts();
        let kept = parts.iter().zip(&self.carried.optimiser).map(|(part, values)| match part.form {
            Form::Picture(real) => (part.name.as_str(), stored(real), picture.clone(), values),
            Form::Words(words, _) => (part.name.as_str(), Dtype::U32, vec![words], values),
        });
        let tensors = [
            ("picture", real, picture.clone(), &self.carried.picture),
            ("losses", Dtype::F32, vec![self.iteration, slots(&self.origin)], &self.losses),
        ];
        let transports = vec![self.carried.transports.len()];
        let more = [
            ("average", real, picture.clone(), &self.carried.average),
            ("transports", Dtype::F32, transports, &self.carried.transports),
        ];
        let more = more.into_iter();
        let tensors: Vec<_> = tensors
            .into_iter()
            .chain(kept)
            .chain(more.filter(|(_, _, _, values)| !values.is_empty()))
            .map(|(name, dtype, shape, values)| {
                Ok((name, TensorView::new(dtype, shape, bytemuck::cast_slice(values))?))
            })
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|e| failed(&e))?;
        let run = serde_json::to_string(&self.origin).map_err(|e| failed(&e))?;
        let metadata = [
            ("format", FORMAT.to_owned()),
            ("program", PROGRAM.to_owned()),
            ("iteration", self.iteration.to_string()),
            ("finish_weight", format!("{:?}", self.finish_weight)),
            ("run", run),
            ("sha256", self.digest()),
        ];
        let metadata: HashMap<String, String> = metadata.map(|(k, v)| (k.to_owned(), v)).into();
        safetensors::serialize(tensors, Some(metadata)).map_err(|e| failed(&e))
    }

    /// The digest of all values, because a disk may change them unnoticed.
    fn digest(&self) -> String {
        let Carried { picture, optimiser, average, transports } = &self.carried;
        let all = [picture].into_iter().chain(optimiser).chain([average, transports, &self.losses]);
        sha256::arrays(all.map(Vec::as_slice))
    }

    /// Reads the bytes of a checkpoint; `name` is for error texts.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if they were written in another format, contradict themselves, were changed, or
    /// hold values that are not finite.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        read(Cursor::new(bytes), bytes.len() as u64, name).map_err(|why| Error::checkpoint(name, why))
    }
}

/// The first setting in which two runs differ, except for the iterations: its name and both values.
fn first_difference(a: &Settings, b: &Settings) -> Option<(String, String, String)> {
    let table = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(table)) => table,
        _ => unreachable!("settings are a table of numbers and names"),
    };
    let (a, b) = (table(a), table(b));
    let differs =
        |(name, value): &(&String, &serde_json::Value)| *name != "iterations" && b.get(*name) != Some(value);
    let (name, value) = a.iter().find(differs)?;
    let other = b.get(name).map(ToString::to_string).unwrap_or_default();
    Some((name.replace('_', " "), value.to_string(), other))
}

pub(super) fn unreadable(e: std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; check its path, or start over".to_owned(),
        _ => format!("it cannot be read ({e}); check the disk"),
    }
}

const DAMAGED: &str = "use another checkpoint, or start over";

/// Reads and checks a file; the error says why it is refused. The header is checked against the file's length
/// before the rest is read.
pub(super) fn read(mut file: impl Read + Seek, length: u64, name: &str) -> Result<Checkpoint, String> {
    let header = read_header(&mut file, length)?;
    let metadata = header.metadata().as_ref();
    let (origin, iteration, finish_weight) = read_metadata(metadata)?;
    let stage = origin.stage(iteration);
    let values_of_picture = 3 * stage.width * stage.height;
    let words = origin.real.len(values_of_picture);
    let parts = origin.parts();
    let kept: usize = parts.iter().map(|part| part.words(values_of_picture)).sum();
    let averaged = if origin.settings.average > 0.0 { words } else { 0 };
    let log = iteration.checked_mul(slots(&origin)).ok_or("it claims too many iterations")?;
    // How many these are is the network's.
    let transports = header.info("transports").map_or(0, |info| info.shape.iter().product());
    let expected = (words + averaged + kept).checked_add(log).and_then(|n| n.checked_add(transports));
    let expected = expected.and_then(|n| n.checked_mul(4)).ok_or("it claims too many iterations")?;
    if header.data_len() != expected {
        return Err(format!("its tensors do not fit the run it describes; {DAMAGED}"));
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(length).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| format!("it is damaged ({e}); {DAMAGED}"))?;
    let values = |tensor: &str, len: usize| -> Result<Vec<f32>, String> {
        let view = tensors.tensor(tensor).map_err(|_| format!("it has no tensor `{tensor}`; {DAMAGED}"))?;
        let values: Vec<f32> = match view.data().len() == 4 * len {
            true => bytemuck::pod_collect_to_vec(view.data()),
            false => return Err(format!("its tensor `{tensor}` has another size than its run; {DAMAGED}")),
        };
        Ok(values)
    };
    let checkpoint = Checkpoint {
        name: name.to_owned(),
        iteration,
        finish_weight,
        carried: Carried {
            picture: values("picture", words)?,
            optimiser: parts
                .iter()
                .map(|part| values(&part.name, part.words(values_of_picture)))
                .collect::<Result<_, _>>()?,
            average: if averaged > 0 { values("average", words)? } else { Vec::new() },
            transports: if transports > 0 { values("transports", transports)? } else { Vec::new() },
        },
        losses: values("losses", log)?,
        origin,
    };
    let real = checkpoint.origin.real;
    let finite = |values: &[f32]| real.decode(values).iter().all(|v| v.is_finite());
    let Carried { picture, optimiser, average, transports } = &checkpoint.carried;
    let sane = transports.iter().all(|v| v.is_finite());
    let kept =
        parts.iter().zip(optimiser).all(|(part, words)| part.decode(words).iter().all(|v| v.is_finite()));
    let sound = steps(&parts, optimiser) == iteration && kept;
    if !sound || !sane || ![picture, average].into_iter().all(|values| finite(values)) {
        return Err(format!("it holds values that no run has; {DAMAGED}"));
    }
    if metadata.and_then(|m| m.get("sha256")) != Some(&checkpoint.digest()) {
        return Err(format!("it has changed since it was written; {DAMAGED}"));
    }
    Ok(checkpoint)
}

/// The header of a safetensors file of `length` bytes, checked against that length.
fn read_header(file: &mut impl Read, length: u64) -> Result<Metadata, String> {
    let foreign = || format!("it is not a checkpoint of this program; {DAMAGED}");
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| foreign())?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER || 8 + size > length {
        return Err(foreign());
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(|_| foreign())?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|_| foreign())?;
    if header.data_len() as u64 != length - 8 - size {
        return Err(format!("it is cut short or damaged; {DAMAGED}"));
    }
    Ok(header)
}

/// The description of the run in the metadata, after checking that they are this program's.
fn read_metadata(metadata: Option<&HashMap<String, String>>) -> Result<(Origin, usize, f64), String> {
    let get = |key: &str| metadata.and_then(|m| m.get(key)).map(String::as_str);
    let format = get("format").unwrap_or_default();
    if !format.starts_with("impasto checkpoint") {
        return Err(format!("it is not a checkpoint of this program; {DAMAGED}"));
    }
    let program = get("program").unwrap_or("an unknown version");
    if format != FORMAT {
        return Err(format!(
            "impasto {program} wrote it in another format ({format}; this version has {FORMAT}); resume with that version, \
             or start over"
        ));
    }
    let origin = get("run").and_then(|text| serde_json::from_str::<Origin>(text).ok());
    let iteration = get("iteration").and_then(|text| text.parse::<u32>().ok());
    let finish_weight =
        get("finish_weight").and_then(|text| text.parse::<f64>().ok()).filter(|w| w.is_finite());
    let (Some(origin), Some(iteration), Some(finish_weight)) = (origin, iteration, finish_weight) else {
        return Err(format!("its description of the run is damaged; {DAMAGED}"));
    };
    let pixels = origin.width.checked_mul(origin.height).filter(|n| (1..=MAX_PIXELS).contains(n));
    let iteration = iteration as usize;
    let complete = |pixels| pixels > 0 && origin.stages().last().is_some_and(|last| iteration <= last.end());
    let sound = origin.settings.validate().and_then(|()| steering::check(&origin.settings, &origin.changes));
    // An end that is asked for before the first iteration of a stage comes after it.
    let known = origin.changes.iter().all(|change| change.iteration <= iteration + 1);
    if sound.is_err() || !known || !pixels.is_some_and(complete) {
        return Err(format!("its description of the run makes no sense; {DAMAGED}"));
    }
    Ok((origin, iteration, finish_weight))
}
