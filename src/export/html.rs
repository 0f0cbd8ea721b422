//! A story as one HTML page: each row opens its packet's fields and bytes. No script, no network, light and dark.

mod detail;

use std::{collections::HashMap, fmt::Write as _};

use super::{
    Diagram,
    markup::Escaped,
    svg::{self, Block},
};

pub use detail::detail;

/// Nothing is fetched and nothing runs, whatever slips through; the one style sheet is known by its SHA-256.
const POLICY: &str = "default-src 'none'; style-src 'sha256-5+/9918Oc/uAeXGFIMOrzPyjEfQ3l8KnwroxvtOTbPU='; base-uri 'none'; form-action 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark}
body{margin:0 auto;padding:12px;max-width:780px;background:#fff;color:#1b1f24;font:15px/1.45 system-ui,sans-serif}
h1{font-size:18px;margin:4px 0 2px;overflow-wrap:anywhere}
p{margin:4px 0 12px;color:#57606a}
svg{display:block;width:100%;height:auto}
summary{cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
summary:hover,summary:focus-visible,details[open]>summary{background:#eaf2fb;outline:none}
summary:focus-visible{outline:2px solid #0b5cad}
summary:hover .over,details[open]>summary .over{stroke:#eaf2fb}
.packet{border-left:3px solid #0b5cad;margin:0 0 10px;padding:4px 0 4px 10px;font:12px/1.5 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}
table{border-collapse:collapse;width:100%;margin:0 0 8px}
caption{text-align:left;font-weight:bold;padding:4px 0}
th,td{text-align:left;vertical-align:top;font-weight:normal;padding:0 12px 0 0;overflow-wrap:anywhere}
th{width:34%}
td+td{width:30%;color:#57606a;padding:0}
pre{margin:4px 0;overflow-x:auto;font:inherit}
.problem{color:#b3261e;font-weight:bold}
@media (max-width:520px){body{padding:6px}td+td{display:none}th{width:50%}}
@media (prefers-color-scheme:dark){
body{background:#14171c;color:#e8eaed}
p,td+td{color:#a8b0b9}
summary:hover,summary:focus-visible,details[open]>summary{background:#1f2a38}
summary:hover .over,details[open]>summary .over{stroke:#1f2a38}
.packet{border-color:#7db7ff}
.problem{color:#ff8a80}
}
";

/// The whole page. `details` holds what [`detail()`] made of the packets, by `frame.number`; of a folded run, of its first.
pub fn html(diagram: &Diagram, details: &HashMap<u64, String>) -> String {
    let mut out = String::new();
    let title = diagram.title();
    let title = Escaped(&title);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>A row opens its packet: fields and bytes.</p>\n",
        svg::STYLE
    );
    for block in svg::blocks(diagram) {
        match block.packet.and_then(|number| details.get(&number)) {
            Some(detail) => row(&block, detail, &mut out),
            None => {
                out.push_str(&svg::alone(&block));
                out.push('\n');
            }
        }
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn row(block: &Block, detail: &str, out: &mut String) {
    let first = match block.folded {
        true => "<p>The first of these packets.</p>\n",
        false => "",
    };
    let _ = writeln!(
        out,
        "<details><summary>{}</summary>\n<div class=\"packet\">\n{first}{detail}</div></details>",
        svg::alone(block)
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn the_policy_knows_the_style_sheet() {
        let page = html(&Diagram::default(), &HashMap::new());
        let style = page.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let base64 = "sha256sum | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64";
        let mut hash = Command::new("sh")
            .args(["-c", base64])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = hash.stdin.take().unwrap();
        input.write_all(style.as_bytes()).unwrap();
        drop(input);
        let hash = hash.wait_with_output().unwrap().stdout;
        let hash = String::from_utf8(hash).unwrap();
        assert_eq!(hash.trim().len(), 44, "no sha256sum or basenc here");
        let policy = format!("style-src 'sha256-{}';", hash.trim());
        assert!(page.contains(&policy), "the policy should say {policy}");
    }
}
