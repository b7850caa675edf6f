/**
 * Whose certificates the API server trusts when it calls the webhooks. A new authority is trusted before anybody serves with
 * it, and the one before it for a while after, because the other managers follow only at their next look:
 *
 *   secrets      old        new
 *   trusted      old        new + old ... new + old, until all follow     new
 *   manager A    old        old, then new                                 new
 *   manager B    old        old ......... old, then new                   new
 */
import { X509Certificate } from 'node:crypto';
import { parseTime, rfc3339 } from '../clock.ts';
import { webhookLimits } from './webhook-limits.ts';

/** What a webhook configuration holds. */
export interface TrustedAuthorities {
  /** PEM certificates, the present authority's first. */
  pem: string;
  /** RFC 3339: when authorities of before end; '' if there are none. */
  previousUntil: string;
}

/** Certificates that can be read and have not expired, by fingerprint. */
function certificatesOf(pem: string, nowMs: number): Map<string, string> {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? [];
  const found = new Map<string, string>();
  for (const block of blocks) {
    try {
      const certificate = new X509Certificate(block);
      if (Date.parse(certificate.validTo) > nowMs) found.set(certificate.fingerprint256, certificate.toString());
    } catch {
      // Whatever cannot be read is no certificate that anybody serves with.
      continue;
    }
  }
  return found;
}

/** `present`: what the configuration holds now. Pure. */
export function trustedAuthorities(caPem: string, present: TrustedAuthorities, nowMs: number): TrustedAuthorities {
  const current = certificatesOf(caPem, nowMs);
  const trusted = certificatesOf(present.pem, nowMs);
  const isKnown = [...current.keys()].every((fingerprint) => trusted.has(fingerprint));
  const previous = [...trusted].filter(([fingerprint]) => !current.has(fingerprint)).map(([, pem]) => pem);
  const untilMs = isKnown ? (parseTime(present.previousUntil) ?? 0) : nowMs + webhookLimits.previousCaTrustedMs;
  if (previous.length === 0 || untilMs <= nowMs) return { pem: caPem, previousUntil: '' };
  const kept = previous.slice(0, webhookLimits.previousCasMax);
  return { pem: [...current.values(), ...kept].join(''), previousUntil: rfc3339(untilMs) };
}
