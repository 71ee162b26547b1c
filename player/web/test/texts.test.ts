import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAst } from "vite";
import { describe, expect, it } from "vitest";

const SOURCE = resolve(import.meta.dirname, "..", "src");

interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Attributes that are shown or spoken. */
const SHOWN = ["title", "alt", "placeholder", "label", "hint", "button", "aria-label", "aria-valuetext"];
/** Attributes that are not. */
const HIDDEN = /^(class|style|d|viewBox|role|id|key|href|rel|target|type|name|test|words|screen|icon|points|transform|value|autocomplete|inputMode|preserveAspectRatio|data-.*)$/;
/** Calls whose texts are names, not shown. */
const NAMES = /^(t|matchMedia|querySelector|querySelectorAll|closest|matches|addEventListener|load|save|join|split|includes|startsWith|endsWith|command|measured|amount|mark|error|warn)$/;
/** What is written the same in every language. */
const UNITS = /^(ms|Hz|kB|MB|mm|nm|kg|rad|px|kPa|MPa|Esc|Tab|Tussle|XADD|redis|cli)$/;
const MARKUP = /[<>#[\]]|;\s*$|;\n|: [a-z0-9-]+;|var\(|px\b|translate\(/;

const worded = (text: string): boolean => (text.replace(/&\w+;/g, " ").match(/\p{L}{2,}/gu) ?? []).some((word) => !UNITS.test(word));
/** A sentence, a heading or several plain words. */
const said = (text: string): boolean => !MARKUP.test(text) && !/^(Enter|Home|End|Delete|Backspace|Escape|Tab|Shift|Control|Meta|Alt|AltGraph)$/.test(text) && (/^[“(]?[A-Z][a-z’]+([- ,.!?:…]|$)/.test(text.trim()) || /^[a-z’]{2,}( [a-z’]{2,})+$/.test(text));

interface Place {
  /** Whether a string here is shown. */
  readonly shown: boolean;
  /** Whether it is compared with something. */
  readonly compared?: boolean;
}

/** The texts in a program that are no words of a language file. */
function hardCoded(source: string, lang: "ts" | "tsx"): string[] {
  const found: string[] = [];
  const all = (value: unknown, at: Place): void => {
    if (Array.isArray(value)) for (const one of value) all(one, at);
    else if (typeof value === "object" && value !== null && typeof (value as Node).type === "string") visit(value as Node, at);
  };
  const inside = (node: Node, at: Place): void => {
    for (const [field, value] of Object.entries(node)) if (!/^(typeAnnotation|typeArguments|typeParameters|returnType)$/.test(field)) all(value, at);
  };
  const text = (value: string, at: Place): void => {
    if (!at.compared && (at.shown ? worded(value) && !MARKUP.test(value) : said(value))) found.push(value.trim());
  };
  const visit = (node: Node, at: Place): void => {
    const plain = { shown: false };
    if (/^(TS(Type|Interface|Union|Literal|Mapped|Index).*|ImportDeclaration|ExportAllDeclaration|ThrowStatement|TaggedTemplateExpression)$/.test(node.type)) return;
    switch (node.type) {
      case "JSXText":
        if (worded(node["value"] as string)) found.push((node["value"] as string).trim());
        return;
      case "JSXElement":
        all(node["openingElement"], plain);
        all(node["children"], { shown: true });
        return;
      case "JSXAttribute": {
        const name = (node["name"] as { name?: unknown }).name;
        if (typeof name === "string" && !HIDDEN.test(name)) all(node["value"], { shown: SHOWN.includes(name) });
        return;
      }
      case "Literal":
        if (typeof node["value"] === "string") text(node["value"], at);
        return;
      case "TemplateLiteral": {
        const parts = (node["quasis"] as { value: { cooked: string } }[]).map((part) => part.value.cooked);
        const whole = parts.join("\u0000");
        const sentence = said(whole) || (/[ ’][a-z’]{2,}/.test(whole) && !MARKUP.test(whole) && !/[=/]/.test(whole));
        all(node["expressions"], { shown: at.shown || sentence });
        if (!at.compared && (sentence || (at.shown && worded(parts.join(" ")) && !MARKUP.test(whole)))) found.push(parts.join("{}"));
        return;
      }
      case "ConditionalExpression":
        all(node["test"], plain);
        all([node["consequent"], node["alternate"]], at);
        return;
      case "LogicalExpression":
        all(node["left"], node["operator"] === "&&" ? plain : at);
        all(node["right"], at);
        return;
      case "BinaryExpression":
        inside(node, node["operator"] === "+" ? at : { shown: false, compared: true });
        return;
      case "NewExpression":
        if (!/Error|Bad|Refused/.test(String((node["callee"] as { name?: string }).name))) inside(node, plain);
        return;
      case "CallExpression": {
        const callee = node["callee"] as { name?: string; property?: { name?: string } } & Node;
        const name = callee.name ?? callee.property?.name ?? "";
        const given = node["arguments"] as Node[];
        all(callee, plain);
        if (name === "withKey") all(given[0], { shown: true });
        else for (const one of given) if (!NAMES.test(name) || !/Literal$/.test(one.type)) all(one, plain);
        return;
      }
      case "MemberExpression":
        all(node["object"], plain);
        if (node["computed"]) all(node["property"], { shown: false, compared: true });
        return;
      case "JSXExpressionContainer":
      case "ParenthesizedExpression":
      case "ArrayExpression":
        inside(node, at);
        return;
      default:
        inside(node, plain);
    }
  };
  all(parseAst(source, { lang }), { shown: false });
  return found;
}

/** Texts that are not for people, or that cannot be words: by file. */
const ALLOWED: Readonly<Record<string, RegExp>> = {
  "replay/replay.ts": /^first picture$/, // a mark of the browser's timeline
  "session/builder.ts": /^the document of a body is too large$/, // the server's message for the same refusal
  "text/words.ts": /^English$/, // a language has its own name in every language
};

describe("the texts of the page", () => {
  it("are found where they are hard coded", () => {
    const page = `
      const CARD = { name: "Duel", id: "duel", how: "Bodies never overlap." };
      const key = \`session:\${token}\`;
      if (state === "open") throw new Error("This is for a log");
      export const Page = ({ n, name }) => (
        <p class="small mute" title="Close it" data-test="page">
          Who sits here? {n > 1 ? "many" : t("page.one")} {name} <b style={{ color: "var(--ink)" }}>{\`\${name} won\`}</b>
          <button aria-label={n ? "away" : name} onClick={() => say("bad", "The server refused this.")}>{n} ms</button>
        </p>
      );`;
    expect(hardCoded(page, "tsx")).toEqual(["Duel", "Bodies never overlap.", "Close it", "Who sits here?", "many", "{} won", "away", "The server refused this."]);
  });

  it("are all words of the language file", () => {
    const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name) && !/^(generated|wire|stage|text.lang)\b/.test(name));
    expect(files.length).toBeGreaterThan(80);
    const found = files.flatMap((name) => hardCoded(readFileSync(join(SOURCE, name), "utf8"), name.endsWith("x") ? "tsx" : "ts").filter((text) => !ALLOWED[name]?.test(text)).map((text) => `${name}: ${text}`));
    expect(found).toEqual([]);
  });
});
