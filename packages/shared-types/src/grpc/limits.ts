/** Limits of everything that gRPC peers can make this process hold or repeat. */

/**
 * Largest message that is accepted. Upstream accepts 4 MiB; a region bitmap (one bit per 64 KiB) of a 128 TiB volume
 * is 256 MiB, of a 16 TiB volume 32 MiB: 64 MiB covers volumes up to 32 TiB, bounded per call.
 */
export const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Nesting of messages in one another; only MembershipRecord.bases is recursive, and it is two deep. */
export const MESSAGE_DEPTH_MAX = 64;

/** Keepalive of clients of instance-manager services, and what those servers permit. */
export const KEEPALIVE_PING_MS = 30_000;
export const KEEPALIVE_TIMEOUT_MS = 20_000;
export const KEEPALIVE_MIN_MS = 10_000;

/** Pause between connection attempts to a peer that refuses; constant, so that a peer that is back is seen at once. */
export const RECONNECT_MS = 1_000;

/** Upstream's limit for a unary call whose caller names none. */
export const CALL_TIMEOUT_MS = 180_000;

/** How often TLS files are looked at for new ones; the kubelet brings a changed Secret within a minute or so. */
export const TLS_RELOAD_MS = 10_000;

/** Interval of the endless health Watch stream. */
export const HEALTH_WATCH_MS = 1_000;

/** Connections that a cache keeps open; the least recently used is closed beyond it. */
export const CACHED_CHANNELS_MAX = 2_000;

if (KEEPALIVE_MIN_MS >= KEEPALIVE_PING_MS) throw new Error('keepalive pings would be refused by our own servers');
