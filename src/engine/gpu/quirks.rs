//! Facts about drivers that no limit and no feature tells. Nothing else asks for a driver's name.

use super::Gpu;

/// How a driver differs from what its features promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quirks {
    /// Each workgroup costs an allocation: few workgroups that do much are faster than many.
    pub(crate) dear_workgroups: bool,
    /// No watchdog ends work that takes long, so that a submission may take any time.
    pub(crate) patient: bool,
    /// A kernel of some thousand instructions, or with dozens of loads between two barriers, takes minutes to compile.
    pub(crate) slow_compiler: bool,
    /// Shaders are compiled when they first run, one after the other, and the driver keeps the machine code in files.
    pub(crate) compiles_late: bool,
}

/// A GPU's driver.
const GPU: Quirks =
    Quirks { dear_workgroups: false, patient: false, slow_compiler: false, compiles_late: false };
/// A driver that computes on the processor, such as lavapipe.
const SOFTWARE: Quirks =
    Quirks { dear_workgroups: true, patient: true, slow_compiler: false, compiles_late: false };

/// Drivers that differ from others of their kind, by the name that they report.
const DRIVERS: &[(&str, Quirks)] = &[
    ("SwiftShader driver", Quirks { slow_compiler: true, ..SOFTWARE }),
    ("llvmpipe", Quirks { compiles_late: true, ..SOFTWARE }),
];

impl Gpu {
    /// The quirks of this device's driver.
    pub(crate) fn quirks(&self) -> Quirks {
        let kind = if self.is_software() { SOFTWARE } else { GPU };
        let known = DRIVERS.iter().find(|(name, _)| *name == self.info.driver);
        // A browser names no driver. What it has for the processor is SwiftShader.
        let in_browser = self.info.backend == wgpu::Backend::BrowserWebGpu;
        let unnamed = in_browser && self.info.device_type == wgpu::DeviceType::Cpu;
        // Software that poses as a GPU is given what a GPU gets, but its compiler stays what it is.
        let slow_compiler = unnamed || known.is_some_and(|(_, known)| known.slow_compiler);
        let compiles_late = known.is_some_and(|(_, known)| known.compiles_late);
        Quirks { slow_compiler, compiles_late, ..kind }
    }
}
