/** The version that clients and upgrade checks are told. */
export const VENDOR_VERSION = 'v1.10.1';
