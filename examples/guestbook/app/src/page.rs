//! The page, as text. Whatever a visitor wrote is escaped.

use crate::store::Entry;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1c1e21}\
label{display:block;margin:.5rem 0}input,textarea{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.4rem}\
button{font:inherit;padding:.4rem 1rem}article{border-top:1px solid #ccc;padding:.7rem 0}\
time{color:#555;font-size:.85rem}p.note{color:#a00}";

pub fn guestbook(title: &str, entries: &[Entry]) -> String {
    let mut list = String::new();
    for entry in entries {
        list.push_str(&format!(
            "<article><strong>{}</strong> <time>{}</time><p>{}</p></article>",
            escape(&entry.author),
            escape(&entry.at),
            escape(&entry.message).replace('\n', "<br>")
        ));
    }
    if entries.is_empty() {
        list.push_str("<p>No entries yet. Write the first one.</p>");
    }
    let form = "<form method=\"post\" action=\"/\">\
        <label>Name <input name=\"author\" maxlength=\"80\" required></label>\
        <label>Message <textarea name=\"message\" rows=\"3\" maxlength=\"2000\" required></textarea></label>\
        <button>Sign</button></form>";
    document(
        title,
        &format!("{form}<section aria-label=\"Entries\">{list}</section>"),
    )
}

pub fn failure(title: &str, reason: &str) -> String {
    document(
        title,
        &format!(
            "<p class=\"note\" role=\"alert\">{}</p><p><a href=\"/\">Back</a></p>",
            escape(reason)
        ),
    )
}

pub fn json(entries: &[Entry]) -> String {
    let items: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{{\"author\":{},\"message\":{},\"at\":{}}}",
                quote(&entry.author),
                quote(&entry.message),
                quote(&entry.at)
            )
        })
        .collect();
    format!("[{}]\n", items.join(","))
}

fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1><main>{body}</main></body></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn quote(text: &str) -> String {
    let mut result = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => result.push_str("\\\""),
            '\\' => result.push_str("\\\\"),
            c if (c as u32) < 0x20 => result.push_str(&format!("\\u{:04x}", c as u32)),
            c => result.push(c),
        }
    }
    result.push('"');
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_visitors_write_stays_text() {
        let entries = [Entry {
            author: "<script>".into(),
            message: "a\n\"b\" & c".into(),
            at: "2026-01-01".into(),
        }];
        let page = guestbook("T", &entries);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        assert!(page.contains("a<br>&quot;b&quot; &amp; c"));
        assert_eq!(
            json(&entries),
            "[{\"author\":\"<script>\",\"message\":\"a\\u000a\\\"b\\\" & c\",\"at\":\"2026-01-01\"}]\n"
        );
    }
}
