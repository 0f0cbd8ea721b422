//! A story as one HTML page: each row opens its packet's fields and bytes. No network, light and dark; no script but one of a
//! few lines on a page with calls, which lights up what belongs together.

mod detail;

use std::{collections::HashMap, fmt::Write as _};

use super::{
    Diagram,
    markup::Escaped,
    svg::{self, Block},
};

pub use detail::detail;

/// Nothing is fetched and nothing runs, whatever slips through; the one style sheet is known by its SHA-256.
const POLICY: &str = "default-src 'none'; style-src 'sha256-Pc981iJsWRCqni+pY+rriAzqT7ZbE8YBYXNfcbCXyXw='; base-uri 'none'; form-action 'none'";

/// The same for [`SCRIPT`], which alone may run.
const SCRIPT_POLICY: &str = "; script-src 'sha256-FPbkhTCLeEC/9zFF9EILflkjGxAymCfMmtyndSMCuzs='";

/// Lights up all rows that have a class `pN` of the one that is pointed at, or focused. No sign in it is markup.
const SCRIPT: &str = "\
function light(event){
for(const row of document.querySelectorAll('.lit'))row.classList.remove('lit');
const at=event.target.closest('summary,svg');
const row=at?.querySelector('svg')??at;
for(const tie of row?.classList??[])if(/^p[0-9]+$/.test(tie))
for(const tied of document.getElementsByClassName(tie))tied.classList.add('lit');
}
document.addEventListener('mouseover',light);
document.addEventListener('focusin',light);
";

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
.lit{background:#fdedb5}
body svg.lit .over{stroke:#fdedb5}
svg:focus-visible{outline:2px solid #0b5cad}
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
.lit{background:#4a3f14}
body svg.lit .over{stroke:#4a3f14}
.packet{border-color:#7db7ff}
.problem{color:#ff8a80}
}
";

/// The whole page. `details` holds what [`detail()`] made of the packets, by `frame.number`; of a folded run, of its first.
pub fn html(diagram: &Diagram, details: &HashMap<u64, String>) -> String {
    let mut out = String::new();
    let title = diagram.title();
    let title = Escaped(&title);
    let blocks = svg::blocks(diagram);
    let (policy, script, about) = match blocks.iter().any(|block| !block.ties.is_empty()) {
        true => (
            SCRIPT_POLICY,
            format!("<script>\n{SCRIPT}</script>\n"),
            " A call and its packets light up together.",
        ),
        false => ("", String::new(), ""),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}{policy}\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>A row opens its packet: fields and bytes.{about}</p>\n",
        svg::STYLE
    );
    for block in &blocks {
        match block.packet.and_then(|number| details.get(&number)) {
            Some(detail) => row(block, detail, &mut out),
            None => {
                out.push_str(&svg::alone(block));
                out.push('\n');
            }
        }
    }
    out.push_str(&script);
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

    /// SHA-256 in base 64.
    fn hash(text: &str) -> String {
        let base64 = "sha256sum | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64";
        let mut hash = Command::new("sh")
            .args(["-c", base64])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = hash.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let hash = hash.wait_with_output().unwrap().stdout;
        let hash = String::from_utf8(hash).unwrap();
        assert_eq!(hash.trim().len(), 44, "no sha256sum or basenc here");
        hash.trim().to_owned()
    }

    #[test]
    fn the_policy_knows_the_style_sheet_and_the_script() {
        let page = html(&Diagram::default(), &HashMap::new());
        let style = page.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let policy = format!("style-src 'sha256-{}';", hash(style));
        assert!(page.contains(&policy), "the policy should say {policy}");
        let policy = format!("; script-src 'sha256-{}'", hash(&format!("\n{SCRIPT}")));
        assert_eq!(SCRIPT_POLICY, policy);
        assert!(!page.contains("script"), "{page}");
    }
}
