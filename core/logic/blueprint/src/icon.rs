//! Whether a card's icon is safe to show: an SVG that draws and does nothing else.
//!
//! Called by lint. What must stay true: what passes here holds no script, reaches
//! nothing outside itself, and cannot grow beyond reason when it is drawn; so lists
//! say what is allowed, not what is forbidden.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// The largest icon in bytes: what the Sovereign keeps of one.
const MAX_BYTES: usize = 128 * 1024;
/// The deepest nesting of elements.
const MAX_DEPTH: usize = 32;
/// The most elements that draw another one again: each may hold further ones.
const MAX_USES: usize = 16;
/// The most findings that are told of one icon.
const MAX_FAULTS: usize = 20;

const SVG: &str = "http://www.w3.org/2000/svg";
const XLINK: &str = "http://www.w3.org/1999/xlink";

/// Elements of SVG 2 that draw, or say how.
const ELEMENTS: [&str; 24] = [
    "svg",
    "g",
    "defs",
    "symbol",
    "use",
    "title",
    "desc",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
    "linearGradient",
    "radialGradient",
    "stop",
    "clipPath",
    "mask",
    "pattern",
    "marker",
    "switch",
];

/// Attributes of those elements; `aria-*` beside them.
const ATTRIBUTES: [&str; 99] = [
    "xmlns",
    "xmlns:xlink",
    "xml:space",
    "xml:lang",
    "version",
    "id",
    "class",
    "style",
    "role",
    "lang",
    "viewBox",
    "preserveAspectRatio",
    "width",
    "height",
    "x",
    "y",
    "x1",
    "y1",
    "x2",
    "y2",
    "cx",
    "cy",
    "r",
    "rx",
    "ry",
    "fx",
    "fy",
    "fr",
    "d",
    "dx",
    "dy",
    "points",
    "pathLength",
    "transform",
    "transform-origin",
    "rotate",
    "href",
    "xlink:href",
    "fill",
    "fill-opacity",
    "fill-rule",
    "stroke",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-miterlimit",
    "stroke-opacity",
    "stroke-width",
    "opacity",
    "color",
    "display",
    "visibility",
    "overflow",
    "clip-path",
    "clip-rule",
    "clipPathUnits",
    "mask",
    "maskUnits",
    "maskContentUnits",
    "mask-type",
    "offset",
    "stop-color",
    "stop-opacity",
    "gradientUnits",
    "gradientTransform",
    "spreadMethod",
    "patternUnits",
    "patternContentUnits",
    "patternTransform",
    "marker-start",
    "marker-mid",
    "marker-end",
    "markerUnits",
    "markerWidth",
    "markerHeight",
    "orient",
    "refX",
    "refY",
    "font-family",
    "font-size",
    "font-style",
    "font-variant",
    "font-weight",
    "letter-spacing",
    "word-spacing",
    "text-anchor",
    "text-decoration",
    "textLength",
    "lengthAdjust",
    "dominant-baseline",
    "alignment-baseline",
    "baseline-shift",
    "paint-order",
    "shape-rendering",
    "text-rendering",
    "color-interpolation",
    "vector-effect",
    "enable-background",
];

/// One thing that an icon may not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is there.
    pub message: String,
}

/// Everything in an icon that may not be there; empty when it is safe.
pub(crate) fn faults(bytes: &[u8]) -> Vec<Fault> {
    let whole = |message: String| vec![Fault { line: 1, message }];
    if bytes.len() > MAX_BYTES {
        return whole(format!("the icon is larger than {} KiB", MAX_BYTES / 1024));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Check::default().run(text),
        Err(_) => whole("the icon is not UTF-8".to_owned()),
    }
}

#[derive(Default)]
struct Check {
    line: usize,
    depth: usize,
    uses: usize,
    has_root: bool,
    faults: Vec<Fault>,
}

