//! The report of a run: one HTML page with everything in it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impasto::painting::session::{Losses, Session};
use impasto::painting::settings::Settings;
use impasto::picture::{Format, Picture, SaveOptions, name_of};

use super::chart::{Series, chart, escape};
use super::job::{Job, Painted, Sized};
use super::messages::tiles_text;

/// The page. [`page`] replaces the names in double braces.
const TEMPLATE: &str = include_str!("report.html");
/// The JPEG quality of pictures inside the page.
const QUALITY: u8 = 92;

/// The contents of the page.
struct Report<'a> {
    /// The content, at the result's size, and the name of its file.
    content: (&'a Picture, String),
    styles: Vec<(&'a Picture, String)>,
    result: &'a Picture,
    settings: &'a Settings,
    /// The losses of all iterations, starting with the first.
    log: &'a [Losses],
    /// Further rows of the table of settings: name and value.
    sizes: Vec<(&'static str, String)>,
    /// The rows of the table about the run.
    run: Vec<(&'static str, String)>,
}

/// The whole page. It loads nothing from anywhere.
///
/// # Errors
/// Those of encoding the pictures.
fn page(report: &Report) -> impasto::Result<String> {
    let Report { content, styles, result, settings, log, sizes, run } = report;
    let names: Vec<&str> = styles.iter().map(|(_, name)| name.as_str()).collect();
    let title = format!("{} in the style of {}", content.1, names.join(", "));
    let subtitle = format!("{} x {} pixels, {} iterations", result.width, result.height, log.len());
    let mut pictures = String::new();
    let inputs = std::iter::once(content).chain(styles.iter());
    for ((picture, name), what) in
        inputs.zip(std::iter::once("photograph").chain(std::iter::repeat("painting")))
    {
        pictures += &figure(&uri(picture)?, what, name);
    }
    let values = [
        ("title", escape(&title)),
        ("subtitle", escape(&subtitle)),
        ("width", result.width.max(480).to_string()),
        ("content", uri(content.0)?),
        ("result", uri(result)?),
        ("pictures", pictures),
        ("chart", chart(&curves(settings, log))),
        ("settings", table(&setting_rows(settings, sizes))),
        ("run", table(run)),
    ];
    Ok(filled(TEMPLATE, &values))
}

/// One curve per loss: content, each style layer, the finish, and total variation.
fn curves(settings: &Settings, log: &[Losses]) -> Vec<Series> {
    let curve =
        |name: String, of: &dyn Fn(&Losses) -> f64| Series { name, values: log.iter().map(of).collect() };
    let mut curves = vec![curve("total".into(), &|l| l.total)];
    let contents: Vec<String> = settings.content_layers.iter().map(ToString::to_string).collect();
    curves.push(curve(format!("content {}", contents.join(" + ")), &|l| l.content));
    for (index, layer) in settings.style_layers.iter().enumerate() {
        curves.push(curve(format!("style {layer}"), &|l| l.style_layers.get(index).copied().unwrap_or(0.0)));
    }
    if settings.finish > 0.0 {
        curves.push(curve("finish".into(), &|l| l.nearest.unwrap_or(0.0)));
    }
    curves.push(curve("total variation".into(), &|l| l.tv));
    curves
}

fn setting_rows(settings: &Settings, sizes: &[(&'static str, String)]) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = sizes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    if let Ok(serde_json::Value::Object(table)) = serde_json::to_value(settings) {
        for (key, value) in table {
            let text = match &value {
                serde_json::Value::Array(list) if list.is_empty() => "1 each".to_owned(),
                serde_json::Value::Array(list) => {
                    list.iter().map(|v| v.to_string().replace('"', "")).collect::<Vec<_>>().join(", ")
                }
                serde_json::Value::String(text) => text.clone(),
                _ => value.to_string(),
            };
            rows.push((key.replace('_', " "), text));
        }
    }
    rows
}

fn table<K: AsRef<str>>(rows: &[(K, String)]) -> String {
    let row = |(key, value): &(K, String)| {
        format!("<tr><th>{}</th><td>{}</td></tr>\n", escape(key.as_ref()), escape(value))
    };
    rows.iter().map(row).collect()
}

fn figure(uri: &str, what: &str, name: &str) -> String {
    let name = escape(name);
    format!(
        "<figure><img alt=\"the {what}\" src=\"{uri}\"><figcaption>{what}: {name}</figcaption></figure>\n"
    )
}

/// A picture as a data URI: PNG if it is transparent, otherwise JPEG. It contains only pixels. A page is made
/// to be shown, and its owner may not want to tell where a photograph was taken.
fn uri(picture: &Picture) -> impasto::Result<String> {
    let mut options = SaveOptions::default();
    let (format, kind) = match &picture.alpha {
        Some(_) => (Format::Png, "png"),
        None => (Format::Jpeg, "jpeg"),
    };
    options.quality = Some(QUALITY).filter(|_| format == Format::Jpeg);
    Ok(format!("data:image/{kind};base64,{}", STANDARD.encode(picture.bare().to_bytes(format, &options)?)))
}

impl Job<'_> {
    /// The page about this job.
    pub fn report(
        &self,
        pictures: &Sized,
        session: &Session,
        painted: &Painted,
        result: &Picture,
    ) -> anyhow::Result<String> {
        let [prepare, iterate] = painted.times;
        let done = painted.log.len() - painted.first;
        let each = iterate.div_f64(done.max(1) as f64);
        let mut sizes = vec![("size", format!("{} x {}", result.width, result.height))];
        let styles = &pictures.styles.pictures;
        for (style, weight) in styles.iter().zip(&self.studio.weights) {
            let weight = if styles.len() > 1 { format!(", weight {weight}") } else { String::new() };
            sizes.push(("size of the painting", format!("{} x {}{weight}", style.width, style.height)));
        }
        sizes.push(("start", self.options.look.recorded(pictures.start.as_ref()).to_string()));
        let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
        let mut run = vec![
            ("program", format!("impasto {}", env!("CARGO_PKG_VERSION"))),
            ("adapter", self.adapter()),
            ("preparation", seconds(prepare)),
            ("iterations", format!("{done} in {}, {} each", seconds(iterate), seconds(each))),
            (
                "device memory",
                format!("{} and {} for the network", mib(session.bytes()), mib(self.studio.vgg.bytes())),
            ),
            ("result", self.outputs.picture(!painted.interrupted).display().to_string()),
        ];
        if let Some(tiles) = session.tiles() {
            run.push(("tiles", tiles_text(&tiles, &self.studio.store)));
        }
        if painted.first > 0 {
            run.push(("resumed", format!("after {} iterations", painted.first)));
        }
        if painted.interrupted {
            run.push(("interrupted", format!("after {} iterations", painted.log.len())));
        }
        for change in session.changes() {
            run.push(("changed", format!("from iteration {}: {change}", change.iteration)));
        }
        let names = self.options.styles.iter().map(|path| name_of(path));
        Ok(page(&Report {
            content: (&pictures.content, name_of(self.name)),
            styles: styles.iter().zip(names).collect(),
            result,
            settings: self.settings,
            log: &painted.log,
            sizes,
            run,
        })?)
    }
}

/// A time in readable form.
fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.1 => format!("{:.1} ms", s * 1000.0),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
    }
}

/// The template with its names replaced, in one pass: inserted text is never searched again.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("the template closes its braces");
        let value = values.iter().find(|(key, _)| *key == name);
        page += &value.expect("the template has known names only").1;
        page += rest;
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_page() {
        let picture = Picture::new(2, 2, vec![0.5; 12]);
        let name = "<script>alert(\"{{result}}\")</script>&.jpg".to_owned();
        let page = page(&Report {
            content: (&picture, name.clone()),
            styles: vec![(&picture, name)],
            result: &picture,
            settings: &Settings::book(),
            log: &[],
            sizes: vec![("size", "2 x 2".into())],
            run: vec![("adapter", "<b>".into())],
        })
        .unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(page.contains("&lt;script&gt;alert(&quot;{{result}}&quot;)&lt;/script&gt;&amp;.jpg"));
        // Nothing is loaded from elsewhere.
        assert!(!page.contains("http") && page.matches("src=\"data:image/jpeg;base64,").count() == 4);
        assert!(page.contains("<tr><th>style weight</th><td>10000.0</td></tr>"));
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(seconds(Duration::from_millis(1234)), "1.23 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 05 s");
    }
}
