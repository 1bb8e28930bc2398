//! Network weights: convolutions read from a safetensors file, plain or palettised, and checked before use.

mod built_in;

use std::fs::File;
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use self::built_in::BuiltIn;
use crate::architecture::LayerSpec;
use crate::disk::sha256;
use crate::error::{Error, Result};

/// What torchvision's networks expect, and so the default of a file that does not say.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Entries of a palette: one for every value of a byte, so that no index can be out of range.
const PALETTE: usize = 256;

/// More than any network's header needs. It bounds what a hostile file can make the JSON reader build.
const MAX_HEADER: u64 = 16 << 20;

/// The convolutions of a network, and what its input must look like: `(rgb - input_mean) / input_std`
/// with `rgb` in 0..1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Weights {
    /// One entry per requested [`LayerSpec`], in the same order.
    pub layers: Vec<ConvWeights>,
    /// Subtracted from red, green and blue.
    pub input_mean: [f32; 3],
    /// Divides red, green and blue; positive.
    pub input_std: [f32; 3],
}

/// One 3x3 convolution. All values are finite.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConvWeights {
    /// Name of the [`LayerSpec`] it was read for.
    pub name: String,
    /// Output channels.
    pub c_out: usize,
    /// Input channels.
    pub c_in: usize,
    /// `c_out x c_in x 3 x 3`, the last index fastest.
    pub weight: Vec<f32>,
    /// `c_out`.
    pub bias: Vec<f32>,
}

impl ConvWeights {
    /// The convolution `spec` with these values, laid out as the fields say.
    ///
    /// # Errors
    /// [`Error::Weights`] if there are not as many values as that, or if one is not finite.
    pub fn new(spec: LayerSpec, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self> {
        let LayerSpec { name, c_in, c_out } = spec;
        if (weight.len(), bias.len()) != (9 * c_in * c_out, c_out) {
            let why = format!(
                "{} weights and {} biases were given, and it takes {} and {c_out}; reshape them",
                weight.len(),
                bias.len(),
                9 * c_in * c_out
            );
            return Err(Error::weights(name, why));
        }
        if weight.iter().chain(&bias).any(|v| !v.is_finite()) {
            return Err(Error::weights(name, "not all of its values are finite; use others"));
        }
        Ok(Self { name, c_out, c_in, weight, bias })
    }
}

impl Weights {
    /// SHA-256 of all weights and of what the input must look like, in hexadecimal digits.
    pub(crate) fn digest(&self) -> String {
        let layers = self.layers.iter().flat_map(|layer| [layer.weight.as_slice(), &layer.bias]);
        sha256::arrays([self.input_mean.as_slice(), &self.input_std].into_iter().chain(layers))
    }

    /// Convolutions from elsewhere than a file, in the order of a network, for input of this mean and
    /// standard deviation.
    ///
    /// # Errors
    /// [`Error::Weights`] if a deviation is not above 0, or if a number is not finite.
    pub fn new(layers: Vec<ConvWeights>, input_mean: [f32; 3], input_std: [f32; 3]) -> Result<Self> {
        let usable =
            input_mean.iter().all(|v| v.is_finite()) && input_std.iter().all(|v| v.is_finite() && *v > 0.0);
        if !usable {
            return Err(Error::weights(
                "from the caller",
                "their input's mean and deviation are not usable; correct them",
            ));
        }
        Ok(Self { layers, input_mean, input_std })
    }

    /// The convolutions `specs` of the built-in network.
    ///
    /// # Errors
    /// [`Error::Setting`] if a spec asks for a layer that the built-in network does not have.
    pub fn embedded(specs: &[LayerSpec]) -> Result<Self> {
        let file = TensorFile::open("built-in", BuiltIn::default())?;
        if specs.iter().any(|spec| file.header.info(&format!("{}.bias", spec.name)).is_none()) {
            let why = "the built-in network ends at conv5_1, and a later layer was named; name others, or the weights \
                       of a whole network with --weights";
            return Err(Error::Setting(why.into()));
        }
        read(file, specs)
    }

