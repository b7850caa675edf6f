/** The CRDs as YAML, one file per kind. Same kinds, same bytes. */
import { stringify } from 'yaml';
import { CRD_KINDS } from '../src/crds/kinds.ts';
import { toCustomResourceDefinition } from '../src/crds/open-api.ts';

/** File name to YAML of every CRD, by name. */
export function crdManifests(): Map<string, string> {
  const entries = Object.values(CRD_KINDS).map((kind): [string, string] => {
    const crd = toCustomResourceDefinition(kind);
    const head =
      '# Made by `npm run -w @longhorn/shared-types generate` from packages/shared-types/src/crds. Do not edit.\n';
    return [`${kind.plural}.longhorn.io.yaml`, head + stringify(crd, { lineWidth: 0, aliasDuplicateObjects: false })];
  });
  return new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
