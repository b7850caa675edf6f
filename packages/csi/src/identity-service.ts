/** The Identity service: who the plugin is and what it can do. */
import type { IdentityMethods } from '@longhorn/shared-types/generated/csi-v1';
import {
  PluginCapability_Service_Type,
  PluginCapability_VolumeExpansion_Type,
} from '@longhorn/shared-types/generated/csi-v1';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { guarded, type GuardOptions } from './call/guard.ts';
import { VENDOR_VERSION } from './version.ts';

const { CONTROLLER_SERVICE, VOLUME_ACCESSIBILITY_CONSTRAINTS } = PluginCapability_Service_Type;
const { ONLINE } = PluginCapability_VolumeExpansion_Type;
const nothing = (): null => null;

/** All calls of the service. Probe answers as long as the process does: a manager that is away is no reason to restart. */
export function identityHandlers(options: GuardOptions, driver: string): ServiceHandlers<IdentityMethods> {
  return {
    GetPluginInfo: guarded(options, 'GetPluginInfo', nothing, () =>
      Promise.resolve({ name: driver, vendor_version: VENDOR_VERSION }),
    ),
    GetPluginCapabilities: guarded(options, 'GetPluginCapabilities', nothing, () =>
      Promise.resolve({
        capabilities: [
          { service: { type: CONTROLLER_SERVICE } },
          { service: { type: VOLUME_ACCESSIBILITY_CONSTRAINTS } },
          { volume_expansion: { type: ONLINE } },
        ],
      }),
    ),
    Probe: guarded(options, 'Probe', nothing, () => Promise.resolve({})),
  };
}
