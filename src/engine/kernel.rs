//! A kernel: WGSL text, the constants replaced in it, its declaration as naga reads it, its pipeline.
//!
//! The WGSL file is the only declaration. Bindings, uniform members and the workgroup size are looked up here by
//! name. (What Rust knows of them besides is how many outputs a workgroup has.)
//!
//! What several files need stands once, as a snippet in `shaders/snippets/`. The line `// include: NAME` of a file puts
//! `shaders/snippets/NAME.wgsl` behind the end of its text. WGSL lets a declaration stand behind its use, so that the lines of
//! the file keep their numbers in what a compiler says. A snippet may use what the file declares, say in a constant that is
//! replaced, but includes no other snippet.

use std::sync::Arc;

use include_dir::{Dir, include_dir};
use naga::{AddressSpace, Scalar, ScalarKind, StorageAccess, TypeInner};

use crate::engine::precision::Precision;
use crate::{Error, Result};

/// All WGSL files.
pub(crate) static SHADERS: Dir = include_dir!("$CARGO_MANIFEST_DIR/shaders");

/// How a line begins that names a snippet.
const INCLUDE: &str = "// include: ";

/// One entry point of one WGSL file, with the constants that differ from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// File name without its extension.
    pub file: &'static str,
    /// The whole WGSL text.
    pub text: &'static str,
    /// Function to run.
    pub entry: &'static str,
    /// Lines `const NAME: T = value;` and `alias NAME = type;` whose value is replaced.
    pub constants: Vec<(&'static str, String)>,
}

/// Without the text, which belongs to the file: kernels are looked up for every dispatch.
impl std::hash::Hash for Source {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.file, self.entry, &self.constants).hash(state);
    }
}

/// The entry point `$entry` of `shaders/$file.wgsl`.
macro_rules! kernel {
    ($file:literal, $entry:literal) => {
        $crate::engine::kernel::Source {
            file: $file,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl")),
            entry: $entry,
            constants: Vec::new(),
        }
    };
}
pub(crate) use kernel;

impl Source {
    /// Replaces the value of the line `const NAME: T = value;` or `alias NAME = type;`.
    pub fn constant(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.constants.push((name, value.to_string()));
        self
    }

    /// Declares how the variable behind `alias name` is stored: `f16` where `var` is in half precision. `HALF` becomes
    /// true then.
    pub fn storing(self, name: &'static str, var: crate::engine::tape::Var) -> Self {
        match var.precision {
            Precision::Single => self,
            Precision::Half if self.constants.iter().any(|(name, _)| *name == "HALF") => {
                self.constant(name, "f16")
            }
            Precision::Half => self.constant("HALF", true).constant(name, "f16"),
        }
    }

    /// Declares how the texels behind `alias name` are stored.
    pub(crate) fn texels(self, name: &'static str, precision: Precision) -> Self {
        match precision {
            Precision::Single => self,
            Precision::Half => self.constant(name, "texture_storage_2d<rgba16float, read>"),
        }
    }

    /// Whether it needs a device with half precision.
    fn is_half(&self) -> bool {
        self.constants.iter().any(|(_, value)| value.contains("f16"))
    }

    /// `file/entry`, with the constants that were replaced.
    pub fn label(&self) -> String {
        let constants: String =
            self.constants.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{}/{}{constants}", self.file, self.entry)
    }

    /// The text with its constants replaced, and behind it the snippets that it includes.
    ///
    /// # Errors
    /// [`Error::Shader`] if the text does not declare a constant that is to be replaced, or there is no such snippet.
    pub fn wgsl(&self) -> Result<String> {
        let mut text = self.text.to_owned();
        for (name, value) in &self.constants {
            let line = [format!("const {name}:"), format!("alias {name} ")].iter().find_map(|l| text.find(l));
            let declared = line.and_then(|start| {
                let equals = start + text[start..].find('=')?;
                Some((equals + 1, equals + text[equals..].find(';')?))
            });
            let (from, to) =
                declared.ok_or_else(|| Error::shader(self.file, format!("no line declares {name}")))?;
            text.replace_range(from..to, &format!(" {value}"));
        }
        for name in self.text.lines().filter_map(|line| line.strip_prefix(INCLUDE)) {
            let path = format!("snippets/{name}.wgsl");
            let snippet = SHADERS.get_file(&path).and_then(|file| file.contents_utf8());
            let snippet =
                snippet.ok_or_else(|| Error::shader(self.file, format!("there is no shaders/{path}")))?;
            text.push_str(&format!("\n// From shaders/{path}:\n{snippet}"));
        }
        // On the first line, so that all others keep their numbers.
        Ok(if self.is_half() { format!("enable f16; {text}") } else { text })
    }
}

