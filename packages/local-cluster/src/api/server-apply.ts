import type { KubeObject } from './object.ts';
import type { Operations } from './operations.ts';
import type { WriteOptions } from './preparation.ts';
import type { ResourceType } from './resource-type.ts';
import { unsupportedMediaType } from './status-error.ts';
export interface ApplyRequest {
  manager: string;
  force: boolean;
  subresource: '' | 'status';
  options: WriteOptions;
}
export async function applied(
  _o: Operations,
  _t: ResourceType,
  _w: KubeObject,
  _r: ApplyRequest,
): Promise<{ object: KubeObject; created: boolean }> {
  throw unsupportedMediaType('server-side apply is not there');
}
