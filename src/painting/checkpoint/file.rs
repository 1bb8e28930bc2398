//! A checkpoint as a safetensors file.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{Checkpoint, Origin, slots};
use crate::disk::{Store, Words, sha256};
use crate::engine::real::Real;
use crate::painting::optimiser::{Form, Part, steps};
use crate::painting::session::Carried;
use crate::painting::stages::Stage;
use crate::painting::steering;
use crate::{Error, Result};

/// The name of this kind of file in its metadata. Another layout gets another number.
const FORMAT: &str = "impasto checkpoint 3";
/// The version of the program that writes, as the metadata name it.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// More than the header of a checkpoint needs. It limits what a hostile file can make the JSON reader build.
const MAX_HEADER: u64 = 1 << 20;
/// More pixels than any picture that is read.
const MAX_PIXELS: usize = 1 << 28;

/// A tensor of the file, and its words.
type Tensor<'c> = (&'c str, Dtype, Vec<usize>, &'c Words);

impl Checkpoint {
    /// The checkpoint as the bytes of a safetensors file.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it cannot be encoded, which is a mistake of this library.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)
            .map_err(|e| Error::checkpoint(&self.name, format!("it cannot be encoded ({e}); report this")))?;
        Ok(bytes)
    }

    /// Writes the bytes of a safetensors file.
    pub(crate) fn write(&self, to: impl Write) -> io::Result<()> {
        let mut to = BufWriter::new(to);
        let parts = self.origin.parts();
        let mut tensors = self.tensors(&parts);
        // Float64 first, so that every tensor is aligned.
        tensors.sort_by_key(|(_, dtype, _, _)| *dtype != Dtype::F64);
        let mut end = 0;
        let infos = tensors.iter().map(|(name, dtype, shape, words)| {
            let begin = end;
            end += 4 * words.len();
            let (dtype, shape, data_offsets) = (*dtype, shape.clone(), (begin, end));
            ((*name).to_owned(), TensorInfo { dtype, shape, data_offsets })
        });
        let metadata = [
            ("format", FORMAT.to_owned()),
            ("program", PROGRAM.to_owned()),
            ("iteration", self.iteration.to_string()),
            ("finish_weight", format!("{:?}", self.finish_weight)),
            ("run", serde_json::to_string(&self.origin)?),
            ("sha256", self.digest()),
        ];
        let metadata: HashMap<String, String> = metadata.map(|(k, v)| (k.to_owned(), v)).into();
        let header = Metadata::new(Some(metadata), infos.collect()).map_err(io::Error::other)?;
        let mut header = serde_json::to_vec(&header)?;
        header.resize(header.len().next_multiple_of(8), b' ');
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(&header)?;
        for (_, _, _, words) in tensors {
            words.each_part(|words| to.write_all(bytemuck::cast_slice(words)))?;
        }
        to.flush()
    }

    /// All tensors; `parts` are those of the optimiser.
    fn tensors<'c>(&'c self, parts: &'c [Part]) -> Vec<Tensor<'c>> {
        let Stage { width, height, .. } = self.origin.stage(self.iteration);
        let stored = |real: Real| match real {
            Real::F32 => Dtype::F32,
            Real::F64 => Dtype::F64,
        };
        let (real, shape) = (stored(self.origin.real), vec![height, 3, width]);
        let Carried { picture, optimiser, average, transports } = &self.carried;
        let mut tensors = vec![
            ("picture", real, shape.clone(), picture),
            ("losses", Dtype::F32, vec![self.iteration, slots(&self.origin)], &self.losses),
        ];
        tensors.extend(parts.iter().zip(optimiser).map(|(part, words)| match part.form {
            Form::Picture(real) => (part.name.as_str(), stored(real), shape.clone(), words),
            Form::Words(len, _) => (part.name.as_str(), Dtype::U32, vec![len], words),
        }));
        let more = [
            ("average", real, shape, average),
            ("transports", Dtype::F32, vec![transports.len()], transports),
        ];
        tensors.extend(more.into_iter().filter(|(_, _, _, words)| !words.is_empty()));
        tensors
    }

    /// The digest of all values, because a disk may change them unnoticed.
    fn digest(&self) -> String {
        let Carried { picture, optimiser, average, transports } = &self.carried;
        let mut sum = sha256::Sum::default();
        for words in [picture].into_iter().chain(optimiser).chain([average, transports, &self.losses]) {
            let Ok(()) = words.each_part(|words| {
                sum.add(words);
                Ok::<(), Infallible>(())
            });
        }
        sum.text()
    }

    /// Whether all that a run goes on with is made of finite numbers.
    fn is_finite(&self) -> bool {
        let finite = |words: &Words, decode: &dyn Fn(&[f32]) -> Vec<f64>| {
            let all = |words: &[f32]| decode(words).iter().all(|v| v.is_finite()).then_some(()).ok_or(());
            words.each_part(all).is_ok()
        };
        let Carried { picture, optimiser, average, transports } = &self.carried;
        let real = |words: &[f32]| self.origin.real.decode(words);
        let parts = self.origin.parts();
        let parts = parts.iter().zip(optimiser);
        [picture, average].into_iter().all(|words| finite(words, &real))
            && parts.into_iter().all(|(part, words)| finite(words, &|words| part.decode(words)))
            && finite(transports, &|words| Real::F32.decode(words))
    }

    /// Reads the bytes of a checkpoint; `name` is for error texts.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if they were written in another format, contradict themselves, were changed, or
    /// hold values that are not finite.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        read(Cursor::new(bytes), bytes.len() as u64, name, &Store::memory())
    }
}

