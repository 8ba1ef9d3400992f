import type { DoubtReason } from '../../../model.ts';
import { connection, status, type Connection } from '../live/state.ts';
import { Badge, type Tone } from './bits.tsx';
import { count } from './words.ts';

const connections: Readonly<Record<Connection, readonly [tone: Tone, text: string]>> = {
  connecting: ['warn', 'connecting'],
  live: ['good', 'live'],
  lost: ['bad', 'no router: what is shown is old'],
};

const doubts: Readonly<Record<DoubtReason, string>> = {
  'not-synced': 'not answered yet',
  unreachable: 'unreachable',
  refused: 'refuses the token',
  'rate-limited': 'rate limited',
  'server-error': 'server errors',
  garbage: 'garbage answers',
  'empty-at-start': 'no state or leader',
  filtered: 'token sees less',
  'mass-disappearance': 'nearly all gone',
};

/** Whether what is seen is of now, and how Consul is. */
export function StatusLine() {
  const [tone, text] = connections[connection.value];
  const now = status.value;
  return (
    <div class="status" role="status">
      <Badge tone={tone}>{text}</Badge>
      {now?.datacenters.map(({ name, doubt }) => (
        <Badge key={name} tone={doubt === undefined ? 'good' : 'bad'}>
          Consul{name === 'local' ? '' : ` ${name}`}
          {doubt === undefined ? '' : `: ${doubts[doubt]}`}
        </Badge>
      ))}
      {now?.draining && <Badge tone="warn">shutting down</Badge>}
      {now && (
        <span class="quiet">
          {count(now.sessions, 'session')}, {count(now.running, 'call')} under way
        </span>
      )}
    </div>
  );
}