impl Check {
    fn run(mut self, text: &str) -> Vec<Fault> {
        let mut reader = Reader::from_str(text);
        while self.faults.len() < MAX_FAULTS {
            self.line = line_at(text, reader.buffer_position());
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(event) => self.event(&event),
                Err(error) => {
                    self.line = line_at(text, reader.error_position());
                    self.fault(format!("the icon is not XML: {error}"));
                    return self.faults;
                }
            }
        }
        if !self.has_root {
            self.fault("the icon has no element `svg`".to_owned());
        } else if self.depth > 0 && self.faults.is_empty() {
            self.fault("the icon ends before its last element does".to_owned());
        }
        self.faults
    }

    fn fault(&mut self, message: String) {
        self.faults.push(Fault {
            line: self.line,
            message,
        });
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => {
                self.element(tag);
                self.depth += 1;
                if self.depth == MAX_DEPTH + 1 {
                    self.fault(format!("elements lie deeper than {MAX_DEPTH} levels"));
                }
            }
            Event::Empty(tag) => self.element(tag),
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::DocType(_) => self.fault("the icon has a DOCTYPE".to_owned()),
            Event::PI(_) => self.fault("the icon has a processing instruction".to_owned()),
            Event::GeneralRef(name) => {
                let name: &str = name;
                if !is_predefined(name) {
                    self.fault(format!("the icon uses the entity `{name}`"));
                }
            }
            _ => {}
        }
    }

    fn element(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name().0;
        if self.depth == 0 {
            if self.has_root || name != "svg" {
                self.fault(format!("the outermost element is `{name}`, not one `svg`"));
            }
            self.has_root = true;
        }
        if !ELEMENTS.contains(&name) {
            self.fault(format!("an icon may not hold the element `{name}`"));
            return;
        }
        if name == "use" {
            self.uses += 1;
            if self.uses == MAX_USES + 1 {
                self.fault(format!(
                    "the element `use` stands more than {MAX_USES} times"
                ));
            }
        }
        for attribute in tag.attributes() {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => {
                    self.fault(format!("an attribute of `{name}` is not XML: {error}"));
                    return;
                }
            };
            let key = attribute.key.0;
            match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => self.attribute(name, key, &value),
                Err(error) => self.fault(format!("the attribute `{key}` is not XML: {error}")),
            }
        }
    }

    fn attribute(&mut self, element: &str, key: &str, value: &str) {
        let is_known = ATTRIBUTES.contains(&key) || key.starts_with("aria-");
        let fault = if key.to_ascii_lowercase().starts_with("on") {
            Some("runs a script")
        } else if !is_known {
            Some("is not one that an icon may have")
        } else if matches!(key, "href" | "xlink:href") && !value.trim_start().starts_with('#') {
            Some("refers to something outside the icon")
        } else if (key == "xmlns" && value != SVG) || (key == "xmlns:xlink" && value != XLINK) {
            Some("names another language than SVG")
        } else if reaches_out(value) {
            Some("has a value that reaches outside the icon")
        } else {
            None
        };
        if let Some(fault) = fault {
            self.fault(format!("the attribute `{key}` of `{element}` {fault}"));
        }
    }
}

/// Whether a value, read as CSS, loads or runs anything: `url(…)` to anywhere but
/// an element of the icon, an import, or an escape that could hide either.
fn reaches_out(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let loads = lower.split("url(").skip(1).any(|rest| {
        !rest
            .trim_start_matches([' ', '\t', '\n', '\r', '"', '\''])
            .starts_with('#')
    });
    loads
        || [
            "@import",
            "javascript:",
            "expression(",
            "image(",
            "image-set(",
            "\\",
            "/*",
        ]
        .iter()
        .any(|word| lower.contains(word))
}

/// XML's own five, and characters by number.
fn is_predefined(name: &str) -> bool {
    matches!(name, "lt" | "gt" | "amp" | "quot" | "apos") || name.starts_with('#')
}