/// Why a file cannot be read.
pub(in crate::painting) fn unreadable(e: io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "there is no such file; check its path, or start over".to_owned(),
        _ => format!("it cannot be read ({e}); check the disk"),
    }
}

const DAMAGED: &str = "use another checkpoint, or start over";
const TOO_MANY: &str = "it claims too many iterations";

/// Reads and checks a file, whose values go to `store`; the error says why it is refused. The header is checked against
/// the file's length before the rest is read.
pub(in crate::painting) fn read(
    file: impl Read + Seek,
    length: u64,
    name: &str,
    store: &Store,
) -> Result<Checkpoint> {
    let fail = |why: String| Error::checkpoint(name, why);
    let mut file = BufReader::new(file);
    let header = read_header(&mut file, length).map_err(fail)?;
    let metadata = header.metadata().as_ref();
    let (origin, iteration, finish_weight) = read_metadata(metadata).map_err(fail)?;
    let stage = origin.stage(iteration);
    let values = 3 * stage.width * stage.height;
    let (words, parts) = (origin.real.len(values), origin.parts());
    let averaged = if origin.settings.average > 0.0 { words } else { 0 };
    // How many these are is the network's.
    let transports = header.info("transports").map_or(0, |info| info.shape.iter().product());
    let log = iteration.checked_mul(slots(&origin)).ok_or_else(|| fail(TOO_MANY.into()))?;
    let kept: usize = parts.iter().map(|part| part.words(values)).sum();
    let expected = [averaged, kept, log, transports].iter().try_fold(words, |sum, n| sum.checked_add(*n));
    let expected = expected.and_then(|n| n.checked_mul(4)).ok_or_else(|| fail(TOO_MANY.into()))?;
    if header.data_len() != expected {
        return Err(fail(format!("its tensors do not fit the run it describes; {DAMAGED}")));
    }
    let data = length - header.data_len() as u64;
    let mut fill = |tensor: &str, len: usize, store: &Store| -> Result<Words> {
        let info =
            header.info(tensor).ok_or_else(|| fail(format!("it has no tensor `{tensor}`; {DAMAGED}")))?;
        let (begin, end) = info.data_offsets;
        if end - begin != 4 * len {
            return Err(fail(format!("its tensor `{tensor}` has another size than its run; {DAMAGED}")));
        }
        let mut words = store.zeros(len)?;
        file.seek(SeekFrom::Start(data + begin as u64))
            .and_then(|_| words.each_part_mut(|words| file.read_exact(bytemuck::cast_slice_mut(words))))
            .map_err(|e| fail(unreadable(e)))?;
        Ok(words)
    };
    let (memory, none) = (&Store::memory(), || Vec::new().into());
    let carried = Carried {
        picture: fill("picture", words, store)?,
        optimiser: parts
            .iter()
            .map(|part| fill(&part.name, part.words(values), part.store(store)))
            .collect::<Result<_>>()?,
        average: if averaged > 0 { fill("average", words, store)? } else { none() },
        transports: if transports > 0 { fill("transports", transports, memory)? } else { none() },
    };
    let losses = fill("losses", log, memory)?;
    let checkpoint = Checkpoint { name: name.to_owned(), iteration, finish_weight, carried, losses, origin };
    if !checkpoint.is_finite() || steps(&parts, &checkpoint.carried.optimiser) != iteration {
        return Err(fail(format!("it holds values that no run has; {DAMAGED}")));
    }
    if metadata.and_then(|m| m.get("sha256")) != Some(&checkpoint.digest()) {
        return Err(fail(format!("it has changed since it was written; {DAMAGED}")));
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
