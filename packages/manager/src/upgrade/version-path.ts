/**
 * From which version to which one may go: one minor version at a time, never back. Data on disk is understood by the
 * next version only; what skips one, or goes back, may misread it.
 */

/** Below this one not even a disabled check is passed over. */
const OLDEST_UNCHECKED = 'v1.4.0';
/** The last minor version before a new major one. */
const LAST_MINOR_MIN = 30;

interface Version {
  numbers: readonly [major: number, minor: number, patch: number];
  /** '' = a release; comes after its pre-releases */
  pre: string;
}

function parse(text: string): Version | null {
  const match = /^v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(text);
  if (match === null) return null;
  return { numbers: [Number(match[1]), Number(match[2]), Number(match[3])], pre: match[4] ?? '' };
}

function comparePre(a: string, b: string): number {
  if (a === b) return 0;
  if (a === '' || b === '') return a === '' ? 1 : -1;
  const [left, right] = [a.split('.'), b.split('.')];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const [l, r] = [left[index], right[index]];
    if (l === undefined || r === undefined) return l === undefined ? -1 : 1;
    if (l === r) continue;
    const [isNumberL, isNumberR] = [/^\d+$/.test(l), /^\d+$/.test(r)];
    if (isNumberL && isNumberR) return Number(l) - Number(r);
    if (isNumberL !== isNumberR) return isNumberL ? -1 : 1;
    return l < r ? -1 : 1;
  }
  return 0;
}

function compare(a: Version, b: Version): number {
  for (const index of [0, 1, 2] as const) {
    const difference = a.numbers[index] - b.numbers[index];
    if (difference !== 0) return difference;
  }
  return comparePre(a.pre, b.pre);
}

/**
 * Why one may not go there; null: one may.
 * @param current version that last finished its upgrade; '' = a new installation
 * @param isChecked whether the setting of the installation asks for the check
 */
export function upgradeRefusal(current: string, wanted: string, isChecked: boolean): string | null {
  if (current === '') return null;
  const to = parse(wanted);
  if (to === null) return `failed to upgrade since upgrading version ${wanted} is not valid`;
  const from = parse(current);
  if (from === null) return `failed to upgrade since the current version ${current} is not valid`;
  if (!isChecked) {
    const oldest = parse(OLDEST_UNCHECKED);
    return oldest !== null && compare(from, oldest) < 0
      ? `failed to skip the upgrade check for ${current} to upgrade to ${wanted}, as it only supports the current version larger than ${OLDEST_UNCHECKED}`
      : null;
  }
  const [fromMajor, fromMinor] = from.numbers;
  const [toMajor, toMinor] = to.numbers;
  const unsupported = (what: string, kind: string): string =>
    `failed to upgrade since ${what} from ${current} to ${wanted} for ${kind} version is not supported`;
  if (toMajor < fromMajor) return unsupported('downgrading', 'major');
  if (toMajor > fromMajor + 1) return unsupported('upgrading', 'major');
  if (toMajor === fromMajor + 1)
    return fromMinor < LAST_MINOR_MIN
      ? `failed to upgrade since upgrading major version with minor version under ${LAST_MINOR_MIN} is not supported`
      : null;
  if (toMinor > fromMinor + 1) return unsupported('upgrading', 'minor');
  return compare(to, from) < 0
    ? `failed to upgrade since downgrading from ${current} to ${wanted} is not supported`
    : null;
}