/// The precision of the type `texture_storage_2d<rgba32float, read>`, or of the same with `rgba16float`.
fn texels(inner: &TypeInner) -> Option<Precision> {
    let texels = |format| TypeInner::Image {
        dim: naga::ImageDimension::D2,
        arrayed: false,
        class: naga::ImageClass::Storage { format, access: StorageAccess::LOAD },
    };
    match inner {
        inner if *inner == texels(naga::StorageFormat::Rgba32Float) => Some(Precision::Single),
        inner if *inner == texels(naga::StorageFormat::Rgba16Float) => Some(Precision::Half),
        _ => None,
    }
}

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The uniform block of parameters.
    Uniform,
    /// An array in a uniform block: few values, which all invocations read alike.
    Constants,
    /// Storage that is only read.
    Read,
    /// Storage that is written, and perhaps read.
    Write,
    /// A texture that serves as read-only linear memory, 256 texels to a row.
    Texels(Precision),
}

/// One `@group(0) @binding(slot) var` that the entry point uses.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// Its number.
    pub slot: u32,
    /// How it is used.
    pub access: Access,
}

/// A member of the uniform block.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    offset: usize,
    kind: ScalarKind,
    /// Bytes: 4, or 8 for an `f64`.
    width: usize,
}

/// A kernel's declaration, read from its text.
#[derive(Debug)]
pub struct Layout {
    file: &'static str,
    module: naga::Module,
    /// What the entry point binds.
    pub bindings: Vec<Binding>,
    members: Vec<Member>,
    /// Size of the uniform block in bytes; 0 if there is none.
    pub uniform_bytes: usize,
    /// Invocations of a workgroup.
    pub workgroup: [u32; 3],
}

/// The value of a uniform member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A `u32` member.
    U32(u32),
    /// An `f32` or `f64` member.
    Float(f64),
    /// The same, which follows a [`Knob`]: the knob's value times the first factor, divided by the second.
    Follows(Knob, f64, f64),
}

/// A number that may be changed while a plan exists, between its runs: a loss weight, a learning rate. It is made by
/// [`Tape::knob`](crate::engine::tape::Tape::knob) and turned by [`Plan::turn`](crate::engine::plan::Plan::turn). No shader is
/// compiled for it: the parameters that follow it are rewritten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knob {
    pub(crate) index: usize,
    /// The value that it begins with.
    pub(crate) value: f64,
}

impl Knob {
    /// The value of a parameter: this knob's times `times`, divided by `over`.
    pub fn scaled(self, times: f64, over: f64) -> Value {
        Value::Follows(self, times, over)
    }
}

