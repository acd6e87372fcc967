// Renders blocks of rich text as DOM nodes. Nothing in them is parsed: a text is shown literally.
import { dateWords } from "./dates.js";
import { element } from "./elements.js";

const PARAGRAPHS = { rich_text_section: "p", rich_text_quote: "blockquote" };
const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code" };

export function richText(block) {
  return block.elements.map((paragraph) => element(PARAGRAPHS[paragraph.type] ?? "p", { class: "literal" },
    paragraph.elements.map(part)));
}

function part(made) {
  const styles = Object.keys(STYLES).filter((style) => made.style?.[style]);
  return styles.reduce((inner, style) => element(STYLES[style], {}, inner), content(made));
}

function content(made) {
  if (made.type === "date") return dateNode(made);
  if (made.type !== "link") return document.createTextNode(made.text ?? "");
  const href = /^https?:/.test(made.url) ? made.url : null;
  return element("a", { href, target: "_blank", rel: "noopener noreferrer" }, made.text ?? made.url);
}

function dateNode({ timestamp, format, fallback }) {
  const words = dateWords(`date^${timestamp}^${format}`);
  return element("time", { datetime: new Date(timestamp * 1000).toISOString() }, words ?? fallback ?? "");
}
