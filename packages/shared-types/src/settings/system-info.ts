/** Settings of the category system info. */
import { defineSetting } from './define-setting.ts';

/** Name to definition. */
export const systemInfoSettings = {
  'default-engine-image': defineSetting({
    displayName: 'Default Engine Image',
    type: 'string',
    category: 'system info',
    required: true,
    readOnly: true,
    default: '',
    description: 'Engine image of new volumes. Set by the manager at each start.',
  }),
  'default-instance-manager-image': defineSetting({
    displayName: 'Default Instance Manager Image',
    type: 'deprecated',
    category: 'system info',
    required: true,
    readOnly: true,
    default: '',
    description: 'Instance manager image. Set by the manager at each start.',
  }),
  'default-backing-image-manager-image': defineSetting({
    displayName: 'Default Backing Image Manager Image',
    type: 'deprecated',
    category: 'system info',
    required: true,
    readOnly: true,
    default: '',
    description: 'Backing image manager image. Set by the manager at each start.',
  }),
  'support-bundle-manager-image': defineSetting({
    displayName: 'Support Bundle Manager Image',
    type: 'string',
    category: 'system info',
    required: true,
    default: '',
    description: 'Image that collects support bundles. Set by the manager at each start.',
  }),
  'current-longhorn-version': defineSetting({
    displayName: 'Current Longhorn Version',
    type: 'string',
    category: 'system info',
    readOnly: true,
    default: '',
    description: 'Version that last finished its upgrade; basis of the upgrade path check.',
  }),
  'latest-longhorn-version': defineSetting({
    displayName: 'Latest Longhorn Version',
    type: 'string',
    category: 'system info',
    readOnly: true,
    default: '',
    description: 'From the upgrade checker.',
  }),
  'stable-longhorn-versions': defineSetting({
    displayName: 'Stable Longhorn Versions',
    type: 'string',
    category: 'system info',
    readOnly: true,
    default: '',
    description: 'From the upgrade checker, sorted, comma separated.',
  }),
  'crd-api-version': defineSetting({
    displayName: 'Custom Resource API Version',
    type: 'string',
    category: 'system info',
    required: true,
    readOnly: true,
    default: '',
    description: 'Version of the custom resources.',
  }),
};
