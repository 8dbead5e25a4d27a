#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! Pages of the drill, of filter-lab and of a fleet: one HTML file, no script to run, nothing from outside; light and dark, wide and narrow.
//!
//! Pure: texts in, text out. Drawings are SVG, each drawn twice, since text in a scaled drawing would be too small on a phone.

mod text;

pub use text::{count, date, escape, is_hidden};

/// Parts of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Title as plain text.
    pub title: &'a str,
    /// Style sheet of this kind of page, behind the one that all share.
    pub style: &'a str,
    /// Colour of the verdict: green, or red.
    pub is_good: bool,
    /// HTML inside `main`.
    pub body: &'a str,
    /// JSON of the same content, for a script that has only this file.
    pub data: &'a str,
}

impl Page<'_> {
    /// Returns the whole file.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escape(self.title);
        let class = if self.is_good { "ok" } else { "er" };
        // In a script element only `<` could end it early.
        let data = self.data.replace('<', "\\u003c");
        // An empty icon keeps the browser from asking a server for one.
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>\n{}{}</style>\n</head>\n<body>\n<main class=\"{class}\">\n{}</main>\n\
             <script type=\"application/json\" id=\"report\">{data}</script>\n</body>\n</html>\n",
            include_str!("style.css"),
            self.style,
            self.body,
        )
    }
}

/// Returns both drawings of one plot; the style sheet shows the one that fits the window.
#[must_use]
pub fn both(wide: &str, narrow: &str) -> String {
    format!("<div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div>")
}

/// Returns the opening tag of a drawing, of a size in its own units. `label`: plain text for whoever cannot see it.
#[must_use]
pub fn open_svg(width: f64, height: f64, label: &str) -> String {
    let label = escape(label);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_title_nor_data_leaves_its_element() {
        let page = Page {
            title: "</title><i>",
            style: ".x{}\n",
            is_good: false,
            body: "<p>b</p>\n",
            data: "{\"a\":\"</script>\"}",
        };
        let html = page.html();
        assert!(html.contains("<title>&lt;/title&gt;&lt;i&gt;</title>"));
        assert!(html.contains("{\"a\":\"\\u003c/script>\"}</script>"));
        assert!(
            html.contains("<main class=\"er\">\n<p>b</p>\n</main>") && html.contains("}}\n.x{}\n</style>")
        );
        assert_eq!(html.matches("</script>").count(), 1);
    }

    #[test]
    fn a_drawing_has_its_size_and_its_label() {
        assert!(
            open_svg(360.0, 224.5, "a \"b\"")
                .contains("viewBox=\"0 0 360 224.5\" role=\"img\" aria-label=\"a &quot;b&quot;\"")
        );
    }
}
