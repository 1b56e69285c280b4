//! Bar charts as SVG: text stays text, and colours follow the reader's light or dark page.

use std::fmt::Write;

/// A picture: panels below each other.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) panels: Vec<Panel>,
}

/// Bars on one scale.
pub(super) struct Panel {
    /// What the bars' lengths are.
    pub(super) title: String,
    pub(super) groups: Vec<Group>,
}

/// Bars that are compared with each other.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) bars: Vec<Bar>,
}

/// One bar.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    /// The value as the table shows it.
    pub(super) shown: String,
    /// Which of the [`COLOURS`] it has; bars of one kind have one colour.
    pub(super) kind: usize,
}

/// Pixels.
const WIDTH: f64 = 860.0;
const MARGIN: f64 = 16.0;
const TITLE: f64 = 30.0;
const LINE: f64 = 20.0;
const BAR: f64 = 13.0;
const GAP: f64 = 10.0;
/// Room behind the longest bar, for its value.
const VALUE: f64 = 70.0;
/// A letter of a label is hardly wider.
const LETTER: f64 = 6.6;
/// From the middle of a line to where its letters stand.
const BASELINE: f64 = 4.0;

/// Apart from each other for most eyes, and from a white and a black page alike (Okabe and Ito's, a little darker).
const COLOURS: [&str; 10] = [
    "#8a8f98", "#56a0d3", "#c98a00", "#00906a", "#b86a9b", "#d0601e", "#3f74b5", "#9a9a3c",
    "#b04a4a", "#6b5aa8",
];

impl Chart {
    /// The file's text.
    pub(super) fn svg(&self) -> String {
        let labels =
            self.panels.iter().flat_map(|panel| &panel.groups).flat_map(|group| &group.bars);
        let letters = labels.map(|bar| bar.label.chars().count()).max().unwrap_or(0);
        let left = MARGIN + letters as f64 * LETTER + GAP;
        let mut body = String::new();
        let mut y = MARGIN + TITLE / 2.0;
        text(&mut body, MARGIN, y, "title", &self.title);
        for panel in &self.panels {
            y += TITLE;
            text(&mut body, MARGIN, y, "panel", &panel.title);
            y = panel.draw(&mut body, left, y);
        }
        let height = y + MARGIN;
        let colours = COLOURS.iter().enumerate();
        let colours: String =
            colours.map(|(kind, fill)| format!(".k{kind}{{fill:{fill}}}")).collect();
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}">
<style>
text{{font:12px system-ui,sans-serif;fill:#1f2328}}
.title{{font-size:16px;font-weight:600}}.panel{{font-style:italic}}.group{{font-weight:600}}.label{{text-anchor:end}}
{colours}
@media(prefers-color-scheme:dark){{text{{fill:#e6edf3}}}}
</style>
{body}</svg>
"##,
            title = escaped(&self.title)
        )
    }
}

impl Panel {
    /// Draws the groups below `y`, and gives where they end.
    fn draw(&self, body: &mut String, left: f64, mut y: f64) -> f64 {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        let longest = bars.map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        let scale = (WIDTH - left - VALUE - MARGIN) / longest;
        for group in &self.groups {
            y += LINE + GAP / 2.0;
            text(body, MARGIN, y, "group", &group.name);
            for bar in &group.bars {
                y += LINE;
                let (width, top) = (bar.value * scale, y - BAR / 2.0);
                text(body, left - GAP, y, "label", &bar.label);
                let kind = bar.kind % COLOURS.len();
                // Writing to a string cannot fail.
                let _ = writeln!(
                    body,
                    r#"<rect class="k{kind}" x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{BAR}" rx="2"/>"#
                );
                text(body, left + width + GAP / 2.0, y, "value", &bar.shown);
            }
        }
        y
    }
}

/// Writes a line whose middle is at `y`.
fn text(body: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let y = y + BASELINE;
    // Writing to a string cannot fail.
    let _ =
        writeln!(body, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: f64) -> Bar {
        Bar { label: label.into(), value, shown: value.to_string(), kind: 1 }
    }

    #[test]
    fn the_longest_bar_fills_the_room_and_others_are_in_proportion() {
        let groups = vec![Group { name: "g".into(), bars: vec![bar("a", 50.0), bar("b", 100.0)] }];
        let panels = vec![Panel { title: "Mbit/s".into(), groups }];
        let svg = Chart { title: "t".into(), panels }.svg();
        let widths: Vec<f64> = svg
            .split("<rect")
            .skip(1)
            .map(|rect| rect.split("width=\"").nth(1).unwrap().split('"').next().unwrap())
            .map(|width| width.parse().unwrap())
            .collect();
        assert!((widths[1] - 2.0 * widths[0]).abs() < 0.2, "{widths:?}");
        assert!(widths[1] > WIDTH / 2.0);
    }

    #[test]
    fn text_is_text_and_escaped() {
        let svg = Chart { title: "a < b & \"c\"".into(), panels: Vec::new() }.svg();
        assert!(svg.contains(">a &lt; b &amp; &quot;c&quot;</text>"), "{svg}");
    }
}
