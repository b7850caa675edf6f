/** What `version` and VersionDetailGet report: upstream's interface versions, our build. */
import type { VersionOutput } from '@longhorn/shared-types/generated/ptypes';

declare const __VERSION__: string;
declare const __GIT_COMMIT__: string | undefined;

/** `v1.10.1-ts.1`; from sources `v0.0.0-dev`. */
export const ENGINE_VERSION = `v${typeof __VERSION__ === 'string' ? __VERSION__ : '0.0.0-dev'}`;

export const VERSIONS: VersionOutput = {
  version: ENGINE_VERSION,
  gitCommit: typeof __GIT_COMMIT__ === 'string' ? __GIT_COMMIT__ : '',
  buildDate: '',
  cliAPIVersion: 10,
  cliAPIMinVersion: 8,
  controllerAPIVersion: 5,
  controllerAPIMinVersion: 4,
  dataFormatVersion: 1,
  dataFormatMinVersion: 1,
};
