//! `impasto devices`: the adapters that this program could run on.

use impasto::Error;
use impasto::engine::gpu::{Adapter, Gpu};

use super::console;

/// List the graphics adapters of this machine with their numbers, the default one first
#[derive(clap::Args)]
pub struct Options {
    /// Print a JSON array instead
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<u8> {
    let adapters = Gpu::adapters();
    if options.json {
        console::data_line(&serde_json::to_string_pretty(&adapters)?)?;
    }
    if adapters.is_empty() {
        return Err(Error::no_adapter().into());
    }
    if !options.json {
        for adapter in &adapters {
            console::data_line(&describe(adapter))?;
        }
    }
    Ok(0)
}

fn describe(adapter: &Adapter) -> String {
    let kind = if adapter.kind == "cpu" { "software, on the processor" } else { adapter.kind };
    let yes = |b: bool| if b { "yes" } else { "no" };
    let subgroup = match adapter.subgroup {
        None => "none".to_owned(),
        Some((least, most)) if least == most => least.to_string(),
        Some((least, most)) => format!("{least} to {most}"),
    };
    format!(
        "{}: {}{}\n  {} through {}, driver {}\n  largest buffer {} MiB, largest binding {} MiB, subgroups {subgroup}, half \
         precision {}, timestamps {}",
        adapter.number,
        adapter.name,
        if adapter.default { "  (default)" } else { "" },
        kind,
        adapter.backend,
        adapter.driver,
        adapter.max_buffer_bytes >> 20,
        adapter.max_binding_bytes >> 20,
        yes(adapter.shader_f16),
        yes(adapter.timestamps),
    )
}
