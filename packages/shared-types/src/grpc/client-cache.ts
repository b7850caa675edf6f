/** Connections kept per address, so that polling does not open one per call. */
import { createClient, type ClientOptions, type ServiceClient } from './client.ts';
import { CACHED_CLIENTS_MAX } from './limits.ts';
import type { ServiceToken } from './service-token.ts';

/** Clients by service and address; the least recently used is closed beyond `CACHED_CLIENTS_MAX`. */
export class ClientCache {
  private readonly clients = new Map<string, { close(): void }>();
  private readonly options: ClientOptions;

  /** `options.identity` does not belong here: give it with each call. */
  constructor(options: ClientOptions = {}) {
    this.options = options;
  }

  get<Methods>(service: ServiceToken<Methods>, address: string): ServiceClient<Methods> {
    const key = `${service.name} ${address}`;
    const found = this.clients.get(key);
    const client = found ? (found as ServiceClient<Methods>) : createClient(service, address, this.options);
    this.clients.delete(key);
    this.clients.set(key, client);
    if (this.clients.size > CACHED_CLIENTS_MAX) {
      const [oldest] = this.clients;
      if (oldest) this.clients.delete(oldest[0]);
      oldest?.[1].close();
    }
    return client;
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }
}
