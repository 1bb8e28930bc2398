//! The device that the browser gives, and the network on it.

use impasto::painting::capacity;
use impasto::painting::tiling::Tiling;
use impasto::{Gpu, Network, Preset, Settings, Tuning, Vgg, Weights, wgpu};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::painter::{Painter, size_of};
use crate::pictures::Opened;
use crate::{json, sentence};

/// Where a browser has no device to give.
const NO_DEVICE: &str = "this browser has no WebGPU to paint with: take a current Chrome or Edge, Safari 26 or Firefox 141, or later \
                         ones, and see that graphics acceleration is switched on in its settings";

/// A device of the browser.
#[wasm_bindgen]
pub struct Device {
    gpu: &'static Gpu,
    limits: wgpu::Limits,
}

/// What a page may say about a device.
#[derive(serde::Serialize)]
struct About {
    name: String,
    /// Whether its shaders run on the processor.
    software: bool,
    /// The largest buffer and the largest part of one that a shader sees, in bytes.
    buffer: u64,
    binding: u64,
}

#[wasm_bindgen]
impl Device {
    /// Opens the fastest device that the browser has, with all it can do.
    pub async fn open() -> Result<Self, JsValue> {
        let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
        description.backends = wgpu::Backends::BROWSER_WEBGPU;
        let instance = wgpu::Instance::new(description);
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await.map_err(|_| sentence(NO_DEVICE))?;
        let optional = wgpu::Features::SHADER_F16 | wgpu::Features::TIMESTAMP_QUERY;
        let request = wgpu::DeviceDescriptor {
            label: Some("impasto"),
            required_features: adapter.features() & optional,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let refused = |why| {
            sentence(format!(
                "the browser refused its graphics device ({why}); reload the page, or restart the browser"
            ))
        };
        let (device, queue) = adapter.request_device(&request).await.map_err(refused)?;
        let limits = device.limits();
        Ok(Self { gpu: Box::leak(Box::new(Gpu::from_device(device, queue))), limits })
    }

    /// Its name, kind and limits, as JSON.
    pub fn about(&self) -> String {
        let (info, limits) = (self.gpu.info(), &self.limits);
        json(&About {
            name: info.name.clone(),
            software: info.device_type == wgpu::DeviceType::Cpu,
            buffer: limits.max_buffer_size,
            binding: limits.max_storage_buffer_binding_size,
        })
    }

    /// Uploads the network's file. `variant` asks for a form of the convolutions, as the command line's
    /// `--variant` does.
    pub fn load(&self, network: &[u8], variant: Option<String>) -> Result<Studio, JsValue> {
        let tuning = variant.as_deref().map_or(Ok(Tuning::default()), str::parse).map_err(sentence)?;
        let vgg19 = Network::vgg19();
        // As deep as any look sees, which is all of the file.
        let specs = vgg19.specs(&Settings::painterly().taps()).map_err(sentence)?;
        let weights = Weights::from_bytes("built-in", network, &specs).map_err(sentence)?;
        let vgg = Vgg::new(self.gpu, vgg19, &weights, &tuning).map_err(sentence)?;
        Ok(Studio { gpu: self.gpu, vgg: Box::leak(Box::new(vgg)), variant })
    }
}

/// A device with the network on it.
#[wasm_bindgen]
pub struct Studio {
    pub(crate) gpu: &'static Gpu,
    pub(crate) vgg: &'static Vgg,
    pub(crate) variant: Option<String>,
}

/// What is to be painted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// The name of a bundled look.
    #[serde(default)]
    pub(crate) look: Option<String>,
    /// The text of a preset's file, instead.
    #[serde(default)]
    pub(crate) preset: Option<String>,
    /// The result's longest side.
    pub(crate) size: usize,
    /// From 0 to 1; the look's own where it is left out.
    #[serde(default)]
    pub(crate) strength: Option<f64>,
}

impl Request {
    pub(crate) fn read(text: &str) -> Result<Self, JsValue> {
        serde_json::from_str(text)
            .map_err(|why| sentence(format!("the page asked for something unknown ({why}); reload it")))
    }

    /// The look that is meant.
    pub(crate) fn look(&self) -> Result<Preset, JsValue> {
        let name = self.look.as_deref().unwrap_or("painterly");
        let mut look = match &self.preset {
            Some(text) => Preset::parse("of the page", text).map_err(sentence)?,
            None => Preset::bundled(name)
                .ok_or_else(|| sentence(format!("there is no look {name:?}; reload the page")))?,
        };
        if let Some(strength) = self.strength {
            look.settings.set_strength(strength).map_err(sentence)?;
        }
        Ok(look)
    }
}

#[wasm_bindgen]
impl Studio {
    /// The device memory in bytes that a request needs for this photograph, the network included.
    pub fn needs(&self, request: &str, content: &Opened) -> Result<f64, JsValue> {
        let request = Request::read(request)?;
        let look = request.look()?;
        let bytes =
            capacity::memory(self.gpu, self.vgg, &look.settings, size_of(&request, content), Tiling::Off)
                .map_err(sentence)?;
        Ok((bytes + self.vgg.bytes()) as f64)
    }

    /// Measures the pictures and records what an iteration does.
    pub async fn begin(&self, request: String, content: &Opened, style: &Opened) -> Result<Painter, JsValue> {
        Painter::begin(self, &Request::read(&request)?, content, style).await
    }
}
