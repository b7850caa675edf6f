import { describe, expect, it } from 'vitest';
import { metadata } from '../../test/fixture.ts';
import { fieldSelector, labelSelector, objectSelector } from './selectors.ts';

describe('labelSelector', () => {
  const labels = { app: 'longhorn', tier: 'a', empty: '' };
  it.each([
    ['', true],
    ['app=longhorn', true],
    ['app==longhorn,tier!=b', true],
    ['app', true],
    ['!app', false],
    ['!other', true],
    ['tier in (a, b)', true],
    ['tier notin (a,b)', false],
    ['other notin (a)', true],
    ['empty=', true],
    ['app=longhorn,tier in (b)', false],
    ['longhorn.io/x', false],
  ])('%s is %s', (selector, wanted) => {
    expect(labelSelector(selector)(labels)).toBe(wanted);
  });
  it('refuses what it cannot read', () => {
    expect(() => labelSelector('a b c')).toThrow(/unable to parse/);
  });
});

describe('objectSelector', () => {
  it('matches labels and expressions together; none matches everything', () => {
    const matches = objectSelector({
      matchLabels: { a: '1' },
      matchExpressions: [{ key: 'b', operator: 'NotIn', values: ['2'] }],
    });
    expect(matches({ a: '1' })).toBe(true);
    expect(matches({ a: '1', b: '2' })).toBe(false);
    expect(objectSelector(undefined)({})).toBe(true);
    expect(objectSelector({})({})).toBe(true);
  });
});

describe('fieldSelector', () => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: metadata('p', 'ns'), spec: { nodeName: 'n' } };
  it.each([
    ['metadata.name=p,spec.nodeName=n', true],
    ['metadata.namespace!=ns', false],
    ['status.phase=', true],
  ])('%s is %s', (selector, wanted) => {
    expect(fieldSelector('/pods', selector, [])(pod)).toBe(wanted);
  });
  it('refuses fields that cannot be selected', () => {
    expect(() => fieldSelector('/pods', 'spec.other=1', [])).toThrow(/field label not supported: spec.other/);
  });
});
