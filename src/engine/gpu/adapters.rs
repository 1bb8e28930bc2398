//! The adapters of this machine: listing them, choosing one, opening it.

use super::Gpu;
use super::ahead::Ahead;
use crate::{Error, Result};

/// What `impasto devices` prints about one adapter.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Adapter {
    /// The number that `--adapter` takes: 1 is the default adapter.
    pub number: usize,
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

/// The largest side of square matrices that the adapter multiplies in float16 and adds up in float32, of 8
/// and 16, for which WGSL has types.
fn matrix_tile(adapter: &wgpu::Adapter) -> Option<usize> {
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP;
    let info = adapter.get_info();
    // With subgroups of another size, lavapipe says that it has the feature and does not open, or crashes.
    let odd = info.device_type == wgpu::DeviceType::Cpu
        && (info.subgroup_min_size, info.subgroup_max_size) != (8, 8);
    if odd || !adapter.features().contains(needed) {
        return None;
    }
    let listed = adapter.cooperative_matrix_properties().into_iter().filter(|matrix| {
        matrix.ab_type == wgpu::CooperativeScalarType::F16
            && matrix.cr_type == wgpu::CooperativeScalarType::F32
            && (matrix.m_size, matrix.n_size) == (matrix.k_size, matrix.k_size)
    });
    listed.map(|matrix| matrix.k_size as usize).filter(|side| [8, 16].contains(side)).max()
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
    /// Opens the default adapter, or the one that `choice` means: its number among [`Gpu::adapters`], or a part of its name,
    /// in upper or lower case, that no other adapter has. The backend may follow the name, as in `geforce vulkan`.
    ///
    /// # Errors
    /// [`Error::Adapter`] if there is none or more than one, or if the driver refuses to open it.
    pub fn new(choice: Option<&str>) -> Result<Self> {
        let mut adapters = enumerate();
        if adapters.is_empty() {
            return Err(Error::no_adapter());
        }
        let names: Vec<_> = adapters
            .iter()
            .map(|adapter| adapter.get_info())
            .map(|info| (info.name, info.backend.to_string()))
            .collect();
        let chosen = choice.map_or(Ok(0), |choice| choose(&names, choice))?;
        let adapter = adapters.swap_remove(chosen);
        let optional = wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F64
            | wgpu::Features::SHADER_F16
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::PIPELINE_CACHE;
        let matrix_tile = matrix_tile(&adapter);
        let matrices = match matrix_tile {
            Some(_) => wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX,
            None => wgpu::Features::empty(),
        };
        let request = wgpu::DeviceDescriptor {
            label: Some("impasto"),
            required_features: adapter.features() & (optional | matrices),
            required_limits: adapter.limits(),
            experimental_features: match matrix_tile {
                // SAFETY: what an experimental feature may do is done by shaders that use it. These are this
                // crate's own. They keep matrices inside their buffers, which their cases prove with guards,
                // and at offsets that Vulkan allows.
                Some(_) => unsafe { wgpu::ExperimentalFeatures::enabled() },
                None => wgpu::ExperimentalFeatures::disabled(),
            },
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
        let mut gpu = Self { matrix_tile, ..Self::from_device(device, queue) };
        gpu.host.ahead = if gpu.quirks().compiles_late { Ahead::new(adapter, request) } else { None };
        Ok(gpu)
    }

    /// Every adapter of this machine, the default one first.
    pub fn adapters() -> Vec<Adapter> {
        let describe = |(index, adapter): (usize, wgpu::Adapter)| {
            let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
            Adapter {
                number: index + 1,
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

/// The index of the adapter that `choice` means, among these names and backends.
fn choose(adapters: &[(String, String)], choice: &str) -> Result<usize> {
    let list = |chosen: &mut dyn Iterator<Item = usize>| {
        let line = |i: usize| format!("{}: {} through {}", i + 1, adapters[i].0, adapters[i].1);
        chosen.map(line).collect::<Vec<_>>().join(", ")
    };
    if let Ok(number) = choice.trim().parse::<usize>() {
        return match number {
            1.. if number <= adapters.len() => Ok(number - 1),
            _ => Err(Error::Adapter(format!(
                "there is no adapter {number}; there is {}",
                list(&mut (0..adapters.len()))
            ))),
        };
    }
    let wanted = choice.to_lowercase();
    let full = |(name, backend): &(String, String)| format!("{name} {backend}").to_lowercase();
    let exact = |i: &usize| adapters[*i].0.to_lowercase() == wanted;
    let part = |i: &usize| {
        let full = full(&adapters[*i]);
        full.contains(&wanted) || wanted.split_whitespace().all(|word| full.contains(word))
    };
    let all = || 0..adapters.len();
    let mut found: Vec<usize> = all().filter(exact).collect();
    if found.is_empty() {
        found = all().filter(part).collect();
    }
    match found[..] {
        [only] => Ok(only),
        [] => Err(Error::Adapter(format!("no adapter is called {choice:?}; there is {}", list(&mut all())))),
        _ => Err(Error::Adapter(format!(
            "{choice:?} may be one of {}; choose it by its number",
            list(&mut found.iter().copied())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_chosen_by_number_or_by_a_name_that_is_its_own() {
        let adapters = [
            ("GeForce RTX 4090", "vulkan"),
            ("GeForce RTX 4090", "dx12"),
            ("GeForce RTX 4090 Ti", "vulkan"),
            ("llvmpipe (LLVM 15.0.6, 128 bits)", "vulkan"),
        ]
        .map(|(name, backend)| (name.to_owned(), backend.to_owned()));
        for (choice, index) in
            [("1", 0), ("2", 1), ("4", 3), ("LLVM", 3), ("llvm 15", 3), ("ti", 2), ("dx12", 1)]
        {
            assert_eq!(choose(&adapters, choice).unwrap(), index, "{choice}");
        }
        // Numbers in names are ignored, and adapters with equal names are distinguished.
        for (choice, why) in [
            ("15", "there is no adapter 15; there is 1: GeForce RTX 4090 through vulkan, 2: "),
            ("0", "there is no adapter 0; "),
            ("voodoo", "no adapter is called \"voodoo\"; there is 1: "),
            (
                "geforce rtx 4090",
                "may be one of 1: GeForce RTX 4090 through vulkan, 2: GeForce RTX 4090 through dx12; choose it by its number",
            ),
            ("geforce", "3: GeForce RTX 4090 Ti through vulkan; choose it by its number"),
        ] {
            let text = choose(&adapters, choice).unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
        }
        assert_eq!(choose(&adapters[..1], "4090 vulkan").unwrap(), 0);
    }
}
