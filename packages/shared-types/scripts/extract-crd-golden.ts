/**
 * Reads upstream's CRD manifest and prints the facts that the golden test compares with, without upstream's prose.
 *
 *     node packages/shared-types/scripts/extract-crd-golden.ts MANIFEST.yaml > test/golden/v1.10.1/crds.json
 */
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { crdFacts } from '../src/crds/schema-facts.ts';

const [manifestPath] = process.argv.slice(2);
if (manifestPath === undefined) throw new Error('usage: extract-crd-golden.ts MANIFEST.yaml');

const facts = parseAllDocuments(readFileSync(manifestPath, 'utf8')).map((document) => {
  const found = crdFacts(document.toJS());
  return [String(found.names['kind']), found] as const;
});
process.stdout.write(`${JSON.stringify(Object.fromEntries(facts), null, 1)}\n`);
