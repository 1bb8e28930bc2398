//! The declaration of a kernel, which naga reads from its WGSL text.

use naga::{AddressSpace, Scalar, ScalarKind, StorageAccess, TypeInner};

use super::Kernel;
use super::params::{Follower, Value, float_bytes};
use super::private;
use crate::engine::gpu::Source;
use crate::engine::precision::Precision;
use crate::{Error, Result};

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
pub struct Interface {
    file: &'static str,
    /// The text that is compiled.
    pub(super) source: Source,
    /// What the entry point binds.
    pub bindings: Vec<Binding>,
    members: Vec<Member>,
    /// Size of the uniform block in bytes; 0 if there is none.
    pub uniform_bytes: usize,
    /// Invocations of a workgroup.
    pub workgroup: [u32; 3],
    /// Bytes of workgroup memory that the entry point uses.
    pub workgroup_bytes: u32,
    /// Bytes of an invocation's own variables, sums above all, which want registers.
    pub private_bytes: u32,
}

impl Interface {
    /// Parses and validates `text`, the text of `kernel`.
    pub fn read(kernel: &Kernel, text: &str) -> Result<Self> {
        let wrong = |why: String| Error::shader(kernel.file, why);
        let path = format!("shaders/{}.wgsl", kernel.file);
        let module =
            naga::front::wgsl::parse_str(text).map_err(|e| wrong(e.emit_to_string_with_path(text, &path)))?;
        let capabilities = naga::valid::Capabilities::SUBGROUP
            | naga::valid::Capabilities::FLOAT64
            | naga::valid::Capabilities::SHADER_FLOAT16
            | naga::valid::Capabilities::COOPERATIVE_MATRIX;
        let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .map_err(|e| wrong(e.emit_to_string_with_path(text, &path)))?;
        let index = module
            .entry_points
            .iter()
            .position(|e| e.name == kernel.entry)
            .ok_or_else(|| wrong(format!("no entry point `{}`", kernel.entry)))?;
        let mut interface = Self {
            file: kernel.file,
            bindings: Vec::new(),
            members: Vec::new(),
            uniform_bytes: 0,
            workgroup: module.entry_points[index].workgroup_size,
            workgroup_bytes: 0,
            private_bytes: private::bytes(&module, &module.entry_points[index].function),
            source: Source::default(),
        };
        for (handle, global) in module.global_variables.iter() {
            if global.space == AddressSpace::WorkGroup && !info.get_entry_point(index)[handle].is_empty() {
                interface.workgroup_bytes += module.types[global.ty].inner.size(module.to_ctx());
            }
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
                interface.uniform_bytes = *span as usize;
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
                    interface.members.push(Member { name, offset, kind, width });
                }
            }
            interface.bindings.push(Binding { name: name.clone(), slot: binding.binding, access });
        }
        interface.source = Source::new(module, text);
        Ok(interface)
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
