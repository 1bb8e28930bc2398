//! A kernel: its WGSL text, the constants replaced in it, its declaration as naga reads it, and its pipeline.
//!
//! The WGSL file is the only declaration. Bindings, uniform members and the workgroup size are looked up here
//! by name. (The only other thing that Rust knows is the number of outputs of a workgroup.)

use std::sync::Arc;

use naga::{AddressSpace, Scalar, ScalarKind, StorageAccess, TypeInner};

use crate::precision::Precision;
use crate::{Error, Result};

/// One entry point of one WGSL file, with the constants that replace those in the text.
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

/// The hash leaves out the text, which the file determines, because kernels are looked up for every dispatch.
impl std::hash::Hash for Source {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.file, self.entry, &self.constants).hash(state);
    }
}

/// The entry point `$entry` of `shaders/$file.wgsl`.
#[macro_export]
macro_rules! kernel {
    ($file:literal, $entry:literal) => {
        $crate::kernel::Source {
            file: $file,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl")),
            entry: $entry,
            constants: Vec::new(),
        }
    };
}

impl Source {
    /// Replaces the value of the line `const NAME: T = value;` or `alias NAME = type;`.
    pub fn constant(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.constants.push((name, value.to_string()));
        self
    }

    /// Declares how the variable behind `alias name` is stored: as `f16` if `var` is in half precision.
    /// `HALF` is set to true then.
    pub fn storing(self, name: &'static str, var: crate::tape::Var) -> Self {
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

    /// Whether the kernel needs a device with half precision.
    fn is_half(&self) -> bool {
        self.constants.iter().any(|(_, value)| value.contains("f16"))
    }

    /// `file/entry`, with the constants that were replaced.
    pub fn label(&self) -> String {
        let constants: String =
            self.constants.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{}/{}{constants}", self.file, self.entry)
    }

    /// The text with its constants replaced.
    ///
    /// # Errors
    /// [`Error::Shader`] if the text does not declare a constant that is to be replaced.
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
        Ok(if self.is_half() { format!("enable f16;\n{text}") } else { text })
    }
}

/// The precision of the type `texture_storage_2d<rgba32float, read>`, or of that with `rgba16float`.
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
    /// An array in a uniform block: few values, of which all invocations read the same.
    Constants,
    /// Storage that is only read.
    Read,
    /// Storage that is written, and may be read.
    Write,
    /// A texture used as read-only linear memory, with 256 texels in a row.
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
}

/// A kernel's declaration, read from its text.
#[derive(Debug)]
pub struct Layout {
    file: &'static str,
    module: naga::Module,
    /// The bindings of the entry point.
    pub bindings: Vec<Binding>,
    members: Vec<Member>,
    /// The size of the uniform block in bytes; 0 if there is none.
    pub uniform_bytes: usize,
    /// The invocations of a workgroup.
    pub workgroup: [u32; 3],
}

/// The value of a uniform member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A `u32` member.
    U32(u32),
    /// An `f32` member.
    F32(f32),
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        // So large a value exceeds the device's limits, which are checked when a plan is finished.
        Self::U32(value.try_into().unwrap_or(u32::MAX))
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::F32(value as f32)
    }
}

impl Layout {
    /// Parses and validates `text`, the text of `source`.
    pub fn read(source: &Source, text: &str) -> Result<Self> {
        let wrong = |why: String| Error::shader(source.file, why);
        let module = naga::front::wgsl::parse_str(text).map_err(|e| wrong(e.emit_to_string(text)))?;
        let capabilities = naga::valid::Capabilities::SUBGROUP
            | naga::valid::Capabilities::FLOAT64
            | naga::valid::Capabilities::SHADER_FLOAT16;
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .map_err(|e| wrong(e.emit_to_string(text)))?;
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
                    let TypeInner::Scalar(Scalar { kind, width: 4 }) = module.types[member.ty].inner else {
                        return Err(wrong(format!(
                            "uniform member {:?} is not a 32-bit scalar",
                            member.name
                        )));
                    };
                    let (name, offset) = (member.name.clone().unwrap_or_default(), member.offset as usize);
                    layout.members.push(Member { name, offset, kind });
                }
            }
            layout.bindings.push(Binding { name: name.clone(), slot: binding.binding, access });
        }
        layout.module = module;
        Ok(layout)
    }

    /// The bytes of the uniform block. Exactly its members must be given.
    pub fn uniform(&self, params: &[(&str, Value)]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.uniform_bytes];
        for member in &self.members {
            let given = params.iter().find(|(name, _)| *name == member.name);
            let word = match (member.kind, given.map(|(_, value)| *value)) {
                (ScalarKind::Uint, Some(Value::U32(v))) => v.to_ne_bytes(),
                (ScalarKind::Float, Some(Value::F32(v))) => v.to_ne_bytes(),
                (_, None) => {
                    return Err(Error::shader(self.file, format!("parameter `{}` is not set", member.name)));
                }
                (kind, Some(v)) => {
                    let why = format!("parameter `{}` is declared {kind:?} and set to {v:?}", member.name);
                    return Err(Error::shader(self.file, why));
                }
            };
            bytes[member.offset..member.offset + 4].copy_from_slice(&word);
        }
        match params.iter().find(|(name, _)| self.members.iter().all(|m| m.name != *name)) {
            Some((name, _)) => Err(Error::shader(self.file, format!("there is no parameter `{name}`"))),
            None => Ok(bytes),
        }
    }
}

/// A compiled kernel.
pub struct Kernel {
    pub(crate) layout: Arc<Layout>,
    pub(crate) group_layout: wgpu::BindGroupLayout,
    pub(crate) pipeline: wgpu::ComputePipeline,
}

impl Kernel {
    /// Errors are reported through the device's error callback, see [`crate::gpu::Gpu`].
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
                        format: crate::memory::Texels::format(precision),
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
        // SAFETY: the shaders are this crate's own, and all loops are bounded by constants and parameters. An
        // index is either compared with the sizes in the parameters, or the sizes are multiples of the
        // workgroup's, as the variant's `supports` demands. Parameters, grid and ranges of the buffers come
        // from the same shapes, in `ops`. The case tables run every form at sizes around its tiles, with
        // guards behind the buffers it writes.
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