    /// The convolutions `specs` of a safetensors file. Only its header and the tensors asked for are read.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be read, is cut short or contradicts itself, or if a tensor is
    /// missing, of another shape or type, or holds values that are not finite.
    pub fn from_file(path: &Path, specs: &[LayerSpec]) -> Result<Self> {
        let name = path.display().to_string();
        // On some systems a folder can be opened, and reading it fails with an obscure message.
        if path.is_dir() {
            return Err(Error::weights(name, "it is a folder; name a .safetensors file inside it"));
        }
        let file = File::open(path).map_err(|e| unreadable(&name, &e))?;
        load(&name, file, specs)
    }

    /// As [`Weights::from_file`], from the bytes of such a file; `name` is for error texts.
    ///
    /// # Errors
    /// As [`Weights::from_file`].
    pub fn from_bytes(name: &str, bytes: &[u8], specs: &[LayerSpec]) -> Result<Self> {
        load(name, Cursor::new(bytes), specs)
    }
}

fn load(name: &str, input: impl Read + Seek, specs: &[LayerSpec]) -> Result<Weights> {
    read(TensorFile::open(name, input)?, specs)
}

fn read(mut file: TensorFile<impl Read + Seek>, specs: &[LayerSpec]) -> Result<Weights> {
    let input_mean = file.triple("input_mean")?.unwrap_or(IMAGENET_MEAN);
    let input_std = file.triple("input_std")?.unwrap_or(IMAGENET_STD);
    if input_std.iter().any(|&s| s <= 0.0) {
        return Err(file.error("its metadata `input_std` is not positive; correct it or use another file"));
    }
    let layers = specs.iter().map(|spec| file.convolution(spec, specs)).collect::<Result<_>>()?;
    Ok(Weights { layers, input_mean, input_std })
}

/// A safetensors file whose header has been read and agrees with the file's length.
struct TensorFile<'a, R> {
    name: &'a str,
    input: R,
    header: Metadata,
    /// Where the offsets given in the header count from.
    data_start: u64,
}

impl<'a, R: Read + Seek> TensorFile<'a, R> {
    fn open(name: &'a str, mut input: R) -> Result<Self> {
        let fail = |why: String| Err(Error::weights(name, why));
        let io = |e| unreadable(name, &e);
        let length = input.seek(SeekFrom::End(0)).map_err(io)?;
        if length == 0 {
            return fail("the file is empty; download or copy it again".into());
        }
        // Eight bytes of header length, then the header, whose JSON begins with a brace.
        let mut start = Vec::with_capacity(9);
        input.rewind().map_err(io)?;
        input.by_ref().take(9).read_to_end(&mut start).map_err(io)?;
        let Some((size, b"{")) = start.split_first_chunk::<8>() else {
            let remedy = if start.starts_with(b"PK") {
                "it looks like a PyTorch .pth file; save its state_dict with safetensors.torch.save_file"
            } else {
                "download it again or convert the network to safetensors"
            };
            return fail(format!("it is not a safetensors file; {remedy}"));
        };
        let size = u64::from_le_bytes(*size);
        if size > MAX_HEADER {
            return fail(format!(
                "its header claims {size} bytes, which no network needs; download it again"
            ));
        }
        let data_start = 8 + size;
        if data_start > length {
            return fail(format!(
                "it ends inside its header, after {length} bytes; download or copy it again"
            ));
        }
        // No more than the file's own length, checked just above.
        let mut header = vec![0; size as usize];
        input.seek(SeekFrom::Start(8)).map_err(io)?;
        input.read_exact(&mut header).map_err(io)?;
        // This also makes sure that the tensors follow each other without gaps and that each one's bytes are
        // those of its shape and type.
        let header: Metadata = match serde_json::from_slice(&header) {
            Ok(header) => header,
            Err(e) => return fail(format!("its header makes no sense ({e}); download or convert it again")),
        };
        let (promised, present) = (header.data_len() as u64, length - data_start);
        if promised != present {
            let what = if promised > present { "cut short" } else { "damaged" };
            return fail(format!(
                "it is {what}: the header describes {promised} bytes of tensors and {present} are there; \
                 download or copy it again"
            ));
        }
        Ok(Self { name, input, header, data_start })
    }

    fn error(&self, why: impl Into<String>) -> Error {
        Error::weights(self.name, why)
    }

