import { describe, expect, it } from 'vitest';
import { readInput, readResource } from './rest-input.ts';

describe('bodies', () => {
  it('are read with keys in any case, the exact one first; missing and null are zero values', () => {
    expect(
      readInput('attachInput', '{"HOSTID":"a","hostId":"b","DisableFrontend":true,"attachedBy":null,"other":1}'),
    ).toEqual({
      hostId: 'b',
      disableFrontend: true,
      attachedBy: '',
      attacherType: '',
      attachmentID: '',
    });
  });

  it('are read through maps, lists and nested types', () => {
    const { disks } = readInput('diskUpdateInput', '{"disks":{"d":{"path":"/d","storageReserved":5,"tags":["x"]}}}');
    expect(disks).toEqual({
      d: {
        path: '/d',
        storageReserved: 5,
        tags: ['x'],
        allowScheduling: false,
        evictionRequested: false,
        diskType: '',
        diskDriver: '',
      },
    });
    expect(
      readResource('volume', '{"recurringJobSelector":[{"name":"j"}],"replicas":"ignored"}', ['recurringJobSelector']),
    ).toEqual({
      recurringJobSelector: [{ name: 'j', isGroup: false }],
    });
  });

  it.each([
    ['', 'EOF: the request needs a JSON body'],
    ['{', 'the body is not JSON'],
    ['[]', 'cannot unmarshal array into field body'],
    ['{"size":5}', 'cannot unmarshal number into field size of type string'],
    ['{"numberOfReplicas":"3"}', 'cannot unmarshal string into field numberOfReplicas of type int'],
    ['{"numberOfReplicas":1e99}', 'cannot unmarshal number into field numberOfReplicas of type int'],
    ['{"diskSelector":"a"}', 'cannot unmarshal string into field diskSelector of type array[string]'],
    ['{"diskSelector":[1]}', 'cannot unmarshal number into field diskSelector[0] of type string'],
    ['{"standby":"no"}', 'cannot unmarshal string into field standby of type bool'],
  ])('%j is refused', (body, message) => {
    expect(() => readResource('volume', body, ['size', 'numberOfReplicas', 'diskSelector', 'standby'])).toThrow(
      message,
    );
  });

  it('cannot smuggle in what is not a field', () => {
    const read = readInput('snapshotInput', '{"__proto__":{"x":1},"constructor":2,"labels":{"__proto__":"y"}}');
    expect(Object.keys(read).toSorted()).toEqual(['backupMode', 'labels', 'name']);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });
});
