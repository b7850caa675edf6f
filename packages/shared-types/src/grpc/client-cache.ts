/** Connections kept per address, so that polling does not open one per call. */
import { Channel, clientOn, type CallOptions, type ClientOptions, type ServiceCalls } from './client.ts';
import { CACHED_CHANNELS_MAX } from './limits.ts';
import type { ServiceToken } from './service-token.ts';

/** One channel per address for all services; the least recently used is closed beyond `CACHED_CHANNELS_MAX`. */
export class ClientCache {
  private readonly channels = new Map<string, Channel>();
  private readonly options: Pick<ClientOptions, 'tls' | 'keepalive'>;

  constructor(options: Pick<ClientOptions, 'tls' | 'keepalive'> = {}) {
    this.options = options;
  }

  /** RPCs of a service at an address; `defaults` (identity, limits, signal) hold for the calls of this object only. */
  get<Methods>(service: ServiceToken<Methods>, address: string, defaults: CallOptions = {}): ServiceCalls<Methods> {
    return clientOn(this.channel(address), service, defaults);
  }

  private channel(address: string): Channel {
    const channel = this.channels.get(address) ?? new Channel(address, this.options);
    // Moved to the end: the map's order is that of use.
    this.channels.delete(address);
    this.channels.set(address, channel);
    if (this.channels.size > CACHED_CHANNELS_MAX) {
      const [oldest] = this.channels.keys();
      if (oldest !== undefined) this.drop(oldest);
    }
    return channel;
  }

  /** Closes the connection to an address whose owner is gone; calls that still run end with Canceled. */
  drop(address: string): void {
    this.channels.get(address)?.close();
    this.channels.delete(address);
  }

  close(): void {
    for (const address of this.channels.keys()) this.drop(address);
  }
}
