/** Version numbers that the services report; the API numbers are upstream's. */

declare const __VERSION__: string | undefined;

/** Version of this build; `dev` when run from sources. */
export const VERSION = typeof __VERSION__ === 'string' ? `v${__VERSION__}` : 'dev';

export const API_VERSIONS = {
  instanceManagerAPIVersion: 6,
  instanceManagerAPIMinVersion: 1,
  instanceManagerProxyAPIVersion: 5,
  instanceManagerProxyAPIMinVersion: 1,
} as const;

export const DISK_SERVICE_API_VERSION = 1;
export const DISK_SERVICE_API_MIN_VERSION = 1;

/** Answer of VersionGet of the process manager and instance services. */
export function versionResponse(): { version: string; gitCommit: string; buildDate: string } & typeof API_VERSIONS {
  return { version: VERSION, gitCommit: '', buildDate: '', ...API_VERSIONS };
}