/// The line (from 1) of a place in a text.
fn line_at(text: &str, offset: u64) -> usize {
    let offset = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(text.len());
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(icon: &str) -> Option<String> {
        faults(icon.as_bytes())
            .into_iter()
            .next()
            .map(|fault| format!("{}: {}", fault.line, fault.message))
    }

    #[test]
    fn what_only_draws_is_safe() {
        for icon in [
            "<svg/>",
            "<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\" role=\"img\" aria-label=\"A &amp; B\"><title>A &lt; B &#169;</title><path d=\"M0 0h8\"/></svg>\n",
            "<svg xmlns:xlink=\"http://www.w3.org/1999/xlink\"><defs><linearGradient id=\"a\"><stop offset=\"0\" stop-color=\"red\"/></linearGradient></defs><rect fill=\"url(#a)\" style=\"stroke:url('#a')\"/><use xlink:href=\"#a\"/></svg>",
            include_str!("../../../../platform/postgres/card/icon.svg"),
            include_str!("../../../../examples/guestbook/card/icon.svg"),
        ] {
            assert_eq!(first(icon), None, "{icon}");
        }
    }

    #[test]
    fn whatever_acts_or_reaches_out_is_told_with_its_line() {
        for (icon, expected) in [
            (
                "<svg>\n<script>alert(1)</script></svg>",
                "2: an icon may not hold the element `script`",
            ),
            (
                "<svg><foreignObject/></svg>",
                "1: an icon may not hold the element `foreignObject`",
            ),
            (
                "<svg><style>@import 'x'</style></svg>",
                "1: an icon may not hold the element `style`",
            ),
            (
                "<svg><image href=\"#a\"/></svg>",
                "1: an icon may not hold the element `image`",
            ),
            (
                "<svg><a href=\"#a\"/></svg>",
                "1: an icon may not hold the element `a`",
            ),
            (
                "<svg><animate attributeName=\"href\"/></svg>",
                "1: an icon may not hold the element `animate`",
            ),
            (
                "<svg onload=\"x()\"/>",
                "1: the attribute `onload` of `svg` runs a script",
            ),
            (
                "<svg><g\nONclick='x()'/></svg>",
                "1: the attribute `ONclick` of `g` runs a script",
            ),
            (
                "<svg data-x=\"1\"/>",
                "1: the attribute `data-x` of `svg` is not one that an icon may have",
            ),
            (
                "<svg><use href=\"https://example.org/a.svg#b\"/></svg>",
                "1: the attribute `href` of `use` refers to something outside the icon",
            ),
            (
                "<svg><use xlink:href=\"data:image/svg+xml,x\"/></svg>",
                "1: the attribute `xlink:href` of `use` refers to something outside the icon",
            ),
            (
                "<svg><use href=\"&#106;avascript:x\"/></svg>",
                "1: the attribute `href` of `use` refers to something outside the icon",
            ),
            (
                "<svg><rect fill=\"URL( 'https://example.org/a' )\"/></svg>",
                "1: the attribute `fill` of `rect` has a value that reaches outside the icon",
            ),
            (
                "<svg><rect style=\"fill:u\\72l(//example.org)\"/></svg>",
                "1: the attribute `style` of `rect` has a value that reaches outside the icon",
            ),
            (
                "<svg xmlns=\"http://www.w3.org/1999/xhtml\"/>",
                "1: the attribute `xmlns` of `svg` names another language than SVG",
            ),
            (
                "<!DOCTYPE svg [<!ENTITY a \"b\">]>\n<svg/>",
                "1: the icon has a DOCTYPE",
            ),
            ("<svg>&a;</svg>", "1: the icon uses the entity `a`"),
            (
                "<?xml-stylesheet href=\"a.css\"?><svg/>",
                "1: the icon has a processing instruction",
            ),
            (
                "<html/>",
                "1: the outermost element is `html`, not one `svg`",
            ),
            (
                "<svg/><svg/>",
                "1: the outermost element is `svg`, not one `svg`",
            ),
            (
                "<svg>\n<g>",
                "2: the icon ends before its last element does",
            ),
            ("", "1: the icon has no element `svg`"),
        ] {
            assert_eq!(first(icon).as_deref(), Some(expected), "{icon}");
        }
        assert!(
            first("<svg>\n</g></svg>")
                .unwrap()
                .starts_with("2: the icon is not XML: ")
        );
        assert!(
            first("<svg id=\"&a;\"/>")
                .unwrap()
                .contains("the attribute `id` is not XML")
        );
        assert_eq!(
            first("\u{0}PNG").as_deref(),
            Some("1: the icon has no element `svg`")
        );
    }

    #[test]
    fn size_depth_and_repetition_are_bounded() {
        let deep = format!("<svg>{}{}</svg>", "<g>".repeat(40), "</g>".repeat(40));
        assert!(first(&deep).unwrap().contains("deeper than 32 levels"));
        let uses = format!("<svg>{}</svg>", "<use href=\"#a\"/>".repeat(17));
        assert!(first(&uses).unwrap().contains("more than 16 times"));
        let large = format!("<svg>{}</svg>", " ".repeat(MAX_BYTES));
        assert!(first(&large).unwrap().contains("larger than 128 KiB"));
        let many = format!("<svg>{}</svg>", "<a/>".repeat(1000));
        assert_eq!(faults(many.as_bytes()).len(), MAX_FAULTS);
    }
}
