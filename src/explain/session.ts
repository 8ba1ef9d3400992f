import { finding, type Finding } from './reasons.ts';

/** What the router knows of a session id; the gateway's inspection has this form. */
export type SessionSight =
  | { readonly kind: 'unsealed' | 'ended' }
  | { readonly kind: 'too-old'; readonly ageMs: number }
  | { readonly kind: 'elsewhere'; readonly path: string; readonly protocolVersion: string }
  | { readonly kind: 'here'; readonly view: object };

export interface ExplainedSession {
  readonly verdict: 'available' | 'unavailable';
  readonly findings: readonly Finding[];
  /** Endpoint, client, protocol version and the instance by service, where this process holds it. */
  readonly session?: object;
}

/** Whether a client session works, and why not. The id itself never comes back: it is a credential. */
export function explainSession(sight: SessionSight): ExplainedSession {
  switch (sight.kind) {
    case 'unsealed':
      return over(finding('SESSION_UNSEALED', 'No key of this router sealed this session id.'));
    case 'ended':
      return over(finding('SESSION_ENDED', 'The client ended this session.'));
    case 'too-old': {
      const hours = (sight.ageMs / 3_600_000).toFixed(1);
      return over(finding('SESSION_TOO_OLD', `This session was opened ${hours} hours ago.`));
    }
    case 'elsewhere': {
      const { kind: _, ...session } = sight;
      const sentence = 'The session is good; this process holds nothing of it until its next request.';
      return { verdict: 'available', findings: [finding('SESSION_ELSEWHERE', sentence)], session };
    }
    case 'here':
      return { verdict: 'available', findings: [], session: sight.view };
  }
}

function over(reason: Finding): ExplainedSession {
  return { verdict: 'unavailable', findings: [reason] };
}