    /// Three finite numbers from the metadata, `None` where `key` is absent.
    fn triple(&self, key: &str) -> Result<Option<[f32; 3]>> {
        let Some(text) = self.header.metadata().as_ref().and_then(|m| m.get(key)) else { return Ok(None) };
        match serde_json::from_str::<[f32; 3]>(text) {
            Ok(values) if values.iter().all(|v| v.is_finite()) => Ok(Some(values)),
            _ => Err(self.error(format!(
                "its metadata `{key}` is not a list of three finite numbers; correct it or use another file"
            ))),
        }
    }

    /// Reads one layer, whichever of the two forms the file has it in. `specs` tells what else was wanted.
    fn convolution(&mut self, spec: &LayerSpec, specs: &[LayerSpec]) -> Result<ConvWeights> {
        let LayerSpec { name, c_in, c_out } = spec;
        let shape = [*c_out, *c_in, 3, 3];
        let plain = format!("{name}.weight");
        let index = format!("{name}.weight.index");
        let weight = if self.header.info(&plain).is_none() && self.header.info(&index).is_some() {
            let palette = self.floats(&format!("{name}.weight.palette"), &[PALETTE], specs)?;
            let index = self.bytes(&index, &[Dtype::U8], &shape, specs)?.1;
            index.iter().map(|&i| palette[usize::from(i)]).collect()
        } else {
            self.floats(&plain, &shape, specs)?
        };
        let bias = self.floats(&format!("{name}.bias"), &[*c_out], specs)?;
        Ok(ConvWeights { name: name.clone(), c_out: *c_out, c_in: *c_in, weight, bias })
    }

    /// The finite values of a tensor of any of the three float types.
    fn floats(&mut self, tensor: &str, shape: &[usize], specs: &[LayerSpec]) -> Result<Vec<f32>> {
        let (dtype, bytes) = self.bytes(tensor, &[Dtype::F32, Dtype::F16, Dtype::BF16], shape, specs)?;
        let values: Vec<f32> = match dtype {
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
            _ => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        };
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(values),
            Some(at) => Err(self.error(format!(
                "tensor `{tensor}` holds {} at position {at}; download or export the file again",
                values[at]
            ))),
        }
    }

    /// Type and bytes of a tensor that has one of the types `dtypes` and exactly the given shape.
    fn bytes(
        &mut self,
        tensor: &str,
        dtypes: &[Dtype],
        shape: &[usize],
        specs: &[LayerSpec],
    ) -> Result<(Dtype, Vec<u8>)> {
        let Some(info) = self.header.info(tensor) else {
            let layers: Vec<_> = specs.iter().map(|s| s.name.as_str()).collect();
            return Err(self.error(format!(
                "tensor `{tensor}` is missing; use a network with torchvision's names, which has `.weight` (or \
                 `.weight.index` and `.weight.palette`) and `.bias` for each of {}, or name the network of the file with \
                 --network",
                layers.join(", ")
            )));
        };
        if info.shape != shape {
            return Err(self.error(format!(
                "tensor `{tensor}` has shape {:?} where {shape:?} is expected; use the weights of the same network",
                info.shape
            )));
        }
        if !dtypes.contains(&info.dtype) {
            let known: Vec<_> = dtypes.iter().map(Dtype::to_string).collect();
            return Err(self.error(format!(
                "tensor `{tensor}` has type {} where {} is expected; convert the file",
                info.dtype,
                known.join(" or ")
            )));
        }
        // `open` has seen that these offsets lie inside the file and fit shape and type.
        let (dtype, (begin, end)) = (info.dtype, info.data_offsets);
        let mut bytes = vec![0; end - begin];
        self.input
            .seek(SeekFrom::Start(self.data_start + begin as u64))
            .and_then(|_| self.input.read_exact(&mut bytes))
            .map_err(|e| unreadable(self.name, &e))?;
        Ok((dtype, bytes))
    }
}

fn unreadable(name: &str, e: &std::io::Error) -> Error {
    Error::weights(
        name,
        match e.kind() {
            ErrorKind::NotFound => "there is no such file; check its path".to_owned(),
            ErrorKind::PermissionDenied => "reading it is not permitted; change its permissions".to_owned(),
            ErrorKind::UnexpectedEof => "it became shorter while it was read; try again".to_owned(),
            _ => format!("it cannot be read ({e}); check the disk or copy the file elsewhere"),
        },
    )
}

#[cfg(test)]
mod tests;
