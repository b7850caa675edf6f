/**
 * What two servers say alike, made equal: uids, times, versions, addresses and random names become placeholders, so that
 * only what a client could notice is left to compare.
 */
export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIME = /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z/g;
const ADDRESS = /\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b/g;
/** `<base>-` and five letters of generateName. */
const GENERATED = /\bgenerated-[a-z0-9]{5}\b/g;
/** A refused precondition names the version that is there. */
const IN_RECORD = /(ResourceVersion) in record \(\d+\)/g;
/** Age columns of tables. */
const AGE = /^(\d+[smhdy])+$|^<invalid>$/;

function text(value: string, kept: ReadonlyMap<string, string>): string {
  const isUid = (known: string): boolean => known.search(UID) === 0;
  const named = (text: string, [name, known]: [string, string]): string => text.replaceAll(known, `<${name}>`);
  const known = [...kept].filter(([, text]) => text.length > 2);
  const uids = known.filter(([, text]) => isUid(text)).reduce(named, value);
  const anonymous = uids
    .replaceAll(UID, '<uid>')
    .replaceAll(TIME, '<time>')
    .replaceAll(IN_RECORD, '$1 in record (<version>)')
    .replaceAll(GENERATED, 'generated-<random>');
  // Several faults come in random order, see `causes` below.
  const listed = anonymous.replace(
    /(is invalid: \[)(.*)\]$/,
    (_, head: string, faults: string) => `${head}${faults.split(', ').toSorted().join(', ')}]`,
  );
  // Versions are short: they are replaced last, where uids and times cannot contain them any more.
  return known
    .filter(([, text]) => !isUid(text))
    .reduce(named, listed)
    .replaceAll(ADDRESS, '<address>');
}

function entry(key: string, value: Value, kept: ReadonlyMap<string, string>): Value {
  if (key === 'resourceVersion' && typeof value === 'string' && value !== '') return '<version>';
  if (key === 'continue' && typeof value === 'string' && value !== '') return '<token>';
  if (key === 'storageVersionHash') return '<hash>';
  if (key === 'cells' && Array.isArray(value))
    return value.map((cell) => (typeof cell === 'string' && AGE.test(cell) ? '<age>' : normalised(cell, kept)));
  // The order of resources and verbs has no meaning, and a real server's changes from start to start.
  if (key === 'resources' && Array.isArray(value)) return sorted(normalised(value, kept));
  if (key === 'verbs' && Array.isArray(value)) return sorted(value);
  // Faults come in random order there, and some twice.
  if (key === 'causes' && Array.isArray(value)) return distinct(sorted(normalised(value, kept)));
  if (key === 'managedFields' && Array.isArray(value)) return sorted(normalised(value, kept));
  return normalised(value, kept);
}

function distinct(value: Value): Value {
  if (!Array.isArray(value)) return value;
  return value.filter((element, index) => index === 0 || JSON.stringify(element) !== JSON.stringify(value[index - 1]));
}

/** Elements without an order of their own, as managers of the same second. */
function sorted(value: Value): Value {
  if (!Array.isArray(value)) return value;
  const key = (element: Value): string => JSON.stringify(element);
  return value.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** @param kept values that earlier answers of this server gave, by name */
export function normalised(value: Value, kept: ReadonlyMap<string, string>): Value {
  if (typeof value === 'string') return text(value, kept);
  if (Array.isArray(value)) return value.map((element) => normalised(element, kept));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, entry(key, inner, kept)]));
}
