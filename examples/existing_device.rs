//! Inside an application that has its own wgpu device: the picture is painted on that device, a little in
//! every frame, and shown from a texture of the application.
//!
//!     cargo run --release --example existing_device -- photo.jpg painting.jpg [FRAMES] [LONGEST SIDE]
//!
//! The application here has no window, so that this runs anywhere; what it would draw, it counts.

use std::path::Path;

// The same release of wgpu as the library's: its types are part of the interface.
use impasto::wgpu;
use impasto::{Gpu, Losses, Observer, Picture, Run, Session, Settings, Size, Vgg};

/// Iterations in each frame, and between two pictures.
const EVERY: usize = 4;

/// What any application has: a device made for its own purposes, with the limits that WebGPU promises
/// everywhere.
fn device() -> Result<(wgpu::Device, wgpu::Queue), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    Ok(pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?)
}

/// Puts the colours of `picture` into `texture`, as 8 bits in sRGB.
fn show(queue: &wgpu::Queue, texture: &wgpu::Texture, picture: &Picture) {
    let pixels = picture.width * picture.height;
    let level = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    let rgba: Vec<u8> = (0..pixels)
        .flat_map(|i| [0, 1, 2].map(|c| level(picture.rgb[c * pixels + i])).into_iter().chain([255]))
        .collect();
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(4 * picture.width as u32),
        rows_per_image: None,
    };
    queue.write_texture(texture.as_image_copy(), &rgba, layout, texture.size());
}

/// Shows pictures, and pauses the run for the rest of a frame.
struct Watch<'a> {
    queue: &'a wgpu::Queue,
    texture: &'a wgpu::Texture,
    shown: usize,
}

impl Observer for Watch<'_> {
    fn losses(&mut self, run: &mut Run, losses: &Losses) -> impasto::Result<()> {
        if (losses.iteration + 1).is_multiple_of(EVERY) {
            println!("{:4}  {:.3}", losses.iteration, losses.total);
            run.pause();
        }
        Ok(())
    }

    fn picture(&mut self, _: &mut Run, _: usize, picture: Picture) -> impasto::Result<()> {
        show(self.queue, self.texture, &picture);
        self.shown += 1;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photo, painting, numbers @ ..] = arguments.as_slice() else {
        return Err("name a photograph and a painting".into());
    };
    let frames: usize = numbers.first().map_or(Ok(20), |frames| frames.parse())?;
    let side: usize = numbers.get(1).map_or(Ok(64), |side| side.parse())?;

    let (device, queue) = device()?;
    // Handles: the application keeps its own.
    let gpu = Gpu::from_device(device.clone(), queue.clone());

    let mut settings = Settings::default();
    // One size, that of the texture.
    settings.first_size = 0;
    settings.first_iterations.clear();
    settings.iterations = EVERY * frames;
    let vgg = Vgg::builtin(&gpu, &settings)?;
    let photo = Picture::open(Path::new(photo))?.resized(Size::Longest(side), false);
    let painting = Picture::open(Path::new(painting))?.resized(Size::Longest(side), true);
    let mut session =
        Session::builder(&gpu, &vgg).content(&photo).style(&painting, 1.0).settings(settings).build()?;
    session.copy_every(EVERY);

    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("preview"),
        size: wgpu::Extent3d {
            width: photo.width as u32,
            height: photo.height as u32,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8UnormSrgb,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let mut watch = Watch { queue: &queue, texture: &texture, shown: 0 };
    for _ in 0..frames {
        // A few iterations, then the rest of the frame.
        session.run(&mut watch)?;
        // Here the application would draw, with `texture` among what it draws.
        queue.submit([]);
    }
    let shown = watch.shown;
    show(&queue, &texture, &session.picture()?);
    println!("{} pictures shown", shown + 1);
    Ok(())
}
