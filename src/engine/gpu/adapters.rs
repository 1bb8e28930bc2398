//! The adapters of this machine: listing them, choosing one, opening it.

use super::Gpu;
use crate::{Error, Result};

/// What `impasto devices` prints about one adapter.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Adapter {
    /// The name that the driver gives.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub kind: &'static str,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Largest part of a buffer that one shader binding may see, in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// The number of invocations that run in lockstep, smallest and largest; `None` without subgroup
    /// operations.
    pub subgroup: Option<(u32, u32)>,
    /// Half-precision arithmetic in shaders.
    pub shader_f16: bool,
    /// Whether shaders can be timed.
    pub timestamps: bool,
    /// Whether a run without `--adapter` uses this adapter.
    pub default: bool,
}

/// Smaller is better: the kind that is usually the fastest comes first.
fn rank(kind: wgpu::DeviceType) -> usize {
    use wgpu::DeviceType::*;
    [DiscreteGpu, IntegratedGpu, VirtualGpu, Cpu, Other].iter().position(|k| *k == kind).unwrap_or(usize::MAX)
}

/// All adapters, the default one first. Searches Vulkan, Metal and DX12.
fn enumerate() -> Vec<wgpu::Adapter> {
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = wgpu::Backends::PRIMARY;
    description.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(description);
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|a| rank(a.get_info().device_type));
    adapters
}

impl Gpu {
    /// Opens the default adapter, or the first whose name contains `name` (in any case).
    ///
    /// # Errors
    /// [`Error::Adapter`] if there is none, or if the driver refuses to open it.
    pub fn new(name: Option<&str>) -> Result<Self> {
        let adapters = enumerate();
        if adapters.is_empty() {
            return Err(Error::no_adapter());
        }
        let wanted = name.unwrap_or("").to_lowercase();
        let Some(adapter) = adapters.iter().find(|a| a.get_info().name.to_lowercase().contains(&wanted))
        else {
            let names: Vec<_> = adapters.iter().map(|a| a.get_info().name).collect();
            return Err(Error::Adapter(format!(
                "no adapter is called {:?}; there is {}",
                name.unwrap_or(""),
                names.join(" and ")
            )));
        };
        let optional = wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F64
            | wgpu::Features::SHADER_F16
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::PIPELINE_CACHE;
        let request = wgpu::DeviceDescriptor {
            label: Some("impasto"),
            required_features: adapter.features() & optional,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&request)).map_err(|e| {
            Error::Adapter(format!(
                "cannot open adapter {}: {}; close other programs that use it, update its driver, or choose another \
                 with --adapter",
                adapter.get_info().name,
                e.to_string().trim_end_matches('.')
            ))
        })?;
        Ok(Self::from_device(device, queue))
    }

    /// Every adapter of this machine, the default one first.
    pub fn adapters() -> Vec<Adapter> {
        let describe = |(index, adapter): (usize, wgpu::Adapter)| {
            let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
            Adapter {
                kind: match info.device_type {
                    wgpu::DeviceType::DiscreteGpu => "discrete",
                    wgpu::DeviceType::IntegratedGpu => "integrated",
                    wgpu::DeviceType::VirtualGpu => "virtual",
                    wgpu::DeviceType::Cpu => "cpu",
                    wgpu::DeviceType::Other => "other",
                },
                backend: info.backend.to_string(),
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                max_binding_bytes: limits.max_storage_buffer_binding_size,
                max_buffer_bytes: limits.max_buffer_size,
                subgroup: features
                    .contains(wgpu::Features::SUBGROUP)
                    .then_some((info.subgroup_min_size, info.subgroup_max_size)),
                shader_f16: features.contains(wgpu::Features::SHADER_F16),
                timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
                default: index == 0,
                name: info.name,
            }
        };
        enumerate().into_iter().enumerate().map(describe).collect()
    }
}
