/** The build of this program, which the bundler writes in. */
declare const __VERSION__: string | undefined;

/** `v1.10.1-ts.1`; from sources `v0.0.0-dev`. */
export const BUILD_VERSION = typeof __VERSION__ === 'string' ? `v${__VERSION__}` : 'v0.0.0-dev';

/** Longhorn's version that this one is compatible with: what clients and upgrade checks are told. */
export const LONGHORN_VERSION = 'v1.10.1';
