// node diagnose.js FILE...: prints what AsyncAPI's own parser has to say about each document, as a JSON list of lists.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const severities = ["error", "warning", "info", "hint"];
const answers = [];
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
  const found = diagnostics.map(({ severity, code, path, message }) => ({
    severity: severities[severity],
    code: String(code),
    path: path.join("."),
    message,
  }));
  if (!document && !found.some(({ severity }) => severity === "error")) {
    found.push({ severity: "error", code: "unparsed", path: "", message: "the parser made no document of it" });
  }
  answers.push(found);
}
console.log(JSON.stringify(answers));
