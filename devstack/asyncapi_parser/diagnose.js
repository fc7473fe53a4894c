// node diagnose.js FILE: prints what AsyncAPI's own parser has to say about a document, as a JSON list.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const severities = ["error", "warning", "info", "hint"];
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const found = diagnostics.map(({ severity, code, path, message }) => ({
  severity: severities[severity],
  code: String(code),
  path: path.join("."),
  message,
}));
if (!document && !found.some(({ severity }) => severity === "error")) {
  found.push({ severity: "error", code: "unparsed", path: "", message: "the parser made no document of it" });
}
console.log(JSON.stringify(found));
