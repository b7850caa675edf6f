/** Settings that upstream lacks. */
import { defineSetting } from './define-setting.ts';

/** Name to definition. */
export const addedSettings = {
  'io-hold-timeout': defineSetting({
    displayName: 'I/O Hold Timeout',
    type: 'int',
    category: 'general',
    required: true,
    default: '300',
    range: { minimum: 0 },
    description: 'Seconds that I/O waits for a replica or a new engine before it fails; 0: for ever.',
  }),
  'blockdev-driver': defineSetting({
    displayName: 'Block Device Driver',
    type: 'string',
    category: 'general',
    required: true,
    default: 'auto',
    options: ['auto', 'fuse', 'nbd'],
    description: 'How block devices are made: fuse, nbd, or auto for what the node offers.',
  }),
  'iscsi-authentication': defineSetting({
    displayName: 'iSCSI Authentication',
    type: 'string',
    category: 'general',
    required: true,
    default: 'none',
    options: ['none', 'chap'],
    description:
      'Who may log in to volumes with the frontend iscsi: anybody, or with CHAP who knows the account in the Secret longhorn-iscsi-chap.',
  }),
  'default-volume-size': defineSetting({
    displayName: 'Default Volume Size',
    type: 'string',
    category: 'general',
    required: true,
    default: '10Gi',
    description: 'Size of a new volume that has no source and does not say it.',
  }),
  'volume-qos': defineSetting({
    displayName: 'Volume QoS',
    type: 'string',
    category: 'general',
    default: '',
    description: 'Limits of every volume, in spec of the Setting: iopsLimit, throughputLimit, guaranteedIops.',
  }),
};