impl From<Knob> for Value {
    fn from(knob: Knob) -> Self {
        knob.scaled(1.0, 1.0)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        // Nothing so large gets past the device's limits, which are checked when a plan is finished.
        Self::U32(value.try_into().unwrap_or(u32::MAX))
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Float(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl Layout {
    /// Parses and validates `text`, which is that of `source`.
    pub fn read(source: &Source, text: &str) -> Result<Self> {
        let wrong = |why: String| Error::shader(source.file, why);
        let path = format!("shaders/{}.wgsl", source.file);
        let module =
            naga::front::wgsl::parse_str(text).map_err(|e| wrong(e.emit_to_string_with_path(text, &path)))?;
        let capabilities = naga::valid::Capabilities::SUBGROUP
            | naga::valid::Capabilities::FLOAT64
            | naga::valid::Capabilities::SHADER_FLOAT16;
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .map_err(|e| wrong(e.emit_to_string_with_path(text, &path)))?;
        let index = module
            .entry_points
            .iter()
            .position(|e| e.name == source.entry)
            .ok_or_else(|| wrong(format!("no entry point `{}`", source.entry)))?;
        let mut layout = Self {
            file: source.file,
            bindings: Vec::new(),
            members: Vec::new(),
            uniform_bytes: 0,
            workgroup: module.entry_points[index].workgroup_size,
            module: naga::Module::default(),
        };
        for (handle, global) in module.global_variables.iter() {
            let (Some(binding), Some(name)) = (&global.binding, &global.name) else { continue };
            if info.get_entry_point(index)[handle].is_empty() {
                continue;
            }
            let access = match global.space {
                AddressSpace::Uniform => match module.types[global.ty].inner {
                    TypeInner::Array { .. } => Access::Constants,
                    _ => Access::Uniform,
                },
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::Write,
                AddressSpace::Storage { .. } => Access::Read,
                _ => match texels(&module.types[global.ty].inner) {
                    Some(precision) => Access::Texels(precision),
                    None => return Err(wrong(format!("`{name}` is neither uniform nor storage nor texels"))),
                },
            };
            if access == Access::Uniform {
                let TypeInner::Struct { members, span } = &module.types[global.ty].inner else {
                    return Err(wrong(format!("uniform `{name}` is not a struct")));
                };
                layout.uniform_bytes = *span as usize;
                for member in members {
                    let (kind, width) = match module.types[member.ty].inner {
                        TypeInner::Scalar(Scalar { kind, width: 4 }) => (kind, 4),
                        TypeInner::Scalar(Scalar { kind: ScalarKind::Float, width: 8 }) => {
                            (ScalarKind::Float, 8)
                        }
                        _ => {
                            let name = &member.name;
                            return Err(wrong(format!("uniform member {name:?} is no u32, f32 or f64")));
                        }
                    };
                    let (name, offset) = (member.name.clone().unwrap_or_default(), member.offset as usize);
                    layout.members.push(Member { name, offset, kind, width });
                }
            }
            layout.bindings.push(Binding { name: name.clone(), slot: binding.binding, access });
        }
        layout.module = module;
        Ok(layout)
    }

    /// The bytes of the uniform block; every member must be given, and nothing else.
    pub fn uniform(&self, params: &[(&str, Value)]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.uniform_bytes];
        for member in &self.members {
            let given = params.iter().find(|(name, _)| *name == member.name);
            let (_, value) = given
                .ok_or_else(|| Error::shader(self.file, format!("parameter `{}` is not set", member.name)))?;
            member.write(&mut bytes, *value).map_err(|why| Error::shader(self.file, why))?;
        }
        match params.iter().find(|(name, _)| self.members.iter().all(|m| m.name != *name)) {
            Some((name, _)) => Err(Error::shader(self.file, format!("there is no parameter `{name}`"))),
            None => Ok(bytes),
        }
    }

    /// The parameters that follow a knob, in a uniform block that begins at byte `start`.
    pub(crate) fn followers(&self, params: &[(&str, Value)], start: usize) -> Vec<Follower> {
        let follower = |member: &Member| {
            let (_, value) = params.iter().find(|(name, _)| *name == member.name)?;
            let Value::Follows(knob, times, over) = *value else { return None };
            let offset = start + member.offset;
            Some(Follower { knob: knob.index, offset, width: member.width, times, over })
        };
        self.members.iter().filter_map(follower).collect()
    }
}

impl Member {
    /// Puts `value` into the uniform block, or says why it does not fit.
    fn write(&self, block: &mut [u8], value: Value) -> Result<(), String> {
        let place = &mut block[self.offset..self.offset + self.width];
        match (self.kind, value) {
            (ScalarKind::Uint, Value::U32(v)) => place.copy_from_slice(&v.to_ne_bytes()),
            (ScalarKind::Float, Value::Float(v)) => place.copy_from_slice(&float_bytes(v, self.width)),
            (ScalarKind::Float, Value::Follows(knob, times, over)) => {
                place.copy_from_slice(&float_bytes(knob.value * times / over, self.width));
            }
            (kind, v) => {
                return Err(format!("parameter `{}` is declared {kind:?} and set to {v:?}", self.name));
            }
        }
        Ok(())
    }
}

/// A parameter that follows a knob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Follower {
    /// The number of the knob.
    pub(crate) knob: usize,
    /// Where the parameter stands, in bytes.
    pub(crate) offset: usize,
    width: usize,
    times: f64,
    over: f64,
}

impl Follower {
    /// What stands there when the knob has `value`.
    pub(crate) fn bytes(&self, value: f64) -> Vec<u8> {
        float_bytes(value * self.times / self.over, self.width)
    }
}

/// A number as a float of 4 or 8 bytes.
fn float_bytes(value: f64, width: usize) -> Vec<u8> {
    if width == 8 { value.to_ne_bytes().to_vec() } else { (value as f32).to_ne_bytes().to_vec() }
}

/// A compiled kernel.
pub struct Kernel {
    pub(crate) layout: Arc<Layout>,
    pub(crate) group_layout: wgpu::BindGroupLayout,
    pub(crate) pipeline: wgpu::ComputePipeline,
}

impl Kernel {
    /// Errors surface through the device's error callback, see [`crate::engine::gpu::Gpu`].
    pub(crate) fn compile(
        device: &wgpu::Device,
        source: &Source,
        layout: Arc<Layout>,
        cache: Option<&wgpu::PipelineCache>,
    ) -> Self {
        let label = source.label();
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let entries: Vec<_> = layout
            .bindings
            .iter()
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding.slot,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: match binding.access {
                    Access::Texels(precision) => wgpu::BindingType::StorageTexture {
                        access: wgpu::StorageTextureAccess::ReadOnly,
                        format: crate::engine::memory::Texels::format(precision),
                        view_dimension: wgpu::TextureViewDimension::D2,
                    },
                    Access::Uniform | Access::Constants => buffer(wgpu::BufferBindingType::Uniform),
                    access => buffer(wgpu::BufferBindingType::Storage { read_only: access == Access::Read }),
                },
                count: None,
            })
            .collect();
        let group_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&group_layout)],
            immediate_size: 0,
        });
        let description = wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(layout.module.clone())),
        };
        // SAFETY: the shaders are this crate's own, and all loops are bounded by constants and parameters. An index is compared
        // with the sizes that the parameters tell, or need not be, because they are multiples of a workgroup's, which the
        // variant's `supports` demands. Parameters, grid and ranges of the buffers come from the same shapes, in `ops`. The
        // case tables run every form at sizes around its tiles, with guards behind the buffers it writes.
        let module = unsafe {
            device.create_shader_module_trusted(description, wgpu::ShaderRuntimeChecks::unchecked())
        };
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(source.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache,
        });
        Self { layout, group_layout, pipeline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel of a file that is only here.
    fn source(text: &'static str) -> Source {
        Source { file: "test", text, entry: "run", constants: Vec::new() }
    }

    /// Errors name the file and the line in which its author finds what is wrong, whatever is put before and behind it.
    #[test]
    fn lines_keep_their_numbers() {
        let text = "// A shader.\nalias X = f32;\nconst HALF: bool = false;\n// include: finite\n\
                    @group(0) @binding(0) var<storage, read_write> x: array<X>;\n\
                    @compute @workgroup_size(1) fn run() { x[0] = X(finite(1.0)); }\n";
        let half = |source: Source| source.constant("X", "f16").constant("HALF", true);
        let whole = half(source(text)).wgsl().unwrap();
        assert!(Layout::read(&source(text), &whole).is_ok(), "{whole}");
        let error = Layout::read(&source(text), &whole.replace("finite(1.0)", "finite(1.0, y)")).unwrap_err();
        assert!(error.to_string().contains("shaders/test.wgsl:6:"), "{error}");
    }

    #[test]
    fn a_snippet_that_is_not_there_is_an_error() {
        let error = source("// include: missing\n").wgsl().unwrap_err();
        assert!(error.to_string().contains("there is no shaders/snippets/missing.wgsl"), "{error}");
    }

    /// One that nobody includes would be translated by no test.
    #[test]
    fn every_snippet_is_included() {
        let texts: Vec<&str> = SHADERS.files().map(|file| file.contents_utf8().unwrap()).collect();
        let snippets = SHADERS.get_dir("snippets").unwrap().files();
        for name in snippets.map(|file| file.path().file_stem().unwrap().to_str().unwrap()) {
            let line = format!("{INCLUDE}{name}");
            let users = texts.iter().filter(|text| text.lines().any(|other| other == line)).count();
            assert!(
                users > 1,
                "{name} is included by {users} files, and what one file needs stands in that file"
            );
        }
    }
}
