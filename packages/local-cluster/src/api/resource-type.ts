/**
 * What the server knows of one kind. Built-in kinds are a table, custom ones come from CustomResourceDefinitions.
 */
import type { Schema } from './schema.ts';

export interface Column {
  name: string;
  type: string;
  format: string;
  description: string;
  /** 0: always shown; 1: only with `-o wide` */
  priority: number;
  jsonPath: string;
}

export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  singular: string;
  kind: string;
  listKind: string;
  namespaced: boolean;
  shortNames: readonly string[];
  categories: readonly string[];
  /** `group/plural` of the stored objects; two API groups may share it (events) */
  storage: string;
  /** apiVersion that stored objects carry */
  storedApiVersion: string;
  status: boolean;
  columns: readonly Column[] | null;
  /** `null`: a built-in kind, stored without a schema */
  schema: Schema | null;
  selectableFields: readonly string[];
  custom: boolean;
}

export const apiVersionOf = (type: { group: string; version: string }): string =>
  type.group === '' ? type.version : `${type.group}/${type.version}`;

/** Identifies the served type: `longhorn.io/v1beta2/volumes`. */
export const servedKey = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`;
