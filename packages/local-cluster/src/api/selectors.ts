/**
 * Label selectors (query form and object form) and field selectors.
 */
import { isObject, listAt, stringAt, stringMapAt, valueAt, type Json } from './json.ts';
import { namespaceOf, type KubeObject } from './object.ts';
import { qualifiedNameFaults } from './metadata-faults.ts';
import { badRequest } from './status-error.ts';

export type Match = (object: KubeObject) => boolean;
type LabelMatch = (labels: Record<string, string>) => boolean;

const SET_TERM = /^([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)$/;
const EQUALITY_TERM = /^([^\s!=,()]+)\s*(==|=|!=)\s*([^\s!=,()]*)$/;
const EXISTS_TERM = /^(!?)\s*([^\s!=,()]+)$/;

function splitTerms(selector: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < selector.length; index++) {
    if (selector[index] === '(') depth++;
    else if (selector[index] === ')') depth--;
    else if (selector[index] === ',' && depth === 0) {
      terms.push(selector.slice(start, index));
      start = index + 1;
    }
  }
  terms.push(selector.slice(start));
  return terms.map((term) => term.trim()).filter((term) => term !== '');
}

function labelTerm(term: string): LabelMatch {
  const set = SET_TERM.exec(term);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    if (operator === 'in') return (labels) => labels[key] !== undefined && values.has(labels[key]);
    return (labels) => labels[key] === undefined || !values.has(labels[key]);
  }
  const equality = EQUALITY_TERM.exec(term);
  if (equality !== null) {
    const [, key = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const exists = EXISTS_TERM.exec(term);
  if (exists === null) throw badRequest(`unable to parse requirement: ${JSON.stringify(term)} in the label selector`);
  const [, negated, key = ''] = exists;
  return (labels) => Object.hasOwn(labels, key) === (negated === '');
}

/** Parses `labelSelector=` of a request. */
export function labelSelector(selector: string): LabelMatch {
  for (const term of splitTerms(selector)) {
    const [key = ''] = term.replace(/^!\s*/, '').split(/[\s!=]/, 1);
    const [fault] = key === '' ? [] : qualifiedNameFaults(key);
    if (fault !== undefined)
      throw badRequest(`unable to parse requirement: <nil>: Invalid value: ${JSON.stringify(key)}: ${fault}`);
  }
  const terms = splitTerms(selector).map(labelTerm);
  return (labels) => terms.every((matches) => matches(labels));
}

function expression(value: Json): LabelMatch {
  const key = stringAt(valueAt(value, 'key'));
  const values = new Set(listAt(valueAt(value, 'values')).map(stringAt));
  switch (stringAt(valueAt(value, 'operator'))) {
    case 'In':
      return (labels) => labels[key] !== undefined && values.has(labels[key]);
    case 'NotIn':
      return (labels) => labels[key] === undefined || !values.has(labels[key]);
    case 'Exists':
      return (labels) => Object.hasOwn(labels, key);
    case 'DoesNotExist':
      return (labels) => !Object.hasOwn(labels, key);
    case 'Gt':
      return (labels) => Number(labels[key] ?? Number.NaN) > Number([...values][0]);
    case 'Lt':
      return (labels) => Number(labels[key] ?? Number.NaN) < Number([...values][0]);
    default:
      return () => false;
  }
}

/** A selector in an object: `{matchLabels, matchExpressions}`. Absent matches everything. */
export function objectSelector(selector: Json | undefined): LabelMatch {
  if (!isObject(selector)) return () => true;
  const wanted = Object.entries(stringMapAt(selector['matchLabels']));
  const expressions = listAt(selector['matchExpressions']).map(expression);
  return (labels) =>
    wanted.every(([key, value]) => labels[key] === value) && expressions.every((matches) => matches(labels));
}

/** A list of match expressions, as in node affinity. */
export function expressions(list: Json | undefined): LabelMatch {
  const all = listAt(list).map(expression);
  return (labels) => all.every((matches) => matches(labels));
}

const COMMON_FIELDS = ['metadata.name', 'metadata.namespace'];
const EVENT_FIELDS = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
const FIELDS: Record<string, readonly string[]> = {
  '/pods': ['spec.nodeName', 'status.phase', 'spec.restartPolicy', 'spec.schedulerName', 'status.podIP'],
  '/nodes': ['spec.unschedulable'],
  '/namespaces': ['status.phase'],
  '/secrets': ['type'],
  '/events': [
    ...EVENT_FIELDS.map((field) => `involvedObject.${field}`),
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
};

function fieldText(object: KubeObject, field: string): string {
  if (field === 'metadata.namespace') return namespaceOf(object);
  if (field === 'source') return stringAt(valueAt(object, 'source', 'component'));
  const value = valueAt(object, ...field.split('.'));
  return typeof value === 'string' ? value : typeof value === 'boolean' ? String(value) : '';
}

/** Parses `fieldSelector=` of a request for one resource (`group/plural`); `selectable`: further fields of a custom resource. */
export function fieldSelector(resource: string, selector: string, selectable: readonly string[]): Match {
  const allowed = [...COMMON_FIELDS, ...(FIELDS[resource] ?? []), ...selectable];
  const terms = splitTerms(selector).map((term): Match => {
    const parts = /^([^=!]+?)\s*(==|=|!=)\s*(.*)$/.exec(term);
    if (parts === null) throw badRequest(`invalid selector: '${selector}'; can't understand '${term}'`);
    const [, field = '', operator, value = ''] = parts;
    if (!allowed.includes(field))
      throw badRequest(
        allowed.length === COMMON_FIELDS.length && !resource.includes('.')
          ? `"${field}" is not a known field selector: only ${allowed.map((name) => `"${name}"`).join(', ')}`
          : `field label not supported: ${field}`,
      );
    return operator === '!='
      ? (object) => fieldText(object, field) !== value
      : (object) => fieldText(object, field) === value;
  });
  return (object) => terms.every((matches) => matches(object));
}
