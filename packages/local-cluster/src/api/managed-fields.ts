import type { Environment } from './environment.ts';
import type { KubeObject, Metadata } from './object.ts';
import type { ResourceType } from './resource-type.ts';
export function trackUpdate(
  _type: ResourceType,
  _current: KubeObject,
  object: KubeObject,
  _sub: string,
  _manager: string,
  _environment: Environment,
): Metadata {
  return object.metadata;
}
