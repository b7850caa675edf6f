/** `spec.dataSource` of a Volume, and `requestedDataSource` of an Engine: what it is a copy of. */

export interface DataSource {
  readonly volume: string;
  /** null: the volume as it is when the copy begins */
  readonly snapshot: string | null;
}

/** Reads `vol://VOLUME` and `snap://VOLUME/SNAPSHOT`; null for anything else. */
export function parseDataSource(text: string): DataSource | null {
  const [, volume, snapshot] = /^snap:\/\/([^/]+)\/([^/]+)$/.exec(text) ?? [];
  if (volume !== undefined && snapshot !== undefined) return { volume, snapshot };
  const whole = /^vol:\/\/([^/]+)$/.exec(text)?.[1];
  return whole === undefined ? null : { volume: whole, snapshot: null };
}

/** `snap://VOLUME/SNAPSHOT`. */
export function snapshotSource(volume: string, snapshot: string): string {
  return `snap://${volume}/${snapshot}`;
}
